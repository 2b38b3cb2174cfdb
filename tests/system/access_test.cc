// Who may touch what: modes whatever the umask, and links, devices and strangers' files in the places of
// sockets, outbox and backups.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <array>

#include "tests/support/as_user.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

using Path = std::filesystem::path;

constexpr std::string_view kPrecious = "precious";

unsigned ModeOf(const Path& path) {
  struct stat status{};
  INFO(path.string());
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

TEST_CASE("access: sockets, outbox, lock and backup have their modes whatever the umask") {
  for (const char* mask : {"0", "0777"}) {
    CAPTURE(mask);
    SimUnderTest sim;
    DaemonUnderTest daemon(sim, {{"listen.producer.mode", "\"0666\""}, {"listen.admin.mode", "\"0660\""}},
                           Launch::kLater);
    daemon.SetWrapper({"sh", "-c", "umask " + std::string(mask) + R"(; exec "$@")", "sh"});
    daemon.Start();
    daemon.Accept(Event("1", 1));
    REQUIRE(daemon.Ctl({"backup", daemon.Dir() / "copy.db"}).status.code == 0);
    CHECK(ModeOf(daemon.ProducerSocket()) == 0666U);
    CHECK(ModeOf(daemon.AdminSocket()) == 0660U);
    for (const char* suffix : {"", "-wal", "-shm", ".lock"})
      CHECK(ModeOf(daemon.OutboxFile().string() + suffix) == 0640U);
    CHECK(ModeOf(daemon.Dir() / "copy.db") == 0600U);
  }
}

TEST_CASE("access: a link or a directory in a socket's place is refused, and what it leads to left alone") {
  SimUnderTest sim;
  DaemonUnderTest stranger(sim);
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  WriteFile(daemon.Dir() / "file", kPrecious);
  for (const Path& socket : {daemon.ProducerSocket(), daemon.AdminSocket()}) {
    const auto check_refused = [&] {
      const Finished refused = daemon.RunToEnd();
      CHECK(refused.status.code == 1);
      CHECK(refused.err.find(socket.string() + " exists and is not a socket") != std::string::npos);
    };
    for (const Path& target : {daemon.Dir() / "nothing", daemon.Dir() / "file", stranger.ProducerSocket()}) {
      CAPTURE(target.string());
      std::filesystem::create_symlink(target, socket);
      check_refused();
      CHECK(std::filesystem::read_symlink(socket) == target);
      std::filesystem::remove(socket);
    }
    std::filesystem::create_directory(socket);
    check_refused();
    CHECK(std::filesystem::is_directory(socket));
    std::filesystem::remove(socket);
  }
  CHECK_FALSE(std::filesystem::exists(daemon.Dir() / "nothing"));
  CHECK(ReadFile(daemon.Dir() / "file") == kPrecious);
  stranger.Accept(Event("1", 1));
}

TEST_CASE("access: an outbox that is a link, a pipe or a directory is refused at once and left alone") {
  SimUnderTest sim;
  DaemonUnderTest stranger(sim);
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  const auto check_refused = [&daemon](const Path& outbox) {
    CAPTURE(outbox.string());
    daemon.SetConfig("outbox.path", Quoted(outbox.string()));
    const Finished refused = daemon.RunToEnd();
    CHECK(refused.status.code == 1);
    CHECK(refused.err.find(outbox.string() + " is not a regular file") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(outbox.string() + ".lock"));
  };
  WriteFile(daemon.Dir() / "file", kPrecious);
  WriteFile(daemon.Dir() / "empty", "");
  // Devices by links only: a daemon that is broken, and root, could take away the machine's own.
  int number = 0;
  for (const Path& target : {daemon.Dir() / "nothing", daemon.Dir() / "file", daemon.Dir() / "empty",
                             stranger.OutboxFile(), Path("/dev/null"), Path("/dev/zero")}) {
    CAPTURE(target.string());
    const Path link = daemon.Dir() / ("link" + std::to_string(number++));
    std::filesystem::create_symlink(target, link);
    check_refused(link);
    CHECK(std::filesystem::read_symlink(link) == target);
  }
  REQUIRE(mkfifo((daemon.Dir() / "pipe").c_str(), 0600) == 0);
  std::filesystem::create_directory(daemon.Dir() / "directory");
  for (const Path& outbox : {daemon.Dir() / "pipe", daemon.Dir() / "directory"}) check_refused(outbox);
  CHECK_FALSE(std::filesystem::exists(daemon.Dir() / "nothing"));
  CHECK(ReadFile(daemon.Dir() / "file") == kPrecious);
  CHECK(ReadFile(daemon.Dir() / "empty").empty());
  stranger.Accept(Event("1", 1));
}

TEST_CASE("access: another program's SQLite file is refused as an outbox and not changed by a byte") {
  constexpr std::size_t kApplicationIdAt = 68;
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  daemon.Terminate();
  std::string foreign = ReadFile(daemon.OutboxFile());
  REQUIRE(foreign.size() > kApplicationIdAt + 4);
  foreign.replace(kApplicationIdAt, 4, "abcd");
  WriteFile(daemon.OutboxFile(), foreign);
  const Finished refused = daemon.RunToEnd();
  CHECK(refused.status.code == 1);
  CHECK(refused.err.find(daemon.OutboxFile().string() + " is a SQLite database but not an outbox") !=
        std::string::npos);
  CHECK(ReadFile(daemon.OutboxFile()) == foreign);
}

TEST_CASE("access: a backup never goes into what is there already, nor through a link") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  WriteFile(daemon.Dir() / "file", kPrecious);
  std::filesystem::create_symlink(daemon.Dir() / "file", daemon.Dir() / "link");
  std::filesystem::create_symlink(daemon.Dir() / "nothing", daemon.Dir() / "dangling");
  REQUIRE(mkfifo((daemon.Dir() / "pipe").c_str(), 0600) == 0);
  for (const Path& target :
       {daemon.Dir() / "file", daemon.Dir() / "link", daemon.Dir() / "dangling", daemon.Dir() / "pipe",
        daemon.Dir(), daemon.OutboxFile(), daemon.ProducerSocket()}) {
    CAPTURE(target.string());
    const Finished refused = daemon.Ctl({"backup", target});
    CHECK(refused.status.code == 1);
    CHECK(refused.err.find(target.string()) != std::string::npos);
  }
  CHECK(ReadFile(daemon.Dir() / "file") == kPrecious);
  CHECK_FALSE(std::filesystem::exists(daemon.Dir() / "nothing"));
  CHECK(std::filesystem::is_symlink(daemon.Dir() / "link"));
  daemon.Accept(Event("1", 1));
  daemon.AwaitDrained();
}

TEST_CASE("access: a backup follows no link of another user's on the way, whoever asks for it") {
  if (!CanBeOthers()) return;
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  const Path elsewhere = daemon.Dir() / "elsewhere";
  std::filesystem::create_directory(elsewhere);
  std::filesystem::create_symlink(elsewhere, daemon.Dir() / "way");
  REQUIRE(daemon.Ctl({"backup", daemon.Dir() / "way" / "own.db"}).status.code == 0);
  CHECK(std::filesystem::exists(elsewhere / "own.db"));
  REQUIRE(lchown((daemon.Dir() / "way").c_str(), kOtherUser, kOtherUser) == 0);
  const std::string target = daemon.Dir() / "way" / "copy.db";
  const Finished refused = daemon.Ctl({"backup", target});
  CHECK(refused.status.code == 1);
  CHECK(refused.err.find("goes through a symbolic link of ") != std::string::npos);
  const HttpAnswer asked = daemon.Admin().Post("/v1/backup", R"({"path":)" + Quoted(target) + "}");
  CHECK(asked.status == 409);
  CHECK(asked.body.find("goes through a symbolic link of ") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(elsewhere / "copy.db"));
}

}  // namespace
}  // namespace outboxd
