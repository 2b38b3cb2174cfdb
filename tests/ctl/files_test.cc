// The files that outboxctl makes: where others wait for them, and in the hands of root.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "ctl/interrupt.h"
#include "tests/ctl/fake_daemon.h"

namespace outboxd::test {
namespace {

constexpr const char* kOk = R"({"ok":true,"job":"J"})";
constexpr const char* kBad = R"({"ok":false,"error":{"code":"invalid_job","message":"no"}})";
constexpr const char* kPrecious = "precious";
constexpr uid_t kStranger = 64'321, kOther = 64'322;

struct stat StatusOf(const std::filesystem::path& path) {
  struct stat found{};
  INFO(path.string());
  REQUIRE(::lstat(path.c_str(), &found) == 0);
  return found;
}

void Give(const std::filesystem::path& path, uid_t user) {
  REQUIRE(::lchown(path.c_str(), user, user) == 0);
}

bool IsRoot(const char* what) {
  if (::geteuid() == 0) return true;
  MESSAGE("skipped: ", what, "; only root can try it");
  return false;
}

// A daemon that refuses what says "bad", and stops the import at what says "stop".
struct Importing {
  Importing() {
    SetInterrupted(false);
    std::filesystem::create_directory(folder / "home");
    std::filesystem::permissions(folder / "", std::filesystem::perms(0755));
    input = folder.Write("home/in.ndjson", "{\"a\":1}\n{\"bad\":2}\n{\"stop\":3}\n{\"b\":4}\n");
    state = input + ".outboxd-import";
  }
  ~Importing() { SetInterrupted(false); }

  Ran Run(std::vector<std::string> more = {}) {
    SetInterrupted(false);
    std::vector<std::string> arguments = {
        "--producer", (folder / "producer.sock").string(), "import", input, "--window", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCtl(arguments);
  }
  // Of root's file the stranger's home, and everything in it.
  void MakeStrangers() {
    Give(folder / "home", kStranger);
    Give(input, kStranger);
  }

  TempFolder folder;
  std::string input, state;
  bool stops = true;
  FakeProducer producer{folder / "producer.sock", [this](const std::string& line) -> std::string {
                          if (Contains(line, "stop") && stops) SetInterrupted(true);
                          return Contains(line, "bad") ? kBad : kOk;
                        }};
};

TEST_CASE("files: the state of an import is its owner's alone, and planted links do not lead it astray") {
  Importing importing;
  const std::string victim = importing.folder.Write("victim", kPrecious);
  for (const char* suffix : {"", ".new"}) std::filesystem::create_symlink(victim, importing.state + suffix);
  CHECK(importing.Run().code == 1);  // a link is no state
  CHECK(TempFolder::Read(victim) == kPrecious);
  std::filesystem::remove(importing.state);
  CHECK(importing.Run().code == 130);
  CHECK(TempFolder::Read(victim) == kPrecious);
  CHECK((StatusOf(importing.state).st_mode & 07777) == 0600);
  CHECK(S_ISREG(StatusOf(importing.state).st_mode));
  importing.stops = false;
  CHECK(importing.Run({"--resume"}).code == 1);
  CHECK_FALSE(std::filesystem::exists(importing.state));
}

TEST_CASE("files: as root the state of an import is made as the input's owner, and trusted from no other") {
  if (!IsRoot("a file of another user's")) return;
  Importing importing;
  importing.MakeStrangers();
  CHECK(importing.Run().code == 130);
  CHECK(StatusOf(importing.state).st_uid == kStranger);
  Give(importing.state, kOther);
  const Ran planted = importing.Run({"--resume"});
  CHECK(planted.code == 1);
  CHECK(Contains(planted.err, "is another user's"));
  Give(importing.state, 0);  // made by root before the file was given away
  importing.stops = false;
  CHECK(importing.Run({"--resume"}).code == 1);
  CHECK_FALSE(std::filesystem::exists(importing.state));
}

TEST_CASE("files: where the input's owner may not write, root keeps the state itself") {
  if (!IsRoot("a file of another user's")) return;
  Importing importing;
  Give(importing.input, kStranger);
  CHECK(importing.Run().code == 130);
  CHECK(StatusOf(importing.state).st_uid == 0);
  CHECK((StatusOf(importing.state).st_mode & 07777) == 0600);
}

TEST_CASE("files: rejected lines go into a new file, never through a link, and on resuming into the same") {
  Importing importing;
  const std::string victim = importing.folder.Write("victim", kPrecious);
  const std::filesystem::path rejects = importing.folder / "home/rejects";
  for (const char* resume : {"", "--resume"}) {
    std::filesystem::create_symlink(victim, rejects);
    std::vector<std::string> arguments = {"--rejects", rejects.string()};
    if (*resume != '\0') arguments.emplace_back(resume);
    CHECK(importing.Run(arguments).code == 2);
    CHECK(TempFolder::Read(victim) == kPrecious);
    std::filesystem::remove(rejects);
  }
  CHECK(importing.Run({"--rejects", victim}).code == 2);
  CHECK(TempFolder::Read(victim) == kPrecious);
  CHECK(importing.Run({"--rejects", rejects.string()}).code == 130);
  CHECK((StatusOf(rejects).st_mode & 07777) == 0600);
  CHECK(TempFolder::Read(rejects) == "{\"bad\":2}\n");
  importing.stops = false;
  CHECK(importing.Run({"--resume", "--rejects", rejects.string()}).code == 1);
  CHECK(TempFolder::Read(rejects).starts_with("{\"bad\":2}\n"));
}

TEST_CASE("files: as root rejected lines become the input's owner's, where they may write") {
  if (!IsRoot("a file of another user's")) return;
  Importing importing;
  importing.MakeStrangers();
  importing.stops = false;
  const std::filesystem::path theirs = importing.folder / "home/rejects",
                              roots = importing.folder / "rejects";
  CHECK(importing.Run({"--rejects", theirs.string()}).code == 1);
  CHECK(StatusOf(theirs).st_uid == kStranger);
  CHECK(importing.Run({"--rejects", roots.string()}).code == 1);
  CHECK(StatusOf(roots).st_uid == 0);
  CHECK(TempFolder::Read(roots) == "{\"bad\":2}\n");
}

TEST_CASE("files: an export is its maker's alone and goes through no link") {
  const TempFolder folder;
  FakeAdmin admin(folder / "admin.sock", [](const AdminRequest&) {
    return AdminAnswer{200, R"({"rows":[{"job":"J","line":{"a":1}}]})"};
  });
  const auto run = [&](const std::filesystem::path& file) {
    return RunCtl({"--socket", (folder / "admin.sock").string(), "dead", "export", "--out", file.string()});
  };
  const std::string victim = folder.Write("victim", kPrecious);
  std::filesystem::create_symlink(victim, folder / "link");
  std::filesystem::create_symlink(folder / "nothing", folder / "dangling");
  for (const char* name : {"victim", "link", "dangling"}) CHECK(run(folder / name).code == 1);
  CHECK(TempFolder::Read(victim) == kPrecious);
  CHECK_FALSE(std::filesystem::exists(folder / "nothing"));
  CHECK(run(folder / "export").code == 0);
  CHECK((StatusOf(folder / "export").st_mode & 07777) == 0600);
  if (!IsRoot("a link on the way of another user's")) return;
  std::filesystem::create_directory(folder / "home");
  std::filesystem::create_directory_symlink("home", folder / "strangers");
  Give(folder / "strangers", kStranger);
  const Ran refused = run(folder / "strangers/export");
  CHECK(refused.code == 1);
  CHECK(Contains(refused.err, "goes through a symbolic link of"));
  CHECK(std::filesystem::is_empty(folder / "home"));
}

Ran TlsInit(const TempFolder& folder, std::vector<std::string> more = {}) {
  const std::string config =
      folder.Write("outboxd.yaml", "outbox: {path: " + (folder / "outbox/outbox.db").string() +
                                       "}\nconnections:\n  default: {site_id: s, api_key: k}\n");
  std::vector<std::string> arguments = {"--config", config, "tls-init"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return RunCtl(arguments);
}

TEST_CASE("files: tls-init overwrites no key, and a link in its directory's place is refused") {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "outbox");
  std::filesystem::create_directory(folder / "elsewhere");
  std::filesystem::create_directory_symlink(folder / "elsewhere", folder / "outbox/tls");
  CHECK(TlsInit(folder).code == 1);
  CHECK(std::filesystem::is_empty(folder / "elsewhere"));
  std::filesystem::remove(folder / "outbox/tls");
  for (const char* name : {"key.pem", "certificate.pem", "ca-key.pem", "ca.pem"}) {
    CAPTURE(name);
    const std::string mine = folder.Write(std::string("elsewhere/") + name, kPrecious);
    const Ran refused = TlsInit(folder, {"--directory", (folder / "elsewhere").string()});
    CHECK(refused.code == 1);
    CHECK(Contains(refused.err, mine + " is there already"));
    CHECK(TempFolder::Read(mine) == kPrecious);
    std::filesystem::remove(mine);
  }
  CHECK(TlsInit(folder).code == 0);
  CHECK((StatusOf(folder / "outbox/tls").st_mode & 07777) == 0755);
  std::filesystem::permissions(folder / "elsewhere", std::filesystem::perms(0777));
  const Ran open = TlsInit(folder, {"--directory", (folder / "elsewhere").string()});
  CHECK(open.code == 1);
  CHECK(Contains(open.err, "may be written by everyone"));
}

TEST_CASE(
    "files: as root tls-init works as the outbox's owner, and gives the authority's key to nobody else") {
  if (!IsRoot("an outbox of another user's")) return;
  const TempFolder folder;
  std::filesystem::permissions(folder / "", std::filesystem::perms(0755));
  for (const char* name : {"outbox", "strangers", "roots"}) std::filesystem::create_directory(folder / name);
  Give(folder / "outbox", kOther);
  Give(folder / "strangers", kStranger);
  REQUIRE(TlsInit(folder).code == 0);
  for (const char* name : {"", "/ca.pem", "/ca-key.pem", "/certificate.pem", "/key.pem"})
    CHECK(StatusOf(folder / ("outbox/tls" + std::string(name))).st_uid == kOther);
  for (const char* name : {"strangers", "strangers/tls"}) {
    const Ran refused = TlsInit(folder, {"--directory", (folder / name).string()});
    CHECK(refused.code == 1);
    CHECK(Contains(refused.err, "would be in the hands of 64321"));
    CHECK(std::filesystem::is_empty(folder / "strangers"));
  }
  REQUIRE(TlsInit(folder, {"--directory", (folder / "roots/tls").string()}).code == 0);
  CHECK(StatusOf(folder / "roots/tls").st_uid == 0);
  CHECK(StatusOf(folder / "roots/tls/ca-key.pem").st_uid == 0);
  CHECK(StatusOf(folder / "roots/tls/key.pem").st_uid == kOther);  // the daemon has to read it
  CHECK((StatusOf(folder / "roots/tls/key.pem").st_mode & 07777) == 0600);
}

}  // namespace
}  // namespace outboxd::test
