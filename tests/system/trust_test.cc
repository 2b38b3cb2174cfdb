// Whom the daemon trusts when it speaks TLS, and what of it others may learn.
#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/support/give_up.h"
#include "tests/system/scene.h"
#include "tests/system/tls.h"

namespace outboxd {
namespace {

bool Holds(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// A system's store of authorities as Debian has it: one file of all, and a directory of links by hash.
class SystemStore {
 public:
  explicit SystemStore(const Authority& authority) {
    for (const char* name : {"authority.pem", "ca-certificates.crt"})
      WriteFile(folder_ / name, ReadFile(authority.Certificate()));
    ProcessOptions rehash;
    rehash.command = {"openssl", "rehash", folder_.Path().string()};
    if (const Finished ended = Run(std::move(rehash)); ended.status.code != 0)
      GiveUp("openssl rehash: " + ended.err);
  }

  // Runs a program in a mount namespace in which this is the system's store.
  std::vector<std::string> Wrapper() const {
    return {"unshare", geteuid() == 0 ? "-m" : "-rm", "sh", "-c", mount_, folder_.Path().string()};
  }
  bool CanBeUsed() const {
    ProcessOptions attempt;
    attempt.command = Wrapper();
    attempt.command.emplace_back("true");
    return Run(std::move(attempt)).status.code == 0;
  }

 private:
  TempDir folder_;
  const std::string mount_ = R"(mount --bind "$0" /etc/ssl/certs && exec "$@")";
};

// One job for `connection`, and the error of its first attempt; empty when it was delivered.
std::string ErrorOf(DaemonUnderTest& daemon, const std::string& connection) {
  const std::string job =
      daemon.Accept(R"({"type":"track","id":"42","name":"step","connection":)" + Quoted(connection) + "}");
  AwaitAttempts(daemon, job, 1);
  return AttemptsOf(daemon, job).front()["error"].String();
}

TEST_CASE("trust: with a ca_file an authority that only the system's store trusts gets no request") {
  SimUnderTest sim;
  const Authority own("own"), systems("systems");
  const SystemStore store(systems);
  if (!store.CanBeUsed()) {
    MESSAGE("skipped: this system does not let the test mount a store of its own");
    return;
  }
  const TlsFront front(sim, systems.Sign("IP:127.0.0.1"));
  ConfigValues overrides = ConnectionConfigOf("strict", sim);
  overrides["connections.strict.base_url"] = Quoted(front.Url());
  overrides["connections.strict.ca_file"] = Quoted(own.Certificate().string());
  DaemonUnderTest daemon(front.Url(), overrides, Launch::kLater);
  daemon.SetWrapper(store.Wrapper());
  daemon.Start();
  CHECK(Holds(ErrorOf(daemon, "strict"), "tls: SSL certificate problem"));
  CHECK(sim.Report().requests == 0);
  CHECK(ErrorOf(daemon, "default").empty());  // the store is the system's
  CHECK(sim.Report().effects == 1);
}

TEST_CASE("trust: a ca_file counts for a proxy's TLS too") {
  SimUnderTest sim;
  const Authority own("own"), systems("systems");
  const SystemStore store(systems);
  if (!store.CanBeUsed()) {
    MESSAGE("skipped: this system does not let the test mount a store of its own");
    return;
  }
  const TlsFront proxy(sim, systems.Sign("IP:127.0.0.1"));
  ConfigValues overrides = ConnectionConfigOf("strict", sim);
  overrides["connections.strict.ca_file"] = Quoted(own.Certificate().string());
  DaemonUnderTest daemon(sim, overrides, Launch::kLater);
  daemon.SetWrapper(store.Wrapper());
  daemon.SetEnvironment("http_proxy", proxy.Url());
  daemon.Start();
  CHECK(Holds(ErrorOf(daemon, "strict"), "tls: SSL certificate problem"));
  CHECK(sim.Report().requests == 0);
  CHECK_FALSE(Holds(ErrorOf(daemon, "default"), "tls: "));  // the proxy is one that the system trusts
}

TEST_CASE("trust: TLS older than 1.2 is not spoken, whatever the system allows") {
  SimUnderTest sim;
  const Authority authority;
  const TlsFront front(sim, authority.Sign("IP:127.0.0.1"), TlsAge::kOld);
  TempDir folder;
  WriteFile(folder / "openssl.cnf",
            "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = old\n[old]\n"
            "MinProtocol = TLSv1\nCipherString = DEFAULT@SECLEVEL=0\n");
  DaemonUnderTest daemon(front.Url(),
                         {{"connections.default.ca_file", Quoted(authority.Certificate().string())}},
                         Launch::kLater);
  daemon.SetEnvironment("OPENSSL_CONF", (folder / "openssl.cnf").string());
  daemon.Start();
  const std::string error = ErrorOf(daemon, "default");
  CHECK_MESSAGE(Holds(error, "tls: "), error);
  CHECK(sim.Report().requests == 0);
}

TEST_CASE("trust: SSLKEYLOGFILE is not honoured") {
  SimUnderTest sim;
  const Authority authority;
  const TlsFront front(sim, authority.Sign("IP:127.0.0.1"));
  TempDir folder;
  DaemonUnderTest daemon(front.Url(),
                         {{"connections.default.ca_file", Quoted(authority.Certificate().string())}},
                         Launch::kLater);
  daemon.SetEnvironment("SSLKEYLOGFILE", (folder / "keys").string());
  daemon.Start();
  CHECK(ErrorOf(daemon, "default").empty());
  CHECK(sim.Report().effects == 1);
  CHECK_FALSE(std::filesystem::exists(folder / "keys"));
}

}  // namespace
}  // namespace outboxd
