// Every call to the disk fails once, at its turn, alone or from then on, as an I/O error or as a full disk.
//
// What holds: a step that returned a value is there with all its content. A step that returned an Error left
// nothing behind: SQLite rolls back in the running process even when only the last sync of COMMIT failed.
// (After a crash right then the WAL may hold that commit whole, and it comes back as one: powerloss_test.cc
// allows for it. A producer that was refused and repeats has then two jobs, never none.)
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/storage/outbox_script.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/sanitized.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::Expected;
using test::FaultKind;
using test::FaultSpan;
using test::FaultVfs;
using test::OutboxScript;
using test::ReadTables;

// Runs the script with call `call` failing. False when the script ended before it.
bool RunWithFault(std::uint64_t call, FaultKind kind, FaultSpan span) {
  TempDir folder;
  FaultVfs vfs;
  OutboxScript script(folder / "outbox.db");
  vfs.Arm(call, kind, span);
  for (std::size_t step = 0; step < script.Count(); ++step) {
    CAPTURE(step);
    Result<void> done = script.Do(step);
    if (!done) {
      CHECK(vfs.HasFired());
      const ErrorKind expected = kind == FaultKind::kFull ? ErrorKind::kFull : ErrorKind::kIo;
      CHECK_MESSAGE((done.error().kind == expected || done.error().kind == ErrorKind::kIo),
                    done.error().message);
      if (span == FaultSpan::kFromThenOn && script.outbox() != nullptr) CHECK_FALSE(script.Do(step));
      vfs.Heal();
      if (script.outbox() != nullptr) {
        CHECK((ReadTables(folder / "outbox.db") == script.expected));
        test::CheckCounts(*script.outbox(), folder / "outbox.db");
      }
      done = script.Do(step);  // the same Outbox goes on
      REQUIRE_MESSAGE(done, (done ? "" : done.error().message));
    }
    if (script.outbox() != nullptr && vfs.HasFired()) {
      vfs.Heal();  // a start goes on without its stamp
      CHECK((ReadTables(folder / "outbox.db") == script.expected));
    }
  }
  const bool fired = vfs.HasFired();
  vfs.Heal();
  test::CheckCounts(*script.outbox(), folder / "outbox.db");
  script.Close();
  CHECK((ReadTables(folder / "outbox.db") == script.expected));
  CHECK(test::AskText(folder / "outbox.db", "PRAGMA integrity_check") == "ok");
  return fired;
}

}  // namespace

TEST_CASE(
    "faults: whichever call to the disk fails, what was accepted is there and what was refused is not") {
  FaultKind kind = FaultKind::kIo;
  FaultSpan span = FaultSpan::kOnce;
  SUBCASE("an I/O error, once") {}
  SUBCASE("I/O errors from then on, until it heals") {
    span = FaultSpan::kFromThenOn;
  }
  SUBCASE("a full disk, once") {
    kind = FaultKind::kFull;
  }
  SUBCASE("a full disk from then on, until there is room") {
    kind = FaultKind::kFull;
    span = FaultSpan::kFromThenOn;
  }
  constexpr std::uint64_t kStride = kSanitized ? 7 : 1;
  std::uint64_t call = 0;
  for (bool fired = true; fired;) {
    call += kStride;
    CAPTURE(call);
    fired = RunWithFault(call, kind, span);
    REQUIRE(call < 2'000);
  }
  CHECK(call > 50);  // the sweep has seen the script's work
}

TEST_CASE(
    "faults: a backup that is cut short leaves no file behind, and is made whole once the disk takes it") {
  TempDir folder;
  FaultVfs vfs;
  auto outbox = Outbox::Open(folder / "outbox.db", 7);
  REQUIRE(outbox);
  REQUIRE(test::Accept(*outbox, {test::TrackLine("1"), test::TrackLine("2")}, OutboxScript::kNow));
  auto reader = Database::Open(folder / "outbox.db", OpenMode::kReadOnly);
  REQUIRE(reader);
  const auto copy = folder / "copy.db";
  for (std::uint64_t call = 1;; ++call) {
    CAPTURE(call);
    REQUIRE(call < 200);
    vfs.Arm(call, FaultKind::kFull, FaultSpan::kFromThenOn);
    const auto copied = reader->BackupTo(copy, test::NeverGivesUp);
    vfs.Heal();
    if (copied) {
      CHECK(call > 5);
      break;
    }
    CHECK_MESSAGE((copied.error().kind == ErrorKind::kFull || copied.error().kind == ErrorKind::kIo),
                  copied.error().message);
    CHECK_FALSE(std::filesystem::exists(copy));
  }
  CHECK(test::Ask(copy, "SELECT count(*) FROM outbox") == 2);
}

TEST_CASE("faults: a backup is opened by the path that was given, of which nothing is looked up again") {
  TempDir folder;
  std::filesystem::create_directory(folder / "held");
  const int held = open((folder / "held").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(held >= 0);
  FaultVfs vfs;
  REQUIRE(Outbox::Open(folder / "outbox.db", 7));
  auto reader = Database::Open(folder / "outbox.db", OpenMode::kReadOnly);
  REQUIRE(reader);
  const std::string given = "/proc/self/fd/" + std::to_string(held) + "/copy.db";
  REQUIRE(reader->BackupTo(given, folder / "held" / "copy.db", test::NeverGivesUp));
  CHECK(vfs.files().contains(given));
  const auto again = reader->BackupTo(given, folder / "held" / "copy.db", test::NeverGivesUp);
  REQUIRE_FALSE(again);
  CHECK(again.error().message.starts_with((folder / "held" / "copy.db").string() + ": "));
  close(held);
  CHECK(test::Ask(folder / "held" / "copy.db", "SELECT count(*) FROM outbox") == 0);
}

}  // namespace outboxd
