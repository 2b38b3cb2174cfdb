// outboxd was installed, and started, before its credentials were there: what it takes waits for them.
#include <doctest/doctest.h>

#include "core/encoding.h"
#include "tests/support/credentials_directory.h"
#include "tests/support/fake_manager.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

using test::CredentialsDirectory;

bool Holds(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The credentials of the simulated API, from the service manager.
void TakeFrom(DaemonUnderTest& daemon, const CredentialsDirectory& handed) {
  for (const char* name : {"site_id", "api_key"}) {
    const std::string key = std::string("connections.default.") + name;
    daemon.SetConfig(key, "");
    daemon.SetConfig(key + "_file", Quoted((handed / name).string()));
  }
}

TEST_CASE(
    "awaited credentials: the daemon starts without them, keeps what it takes, says what is missing, and "
    "after "
    "a restart with them delivers everything once and in order") {
  const CredentialsDirectory handed;
  handed.WriteBlank("site_id");
  handed.WriteBlank("api_key");
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.probe_interval", "50ms"}}, Launch::kLater);
  TakeFrom(daemon, handed);
  daemon.SetConfig("listen.track", "[{unix: " + Quoted((daemon.Dir() / "t.sock").string()) + "}]");
  const std::string site_id = (daemon.Dir() / "credentials/site_id").string();
  const std::string api_key = (daemon.Dir() / "credentials/api_key").string();
  const Finished check = daemon.RunToEnd({"--check"});
  CHECK(check.status.code == 0);
  CHECK(
      Holds(check.err, "warning: connections.default: its credentials are not there yet: write " + site_id));
  CHECK(Holds(daemon.Ctl({"check", daemon.ConfigFile().string()}).out, "warning: connections.default: its"));

  test::FakeManager manager;
  daemon.Start();
  CHECK(
      manager.Hears("READY=1\nSTATUS=accepting jobs, not delivering: nothing is sent on default: its "
                    "credentials are not there yet: write " +
                    site_id + " and " + api_key + ", then it delivers by itself; 0 wait"));
  const std::string first = daemon.Accept(Event("1", 1));
  AcceptAll(daemon, {Event("1", 2), Event("2", 1), Event("1", 3)});
  const JsonValue status = daemon.Status();
  CHECK_FALSE(status["delivering"].Bool());
  CHECK(ConnectionOf(status, "default")["state"].String() == "paused");
  CHECK(ConnectionOf(status, "default")["pause"].String() == "auth");
  CHECK(Holds(ConnectionOf(status, "default")["detail"].String(), api_key));
  CHECK(daemon.Admin().Get("/healthz").status == 503);
  CHECK(daemon.Admin().Get("/readyz").status == 200);
  CHECK(Holds(daemon.Ctl({"status"}).out, "not delivering: nothing is sent on default: its credentials"));
  CHECK(Holds(daemon.Ctl({"explain", first}).out, "its credentials are not there yet: write " + site_id));
  for (const char* verb : {"probe", "resume"}) {
    CAPTURE(verb);
    const Finished refused = daemon.Ctl({verb, "default"});
    CHECK(refused.status.code == 1);
    CHECK(Holds(refused.err, "its credentials are not there yet: write " + site_id));
  }
  HttpClient library(daemon.Dir() / "t.sock");
  for (const char* credentials : {"site:key", ":", "site:"}) {
    CAPTURE(credentials);
    const HttpAnswer turned_away =
        library.Send("DELETE", "/api/v1/customers/1", {},
                     {{"Authorization", "Basic " + Base64Encode(std::string_view(credentials))}});
    CHECK(turned_away.status == 503);
    CHECK(turned_away.headers.contains("retry-after"));
  }
  CHECK(library.Send("DELETE", "/api/v1/customers/1", {}).status == 401);
  CHECK(Holds(daemon.Log(), "accepting without delivering"));

  handed.Write("site_id", "site");
  daemon.Restart();  // the first of two files came
  CHECK(manager.Hears("write " + api_key + ", then it delivers"));
  CHECK(sim.Requests().empty());  // no probe either

  handed.Write("api_key", "key");
  daemon.Restart();
  CHECK(manager.Hears("STATUS=accepting jobs; "));
  CHECK(daemon.AwaitDrained()["delivering"].Bool());
  CHECK(daemon.Admin().Get("/healthz").status == 200);
  CheckNumbered(sim, "1", 3);
  CheckNumbered(sim, "2", 1);
  CheckFlawless(sim.Report());
}

TEST_CASE("awaited credentials: other connections deliver meanwhile, and an operator's pause stays one") {
  const CredentialsDirectory handed;
  handed.Write("site_id", "site");
  handed.WriteBlank("api_key");
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, ConnectionConfigOf("eu", sim), Launch::kLater);
  TakeFrom(daemon, handed);
  daemon.Start();
  daemon.Accept(Event("1", 1));
  daemon.Accept(R"({"type":"track","connection":"eu","id":"2","name":"e","data":{"n":1}})");
  daemon.AwaitStatus([](const JsonValue& status) { return ConnectionOf(status, "eu")["jobs"].Int() == 0; });
  CHECK(daemon.Ctl({"pause", "default"}).status.code == 0);
  CHECK(ConnectionOf(daemon.Status(), "default")["pause"].String() == "operator");
  handed.Write("api_key", "key");
  daemon.Restart();
  CHECK(daemon.Status()["delivering"].Bool());
  CHECK(ConnectionOf(daemon.Status(), "default")["pause"].String() == "operator");
  CHECK(daemon.Ctl({"resume", "default"}).status.code == 0);
  daemon.AwaitDrained();
  CheckNumbered(sim, "1", 1);
}

TEST_CASE(
    "awaited credentials: an operator's pause can be lifted without them, and the answer says what is left") {
  const CredentialsDirectory handed;
  handed.WriteBlank("site_id");
  handed.WriteBlank("api_key");
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  TakeFrom(daemon, handed);
  daemon.Start();
  CHECK(daemon.Ctl({"pause", "default"}).status.code == 0);
  const Finished resumed = daemon.Ctl({"resume", "default"});
  CHECK(resumed.status.code == 0);
  CHECK(Holds(resumed.out, "Connection default still sends nothing: its credentials are not there yet"));
  CHECK(ConnectionOf(daemon.Status(), "default")["pause"].String() == "auth");
}

TEST_CASE("awaited credentials: an empty file elsewhere is a wrong config still") {
  const CredentialsDirectory handed;
  handed.WriteBlank("site_id");
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  TakeFrom(daemon, handed);
  CHECK(daemon.RunToEnd().status.code == 78);  // api_key is missing altogether
  handed.WriteBlank("api_key");
  WriteFile(daemon.Dir() / "api_key", "\n");
  daemon.SetConfig("connections.default.api_key_file", Quoted((daemon.Dir() / "api_key").string()));
  const Finished refused = daemon.RunToEnd();
  CHECK(refused.status.code == 78);
  CHECK(Holds(refused.err, "connections.default.api_key_file: "));
}

}  // namespace
}  // namespace outboxd
