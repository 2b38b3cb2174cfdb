// One process owns the outbox.
#include "storage/file_lock.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/outbox.h"
#include "tests/support/temp_dir.h"

namespace outboxd {

TEST_CASE("file lock: a second owner is turned away with the first one's pid, until that one lets go") {
  TempDir folder;
  auto first = FileLock::Take(folder / "x");
  REQUIRE(first);
  const auto second = FileLock::Take(folder / "x");
  REQUIRE_FALSE(second);
  CHECK(second.error().kind == ErrorKind::kConflict);
  CHECK_MESSAGE(second.error().message.find("pid " + std::to_string(getpid())) != std::string::npos,
                second.error().message);
  FileLock moved = std::move(*first);
  CHECK_FALSE(FileLock::Take(folder / "x"));
  {
    const FileLock gone = std::move(moved);
  }
  CHECK(FileLock::Take(folder / "x"));
}

TEST_CASE("file lock: another process cannot open an outbox that is in use, and is told by whom") {
  TempDir folder;
  auto outbox = Outbox::Open(folder / "outbox.db", 7);
  REQUIRE(outbox);
  const pid_t owner = getpid();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto refused = Outbox::Open(folder / "outbox.db", 7);
    const bool told = !refused && refused.error().kind == ErrorKind::kConflict &&
                      refused.error().message.find("pid " + std::to_string(owner)) != std::string::npos;
    _exit(told ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("file lock: a folder that is missing is named with what to do about it") {
  TempDir folder;
  const auto refused = Outbox::Open(folder / "none" / "outbox.db", 7);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kIo);
  for (const std::string& part :
       {(folder / "none").string(), std::string("outbox.path"), std::string("systemd-tmpfiles")})
    CHECK(refused.error().message.find(part) != std::string::npos);
}

TEST_CASE("file lock: a planted link is not followed") {
  TempDir folder;
  std::filesystem::create_symlink(folder / "elsewhere", folder / "x.lock");
  CHECK_FALSE(FileLock::Take(folder / "x"));
  CHECK_FALSE(std::filesystem::exists(folder / "elsewhere"));
}

TEST_CASE("file lock: an outbox has one lock, so it is not opened by a link") {
  TempDir folder;
  auto outbox = Outbox::Open(folder / "outbox.db", 7);
  REQUIRE(outbox);
  std::filesystem::create_symlink(folder / "outbox.db", folder / "link.db");
  const auto refused = Outbox::Open(folder / "link.db", 7);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kConflict);
}

}  // namespace outboxd
