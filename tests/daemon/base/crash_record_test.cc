#include "daemon/base/crash_record.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "daemon/base/wall_clock.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

Timestamp Ago(Milliseconds span) {
  return kNow - span;
}

// How a process ends that watches over itself and then calls `act`.
template <typename Act>
int EndOf(const std::filesystem::path& file, Act act) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM}) std::signal(number, SIG_DFL);
    auto record = CrashRecord::Open(file);
    if (!record) _exit(99);
    record->Watch();
    act();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

std::vector<Timestamp> CrashesIn(const std::filesystem::path& file) {
  auto record = CrashRecord::Open(file);
  REQUIRE(record);
  return record->crashes();
}

TEST_CASE("crash record: three crashes within ten minutes hold a start until ten minutes after the last") {
  using std::chrono::minutes;
  using std::chrono::seconds;
  CHECK(HoldUntil({}, kNow) == std::nullopt);
  CHECK(HoldUntil({Ago(seconds(2)), Ago(seconds(1))}, kNow) == std::nullopt);
  CHECK(HoldUntil({Ago(seconds(3)), Ago(seconds(2)), Ago(seconds(1))}, kNow) ==
        Ago(seconds(1)) + minutes(10));
  // A crash that took its time, and a start a moment later.
  CHECK(HoldUntil({Ago(seconds(602)), Ago(minutes(5)), Ago(seconds(2))}, kNow) ==
        Ago(seconds(2)) + minutes(10));
  CHECK(HoldUntil({Ago(seconds(603)), Ago(minutes(5)), Ago(seconds(2))}, kNow) == std::nullopt);
  // The last one is what counts, in whatever order they are.
  CHECK(HoldUntil({Ago(minutes(9)), Ago(minutes(11)), Ago(minutes(10))}, kNow) ==
        Ago(minutes(9)) + minutes(10));
  CHECK(HoldUntil({Ago(minutes(12)), Ago(minutes(11)), Ago(minutes(10))}, kNow) == std::nullopt);
  // Earlier ones neither hold nor save it.
  CHECK(HoldUntil({Ago(minutes(90)), Ago(minutes(80)), Ago(minutes(70)), Ago(minutes(1))}, kNow) ==
        std::nullopt);
  CHECK(HoldUntil({Ago(minutes(90)), Ago(minutes(3)), Ago(minutes(2)), Ago(minutes(1))}, kNow).has_value());
  // The clock was set back.
  CHECK(HoldUntil({kNow + minutes(1), Ago(minutes(2)), Ago(minutes(1))}, kNow) == std::nullopt);
}

TEST_CASE("crash record: what ends the process from inside is recorded with its time, and still ends it") {
  TempDir folder;
  const auto file = folder / "record";
  const Timestamp before = WallClockNow();
  CHECK(EndOf(file, [] { std::abort(); }) == SIGABRT);
  CHECK(EndOf(file, [] { kill(getpid(), SIGABRT); }) == SIGABRT);  // as the service manager's watchdog does
  CHECK(EndOf(file, [] { raise(SIGSEGV); }) == SIGSEGV);
  CHECK(EndOf(file, [] { __builtin_trap(); }) != 0);
  const std::vector<Timestamp> crashes = CrashesIn(file);
  REQUIRE(crashes.size() == 4);
  for (const Timestamp crash : crashes) {
    CHECK(crash >= before);
    CHECK(crash <= WallClockNow());
  }
  CHECK(HoldUntil(crashes, WallClockNow()).has_value());
}

TEST_CASE("crash record: neither an exit nor SIGKILL or SIGTERM is a crash") {
  TempDir folder;
  const auto file = folder / "record";
  CHECK(EndOf(file, [] {}) == 0);
  CHECK(EndOf(file, [] { kill(getpid(), SIGKILL); }) == SIGKILL);
  CHECK(EndOf(file, [] { raise(SIGTERM); }) == SIGTERM);
  CHECK(CrashesIn(file).empty());
}

TEST_CASE("crash record: the latest eight are kept, in a file that does not grow") {
  TempDir folder;
  const auto file = folder / "record";
  WriteFile(file,
            "1000000000001\n1000000000002\n1000000000003\n1000000000004\n"
            "1000000000005\n1000000000006\n1000000000007\n1000000000008\n");
  CHECK(EndOf(file, [] { std::abort(); }) == SIGABRT);
  const std::vector<Timestamp> crashes = CrashesIn(file);
  CHECK(crashes.size() == 8);
  CHECK(std::count(crashes.begin(), crashes.end(), FromUnixMs(1'000'000'000'001)) == 0);
  CHECK(std::filesystem::file_size(file) == 8 * 14);
}

TEST_CASE("crash record: what is not a line of it is no crash, and is written over") {
  TempDir folder;
  const auto file = folder / "record";
  for (const std::string& text :
       {std::string(), std::string("x"), std::string(500, '\0'), std::string(500, '9'),
        std::string("-100000000000\n+100000000000\n             \n"), std::string("1000000000001")}) {
    CAPTURE(text);
    WriteFile(file, text);
    CHECK(CrashesIn(file).empty());
    CHECK(EndOf(file, [] { std::abort(); }) == SIGABRT);
    CHECK(CrashesIn(file).size() == 1);
  }
}

TEST_CASE("crash record: a file that cannot be one is an error that names it") {
  TempDir folder;
  const auto refused = CrashRecord::Open(folder / "nowhere" / "record");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kIo);
  CHECK(refused.error().message.find("nowhere/record") != std::string::npos);
  std::filesystem::create_symlink("elsewhere", folder / "link");
  CHECK_FALSE(CrashRecord::Open(folder / "link"));
}

TEST_CASE("crash record: its mode is that of the outbox's other files, whatever the umask") {
  const TempDir folder;
  for (const mode_t mask : {mode_t{0}, mode_t{0077}}) {
    const std::filesystem::path file = folder / std::to_string(mask);
    const mode_t before = umask(mask);
    const bool is_open = CrashRecord::Open(file).has_value();
    umask(before);
    REQUIRE(is_open);
    struct stat status{};
    REQUIRE(stat(file.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
  }
}

TEST_CASE("crash record: after its end the process crashes as it did before") {
  TempDir folder;
  const auto file = folder / "record";
  {
    auto record = CrashRecord::Open(file);
    REQUIRE(record);
    record->Watch();
    struct sigaction during{};
    sigaction(SIGABRT, nullptr, &during);
    CHECK((during.sa_flags & SA_SIGINFO) != 0);
  }
  auto record = CrashRecord::Open(file);
  REQUIRE(record);
  record->Watch();  // a second one may watch now
  CHECK(record->crashes().empty());
}

}  // namespace
}  // namespace outboxd
