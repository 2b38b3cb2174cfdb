// Every verb of outboxctl with its exit codes and its JSON, against the running daemon.
#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

JsonValue Json(const Finished& finished) {
  INFO("stdout ", finished.out, " stderr ", finished.err);
  CHECK(finished.status.code == 0);
  return Parsed(finished.out);
}

std::vector<JsonValue> Lines(const Finished& finished) {
  INFO("stdout ", finished.out, " stderr ", finished.err);
  CHECK(finished.status.code == 0);
  return ParsedLines(finished.out);
}

bool Holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("ctl: send takes every type by flags") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  const std::vector<std::vector<std::string>> sends = {
      {"identify", "--id", "42", "--attribute", "plan=pro", "--attribute", "age:=30"},
      {"track", "--id", "42", "--name", "buy", "--data", R"({"price":23.450})", "--ref", "r"},
      {"pageview", "--anonymous-id", "a", "--url", "https://x.example/"},
      {"destroy", "--id", "42"},
      {"raw", "--method", "PUT", "--path", "/v1/customers/9", "--body-json", R"({"a":1e400})"},
      {"suppress", "--id", "42"},
      {"unsuppress", "--id", "42"},
      {"add_device", "--id", "42", "--device-id", "d", "--platform", "ios"},
      {"delete_device", "--id", "42", "--device-id", "d"},
      {"merge", "--primary", "id=1", "--secondary", "email=x@y.example"},
      {"form", "--form-id", "f", "--data-field", "email=x@y.example"},
      {"add_to_segment", "--segment-id", "7", "--id", "1", "--id", "2"},
      {"remove_from_segment", "--segment-id", "7", "--ids", "1"},
      {"metric", "--delivery-id", "D", "--metric", "opened"},
  };
  for (const std::vector<std::string>& send : sends) {
    std::vector<std::string> arguments = {"send"};
    arguments.insert(arguments.end(), send.begin(), send.end());
    const Finished finished = daemon.Ctl(arguments);
    INFO(send.front(), ": ", finished.err);
    CHECK(finished.status.code == 0);
    CHECK(finished.out.size() == 27);  // the job id and a newline
  }
  daemon.AwaitDrained();
  const SimReport report = sim.Report();
  INFO(report.text);
  CHECK(report.requests == sends.size());
  CHECK(report.invalid.empty());
  CHECK(daemon.Status()["states"]["dead"].Int() == 0);
  for (const SimRequestSeen& request : sim.Requests()) {
    if (request.target == "/api/v1/customers/9") CHECK(request.body == R"({"a":1e400})");
    if (request.body.find("buy") != std::string::npos) CHECK(Holds(request.body, R"({"price":23.450})"));
    if (request.body.find("plan") != std::string::npos)
      CHECK(Holds(request.body, R"("plan":"pro","age":30)"));
  }
}

TEST_CASE("ctl: send takes finished lines, one or many, and prints the replies") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  const JsonValue reply = Json(daemon.Ctl({"send", "--json", Event("42", 1)}));
  CHECK(reply["ok"].Bool());
  CHECK(reply["job"].String().size() == 26);
  const Finished many =
      daemon.Ctl({"send", "--json", "-"}, Joined({Event("42", 2), "nonsense", Event("42", 3)}));
  CHECK(many.status.code == 1);
  const std::vector<JsonValue> replies = ParsedLines(many.out);
  REQUIRE(replies.size() == 3);
  CHECK(replies[1]["error"]["code"].String() == "invalid_json");
  CHECK(replies[2]["ok"].Bool());
  daemon.AwaitDrained();
  CheckNumbered(sim, "42", 3);
}

TEST_CASE(
    "ctl: the exit code tells a refusal, a wrong call, a daemon that is not there and one that is busy") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"outbox.max_jobs", "1"}});
  CHECK(daemon.Ctl({"send", "--json", R"({"type":"track","id":"1"})"}).status.code == 1);
  CHECK(daemon.Ctl({"show", EventId(1)}).status.code == 1);
  CHECK(daemon.Ctl({"pause", "elsewhere"}).status.code == 1);
  CHECK(daemon.Ctl({"dance"}).status.code == 2);
  CHECK(daemon.Ctl({}).status.code == 2);
  CHECK(daemon.Ctl({"list", "--state", "asleep"}).status.code == 2);
  CHECK(daemon.Ctl({"send", "track", "--id", "1"}).status.code == 2);
  CHECK(daemon.Ctl({"--help"}).status.code == 0);
  CHECK(daemon.Ctl({"--version"}).out == "outboxctl 0.1.0\n");
  daemon.Ctl({"pause", "default"});
  CHECK(daemon.Ctl({"send", "--json", Event("1", 1)}).status.code == 0);
  const Finished busy = daemon.Ctl({"send", "--json", Event("1", 2)});
  CHECK(busy.status.code == 75);
  CHECK(Holds(busy.err, "max_jobs"));
  daemon.Terminate();
  for (const std::vector<std::string>& verb :
       std::vector<std::vector<std::string>>{{"status"}, {"list"}, {"send", "--json", Event("1", 1)}}) {
    const Finished gone = daemon.Ctl(verb);
    CHECK(gone.status.code == 69);
    CHECK_FALSE(gone.err.empty());
  }
}

TEST_CASE("ctl: the sockets are found by the config too") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  ProcessOptions run;
  run.command = {OUTBOXCTL_BINARY, "--config", daemon.ConfigFile(), "send", "--json", Event("1", 1)};
  CHECK(Run(run).status.code == 0);
  run.command = {OUTBOXCTL_BINARY, "--config", daemon.ConfigFile(), "--json", "status"};
  CHECK(Parsed(Run(run).out)["pid"].Int() == daemon.Pid());
}

TEST_CASE("ctl: status, list, show, history and cancel tell of waiting and settled jobs") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, ConnectionConfigOf("other", sim));
  const std::string done = daemon.Accept(Event("done", 1));
  daemon.AwaitDrained();
  daemon.Ctl({"pause", "default"});
  daemon.Ctl({"pause", "other"});
  const std::vector<std::string> jobs =
      AcceptAll(daemon, {Event("42", 1), Event("42", 2), R"({"type":"identify","id":"43","ref":"r"})",
                         R"({"type":"track","id":"42","name":"x","connection":"other"})"});
  CHECK(Json(daemon.Ctl({"--json", "status"}))["outbox"]["jobs"].Int() == 4);
  const Finished people = daemon.Ctl({"status"});
  CHECK(Holds(people.out, "paused (operator)"));
  CHECK(Holds(people.out, "4 of at most"));

  CHECK(Lines(daemon.Ctl({"--json", "list"})).size() == 4);
  CHECK(Lines(daemon.Ctl({"--json", "list", "--customer", "42"})).size() == 3);
  CHECK(Lines(daemon.Ctl({"--json", "list", "--customer", "42", "--connection", "other"})).size() == 1);
  CHECK(Lines(daemon.Ctl({"--json", "list", "--type", "identify"})).front()["ref"].String() == "r");
  CHECK(Lines(daemon.Ctl({"--json", "list", "--state", "blocked"})).front()["job"].String() == jobs[1]);
  CHECK(Lines(daemon.Ctl({"--json", "list", "--state", "ready"})).size() == 3);
  CHECK(Lines(daemon.Ctl({"--json", "list", "--older-than", "1h"})).empty());
  CHECK(Lines(daemon.Ctl({"--json", "list", "--newer-than", "1h", "--limit", "2"})).size() == 2);
  CHECK(Holds(daemon.Ctl({"list"}).out, jobs[0]));

  CHECK(Json(daemon.Ctl({"--json", "show", jobs[0]}))["job"]["line"].ToText() == Event("42", 1));
  CHECK(Holds(daemon.Ctl({"show", jobs[0]}).out, jobs[0]));
  CHECK(Lines(daemon.Ctl({"--json", "history", done})).front()["result"].String() == "delivered");
  CHECK(Lines(daemon.Ctl({"--json", "history", "--customer", "done"})).size() == 1);
  CHECK(daemon.Ctl({"history"}).status.code == 2);

  CHECK(daemon.Ctl({"cancel", jobs[0]}).status.code == 0);
  CHECK(daemon.Ctl({"cancel", jobs[0]}).status.code == 1);
  CHECK(Json(daemon.Ctl({"--json", "dead", "show", jobs[0]}))["death"].String() == "cancelled");
  daemon.Ctl({"resume", "default"});
  daemon.Ctl({"resume", "other"});
  daemon.AwaitDrained();
  CHECK(sim.Effects("42").size() == 2);
}

TEST_CASE("ctl: explain says why a job is paused, deferred, blocked, dead or gone") {
  SimUnderTest sim;
  DaemonUnderTest daemon(
      sim, {{"retry.base", "1h"}, {"retry.cap", "1h"}, {"connections.default.retry.retry_after_cap", "1h"}});
  const std::string done = daemon.Accept(Event("done", 1));
  daemon.AwaitDrained();
  sim.Script(
      R"([{"match":{"customer":"bad"},"action":{"status":503,"retry_after":"3600"}},{"match":{"customer":"worse"},"action":{"status":404}}])");
  const std::string dead = daemon.Accept(Event("worse", 1));
  AwaitDead(daemon, dead);
  const std::vector<std::string> jobs = AcceptAll(daemon, {Event("bad", 1), Event("bad", 2)});
  AwaitAttempts(daemon, jobs[0], 1);
  const std::string ready = daemon.Accept(Event("other", 1));

  const JsonValue deferred = Json(daemon.Ctl({"--json", "explain", jobs[0]}));
  CHECK(deferred["state"].String() == "deferred");
  CHECK(deferred["due_ms"].Int() > 0);
  CHECK(Holds(deferred["last_reason"].String(), "503"));
  const JsonValue blocked = Json(daemon.Ctl({"--json", "explain", jobs[1]}));
  CHECK(blocked["state"].String() == "blocked");
  CHECK(blocked["blocked_by"].String() == jobs[0]);
  const JsonValue closed = Json(daemon.Ctl({"--json", "explain", ready}));
  CHECK(closed["state"].String() == "ready");
  CHECK(closed["gate"]["state"].String() == "throttled");
  CHECK(Holds(closed["explanation"].String(), "503"));
  daemon.Ctl({"pause", "default"});
  CHECK(Holds(daemon.Ctl({"explain", ready}).out, "paused by an operator"));
  CHECK(Holds(daemon.Ctl({"explain", dead}).out, "rejected"));
  CHECK(Holds(daemon.Ctl({"explain", done}).out, "delivered"));
  CHECK(daemon.Ctl({"explain", EventId(9)}).status.code == 1);
}

TEST_CASE("ctl: dead letters are listed, grouped, shown, exported, redriven and dropped") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Script(
      R"([{"match":{"event":"bad"},"action":{"status":400,"body":"{\"meta\":{\"error\":\"bad name 17\"}}"}},
                 {"match":{"event":"gone"},"action":{"status":410,"body":"{\"meta\":{\"error\":\"gone\"}}"}}])");
  std::vector<std::string> jobs;
  for (const char* name : {"bad", "bad", "gone"}) {
    jobs.push_back(daemon.Accept(R"({"type":"track","id":"42","name":")" + std::string(name) + "\"}"));
    AwaitDead(daemon, jobs.back());
  }
  CHECK(Lines(daemon.Ctl({"--json", "dead", "list"})).size() == 3);
  CHECK(Lines(daemon.Ctl({"--json", "dead", "list", "--status", "410"})).front()["job"].String() == jobs[2]);
  CHECK(Lines(daemon.Ctl({"--json", "dead", "list", "--death", "expired"})).empty());
  CHECK(Holds(daemon.Ctl({"dead", "list"}).out, jobs[0]));
  const std::vector<JsonValue> groups = Lines(daemon.Ctl({"--json", "dead", "groups"}));
  REQUIRE(groups.size() == 2);
  CHECK(groups[0]["count"].Int() == 2);
  CHECK(groups[0]["status"].Int() == 400);
  CHECK(Holds(daemon.Ctl({"dead", "groups"}).out, groups[0]["cause"].String()));
  CHECK(Json(daemon.Ctl({"--json", "dead", "show", jobs[0]}))["answer"].String() ==
        R"({"meta":{"error":"bad name 17"}})");

  const std::string file = daemon.Dir() / "dead.ndjson";
  CHECK(daemon.Ctl({"dead", "export", "--out", file}).status.code == 0);
  CHECK(ParsedLines(ReadFile(file)).size() == 3);
  CHECK(Lines(daemon.Ctl({"dead", "export", "--lines", "--status", "410"})).front()["name"].String() ==
        "gone");

  CHECK(daemon.Ctl({"dead", "redrive"}).status.code == 2);
  CHECK(Json(daemon.Ctl(
            {"--json", "dead", "redrive", "--cause", groups[0]["cause"].String(), "--dry-run"}))["matched"]
            .Int() == 2);
  CHECK(daemon.Status()["states"]["dead"].Int() == 3);
  sim.ClearScript();
  CHECK(Json(daemon.Ctl({"--json", "dead", "redrive", "--status", "400"}))["redriven"].Int() == 2);
  daemon.AwaitDrained();
  CHECK(sim.Effects("42").size() == 2);
  CHECK(daemon.Ctl({"dead", "drop", "--all"}).status.code == 2);  // cannot ask without a terminal
  CHECK(Json(daemon.Ctl({"--json", "dead", "drop", "--all", "--dry-run"}))["matched"].Int() == 1);
  CHECK(Json(daemon.Ctl({"--json", "dead", "drop", "--all", "--yes"}))["dropped"].Int() == 1);
  CHECK(daemon.Status()["states"]["dead"].Int() == 0);
  CHECK(daemon.Ctl({"dead", "show", jobs[2]}).status.code == 1);
}

TEST_CASE("ctl: probe tells whether credentials and region are right") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  const JsonValue good = Json(daemon.Ctl({"--json", "probe", "default"}));
  CHECK(good["ok"].Bool());
  CHECK(good["region"].String() == "us");
  sim.SetCredentials("site", "changed");
  const Finished bad = daemon.Ctl({"probe"});
  CHECK(bad.status.code == 1);
  CHECK(Holds(bad.out, "not ok"));
  sim.Stop();
  const Finished away = daemon.Ctl({"--json", "probe", "default"});
  CHECK(away.status.code == 1);
  CHECK_FALSE(Parsed(away.out)["message"].String().empty());
}

TEST_CASE("ctl: probe tells of an odd key, as check does") {
  SimUnderTest sim;
  const DaemonUnderTest daemon(sim, {{"connections.default.api_key", R"("'key'")"}});
  const Finished probed = daemon.Ctl({"probe"});
  CHECK(probed.status.code == 1);
  const std::string warning =
      "warning: connections.default.api_key: it stands in quotes, which count: is that a part of it?\n";
  CHECK(probed.out.find(warning) != std::string::npos);
  CHECK(daemon.Ctl({"check", daemon.ConfigFile()}).out.find(warning) != std::string::npos);
}

TEST_CASE("ctl: a backup opens as an outbox and has the jobs") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  daemon.Ctl({"pause", "default"});
  AcceptAll(daemon, ManyEvents(200, 5));
  const std::filesystem::path copy = daemon.Dir() / "copy.db";
  CHECK(Json(daemon.Ctl({"--json", "backup", copy}))["path"].String() == copy);
  CHECK(daemon.Ctl({"backup", copy}).status.code == 1);  // never overwritten

  SimUnderTest other_sim;
  DaemonUnderTest restored(other_sim, {{"outbox.path", Quoted(copy.string())}});
  CHECK(restored.Status()["outbox"]["jobs"].Int() == 200);
  restored.Ctl({"resume", "default"});
  restored.AwaitDrained();
  for (int i = 0; i < 5; ++i) CheckNumbered(other_sim, "c" + std::to_string(i), 40);
}

TEST_CASE("ctl: forget removes everything of a customer, also from the file") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Script(R"([{"match":{"count":1},"action":{"status":400}}])");
  AwaitDead(
      daemon,
      daemon.Accept(R"({"type":"track","id":"someone-known","name":"x","data":{"secret":"first-secret"}})"));
  daemon.Accept(R"({"type":"track","id":"someone-known","name":"x"})");
  daemon.AwaitDrained();
  daemon.Ctl({"pause", "default"});
  daemon.Accept(R"({"type":"track","id":"someone-known","name":"x","data":{"secret":"second-secret"}})");
  daemon.Accept(Event("bystander", 1));
  CHECK(daemon.Ctl({"forget", "someone-known"}).status.code == 2);  // needs --yes
  const JsonValue forgotten = Json(daemon.Ctl({"--json", "forget", "someone-known", "--yes"}));
  CHECK(forgotten["jobs"].Int() == 1);
  CHECK(forgotten["dead"].Int() == 1);
  CHECK(forgotten["attempts"].Int() == 2);
  CHECK(Lines(daemon.Ctl({"--json", "history", "--customer", "someone-known"})).empty());
  daemon.Terminate();
  for (const auto& entry : std::filesystem::directory_iterator(daemon.Dir())) {
    if (!entry.is_regular_file()) continue;
    INFO("file ", entry.path().string());
    for (const char* trace : {"someone-known", "first-secret", "second-secret"})
      CHECK_FALSE(Holds(ReadFile(entry.path()), trace));
  }
  daemon.Start();
  CHECK(daemon.Status()["outbox"]["jobs"].Int() == 1);
}

TEST_CASE("ctl: check tells a good config from a bad one without a daemon") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  const Finished good = daemon.Ctl({"check", daemon.ConfigFile()});
  CHECK(good.status.code == 0);
  CHECK(Holds(good.out, "1 connection"));
  CHECK(Json(daemon.Ctl({"--json", "check", daemon.ConfigFile()}))["ok"].Bool());
  daemon.SetConfig("workers", "many");
  const Finished bad = daemon.Ctl({"check", daemon.ConfigFile()});
  CHECK(bad.status.code == 1);
  CHECK(Holds(bad.err, "outboxd.yaml:"));
  CHECK(Holds(bad.err, "workers"));
}

TEST_CASE("ctl: reload has the daemon read its config, and tells when it is refused") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  daemon.SetConfig("outbox.max_jobs", "77");
  CHECK(daemon.Ctl({"reload"}).status.code == 0);
  CHECK(daemon.Status()["outbox"]["max_jobs"].Int() == 77);
  daemon.SetConfig("outbox.max_jobs", "none");
  const Finished refused = daemon.Ctl({"reload"});
  CHECK(refused.status.code == 1);
  CHECK(Holds(refused.err, "outbox.max_jobs"));
  CHECK(daemon.Status()["outbox"]["max_jobs"].Int() == 77);
}

TEST_CASE("ctl: the daemon's own user may reload it whatever listen.admin.users says") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"listen.admin.users", "[" + std::to_string(geteuid() + 1) + "]"}});
  CHECK(daemon.Ctl({"reload"}).status.code == 0);
}

TEST_CASE("ctl: metrics are those of the admin socket") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  CHECK(Holds(daemon.Ctl({"metrics"}).out, "outboxd_spool_bytes "));
}

TEST_CASE("ctl: bytes that would steer a terminal are shown, not sent") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"connections.default.strict_answers", "false"}});
  sim.Always(R"({"status":400,"body":"\u001b[2Jevil\u0007\u202e"})");
  const std::string job =
      daemon.Accept(R"({"type":"track","id":"\u001b]0;owned\u0007","name":"x","ref":"\u009b31m"})");
  AwaitDead(daemon, job);
  for (const std::vector<std::string>& verb : std::vector<std::vector<std::string>>{{"show", job},
                                                                                    {"dead", "list"},
                                                                                    {"dead", "groups"},
                                                                                    {"dead", "show", job},
                                                                                    {"history", job},
                                                                                    {"explain", job},
                                                                                    {"status"}}) {
    const Finished shown = daemon.Ctl(verb);
    INFO(verb.front(), ": ", shown.out);
    CHECK(shown.status.code == 0);
    CHECK_FALSE(Holds(shown.out, "\x1b"));
    CHECK_FALSE(Holds(shown.out, "\x07"));
    CHECK_FALSE(Holds(shown.out, "\xe2\x80\xae"));
    CHECK_FALSE(Holds(shown.out, "\xc2\x9b"));
  }
}

}  // namespace
}  // namespace outboxd
