// outboxctl backup: the path that the daemon is told.
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>

#include "tests/ctl/admin_fixture.h"
#include "tests/ctl/fake_daemon.h"

namespace outboxd::test {
namespace {

TEST_CASE("backup: names an absolute path to the daemon") {
  AdminFixture daemon(
      [](const AdminRequest&) { return AdminAnswer{200, R"({"path":"/x/copy.db","bytes":2048})"}; });
  CHECK(daemon.Run({"backup", "copy.db"}).out == "2.0 KiB written to /x/copy.db\n");
  CHECK(daemon.Last().body ==
        R"({"path":")" + (std::filesystem::current_path() / "copy.db").string() + R"("})");
}

TEST_CASE("backup: the daemon is told where the caller's own links lead, and another user's is refused") {
  AdminFixture daemon([](const AdminRequest&) { return AdminAnswer{200, R"({"path":"/","bytes":2048})"}; });
  const TempFolder folder;
  const std::filesystem::path real = std::filesystem::canonical(folder / "") / "real";
  std::filesystem::create_directory(real);
  folder.Write("real/copy.db", "written");
  std::filesystem::create_symlink(real, folder / "way");
  const std::string copy = (folder / "way/copy.db").string();
  CHECK(daemon.Run({"backup", copy}).code == 0);
  CHECK(daemon.Last().body == R"({"path":")" + (real / "copy.db").string() + R"("})");
  if (::geteuid() != 0) return;
  REQUIRE(::lchown((folder / "way").c_str(), 64'321, 64'321) == 0);
  CHECK(daemon.Run({"reload"}).code == 0);
  const Ran refused = daemon.Run({"backup", copy});
  CHECK(refused.code == 1);
  CHECK(Contains(refused.err, "goes through a symbolic link of 64321's"));
  CHECK(daemon.Last().target == "/v1/reload");  // nothing was asked
}

TEST_CASE("backup: a file that only the daemon sees, in a /tmp of its own, is not a backup") {
  AdminFixture daemon(
      [](const AdminRequest&) { return AdminAnswer{200, R"({"path":"copy.db","bytes":2048})"}; });
  const TempFolder folder;
  const Ran unseen = daemon.Run({"backup", (folder / "copy.db").string()});
  CHECK(unseen.code == 1);
  CHECK(Contains(unseen.err, (folder / "copy.db").string() + " is not there"));
  CHECK(daemon.Run({"backup", folder.Write("copy.db", "written")}).code == 0);
}

TEST_CASE("backup: a daemon that hangs is told within seconds, however long a backup may take") {
  const TempFolder folder;
  std::atomic<bool> has_asked = false;
  const SocketServer hung(folder / "admin.sock", [&](std::string& received) {
    has_asked = has_asked || !received.empty();
    return SocketServer::Step{};
  });
  const auto begun = std::chrono::steady_clock::now();
  const Ran ran = RunCtl({"--socket", (folder / "admin.sock").string(), "backup", (folder / "x").string()});
  CHECK(has_asked);
  CHECK(ran.code == 69);
  CHECK(Contains(ran.err, "has stopped answering"));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(40));
}

}  // namespace
}  // namespace outboxd::test
