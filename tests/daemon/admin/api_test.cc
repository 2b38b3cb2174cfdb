#include "daemon/admin/api.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cctype>
#include <string>
#include <thread>
#include <vector>

#include "core/json.h"
#include "tests/daemon/admin/admin_rig.h"

using namespace outboxd;
using namespace outboxd::test;

TEST_CASE("admin api: root, healthz and readyz answer in text, with the reason when something is wrong") {
  Api api;
  CHECK(api.Ask("GET", "/").body.find("outboxd") == 0);
  CHECK(api.Ask("GET", "/healthz").body == "ok\n");
  CHECK(api.Ask("GET", "/readyz").status == 200);
  api.control.status.health.not_healthy = "disk full";
  api.control.status.health.not_accepting = "shutting down";
  CHECK(api.Ask("GET", "/healthz").status == 503);
  CHECK(api.Ask("GET", "/healthz").body == "disk full\n");
  CHECK(api.Ask("GET", "/readyz").status == 503);
  CHECK(api.Ask("GET", "/readyz").body == "shutting down\n");
}

TEST_CASE("admin api: healthz says that nothing is delivered, while readyz asks whether jobs are accepted") {
  Api api;
  api.control.status.health.not_delivering = "crashed too often";
  CHECK(api.Ask("GET", "/healthz").status == 503);
  CHECK(api.Ask("GET", "/healthz").body == "crashed too often\n");
  CHECK(api.Ask("GET", "/readyz").status == 200);
  const JsonValue status = api.Get("/v1/status");
  CHECK_FALSE(status["delivering"].Bool());
  CHECK(status["delivering_reason"].String() == "crashed too often");
}

TEST_CASE(
    "admin api: what a busy dispatcher would have to say is answered 503 busy, and no state is made up") {
  Api api;
  api.control.busy = Error{ErrorKind::kBusy, "outboxd is busy", {}};
  const std::string job = api.Get("/v1/jobs", 503)["error"]["kind"].String();
  CHECK(job == "busy");
  CHECK(api.Get("/v1/status", 503)["error"]["message"].String() == "outboxd is busy");
  CHECK(api.Get("/v1/jobs?state=in_flight", 503)["error"]["kind"].String() == "busy");
  CHECK(api.Get("/v1/jobs?state=ready", 503)["error"]["kind"].String() == "busy");
  CHECK(api.Ask("GET", "/metrics").status == 503);
  CHECK(api.Ask("GET", "/healthz").status == 200);
  CHECK(api.Ask("GET", "/readyz").status == 200);
}

TEST_CASE("admin api: an unknown path is 404, a wrong method 405 with the right one named") {
  Api api;
  for (const char* path :
       {"/v1", "/v1/", "//", "/v1/status/", "/v1/jobs/x/y", "/v1/connections//pause", "/v2/status", ""}) {
    CHECK(api.Get(path, 404)["error"]["kind"].String() == "not_found");
  }
  struct Wrong {
    const char* method;
    const char* path;
    const char* allowed;
  };
  for (const Wrong& wrong : {Wrong{"POST", "/v1/status", "GET"},
                             {"GET", "/v1/dead/redrive", "POST"},
                             {"DELETE", "/v1/dead/groups", "GET"},
                             {"GET", "/v1/reload", "POST"},
                             {"PUT", "/v1/connections/default/pause", "POST"},
                             {"POST", "/metrics", "GET"}}) {
    const HttpResponse answer = api.Ask(wrong.method, wrong.path);
    CHECK(answer.status == 405);
    REQUIRE(answer.headers.size() == 1);
    CHECK(answer.headers[0] == std::pair<std::string, std::string>("Allow", wrong.allowed));
  }
  CHECK(api.Ask("HEAD", "/v1/status").status == 200);
  CHECK(api.control.calls.empty());
}

TEST_CASE("admin api: status tells every agreed member, and sums over the connections") {
  Api api;
  api.control.status.bytes = 4'096;
  api.control.status.outbox_path = "/var/lib/outboxd/outbox.db";
  api.control.status.totals.accepted = 12;
  api.control.status.rates.delivered = 2.5;
  api.control.status.connections.push_back(api.control.status.connections[0]);
  api.control.status.connections[1].name = "eu";
  api.control.status.connections[0].suspects = 3;
  api.control.status.connections[0].batch_mode = BatchMode::kOn;
  api.control.status.connections[0].batch_use = BatchUse::kNoRoute;
  api.control.status.connections[0].batch_items = 7;
  api.Gate().state = GateState::kPaused;
  api.Gate().pause = PauseReason::kAuth;
  api.Gate().detail = "401 Unauthorized";
  const JsonValue status = api.Get("/v1/status");
  for (const char* name : {"version", "pid", "started_ms", "now_ms", "accepting", "accepting_reason",
                           "delivering", "delivering_reason", "outbox", "states", "rates", "totals"}) {
    CHECK_MESSAGE(status.Has(name), name);
  }
  CHECK(status["accepting"].Bool());
  CHECK(status["outbox"]["jobs"].Int() == 20);
  CHECK(status["outbox"]["bytes"].Int() == 4'096);
  CHECK(status["outbox"]["dead"].Int() == 8);
  CHECK(status["states"]["ready"].Int() == 8);
  CHECK(status["states"]["blocked"].Int() == 6);
  CHECK(status["totals"]["accepted"].Int() == 12);
  CHECK(status["rates"]["delivered_per_s"].Number() == 2.5);
  const JsonValue connection = status["connections"].Items().at(0);
  CHECK(connection["state"].String() == "paused");
  CHECK(connection["pause"].String() == "auth");
  CHECK(connection["detail"].String() == "401 Unauthorized");
  CHECK(connection["oldest_ms"].Int() == 500);
  CHECK(connection["ready"].Int() == 4);
  CHECK(connection["suspects"].Int() == 3);
  CHECK(connection["batch"]["mode"].String() == "on");
  CHECK(connection["batch"]["use"].String() == "no_route");
  CHECK(connection["batch"]["items"].Int() == 7);
  CHECK_FALSE(connection.Has("reopen_ms"));
}

TEST_CASE("admin api: metrics on the admin socket, and alone on the TCP listener") {
  Api api;
  const HttpResponse answer = api.Ask("GET", "/metrics");
  CHECK(answer.status == 200);
  CHECK(std::string_view(answer.content_type) == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(answer.body.find("outboxd_spool_bytes") != std::string::npos);
  const auto over_tcp = [&](std::string_view method, std::string_view path) {
    HttpRequestView request;
    request.method = method;
    request.path = path;
    return api.api.HandleMetrics(request).status;
  };
  CHECK(over_tcp("GET", "/metrics") == 200);
  CHECK(over_tcp("GET", "/healthz") == 200);
  CHECK(over_tcp("GET", "/readyz") == 200);
  CHECK(over_tcp("POST", "/metrics") == 405);
  CHECK(over_tcp("POST", "/readyz") == 405);
  CHECK(over_tcp("GET", "/v1/status") == 404);
  CHECK(over_tcp("POST", "/v1/reload") == 404);
  CHECK(api.control.calls.empty());
}

TEST_CASE("admin api: job rows carry what applies, and nothing else") {
  Api api;
  OutboxLine line = Line(1);
  line.reason = "503 \x01 \"odd\"";
  line.due_ms = 120'000;
  line.attempts = 2;
  line.failures = 5;
  line.suspicion = "trouble";
  line.refusals = 4;
  line.counted_ms = 90'000;
  line.line = R"({"type":"track","id":"42","name":"x","ref":"order-9"})";
  api.rows.Add(line);
  line = Line(2);
  line.customer = "";
  api.rows.Add(line);
  const auto rows = api.Get("/v1/jobs")["rows"].Items();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0]["job"].String() == OutboxRows::JobId(1));
  CHECK(rows[0]["state"].String() == "deferred");
  CHECK(rows[0]["due_ms"].Int() == 120'000);
  CHECK(rows[0]["reason"].String() == "503 \x01 \"odd\"");
  CHECK(rows[0]["ref"].String() == "order-9");
  CHECK(rows[0]["attempts"].Int() == 2);
  CHECK(rows[0]["failures"].Int() == 5);
  CHECK(rows[0]["suspicion"].String() == "trouble");
  CHECK(rows[0]["refusals"].Int() == 4);
  CHECK(rows[0]["counted_ms"].Int() == 90'000);
  CHECK(rows[1]["failures"].Int() == 0);
  for (const char* name : {"suspicion", "refusals", "counted_ms"}) CHECK_FALSE(rows[1].Has(name));
  CHECK(rows[0]["bytes"].Int() == 53);
  CHECK_FALSE(rows[0].Has("line"));
  CHECK(rows[1]["state"].String() == "ready");
  for (const char* name : {"customer", "due_ms", "redriven_ms", "reason", "ref", "line"})
    CHECK_FALSE(rows[1].Has(name));
}

TEST_CASE("admin api: what the dispatcher knows of a job's state wins over the row's columns") {
  Api api;
  OutboxLine deferred = Line(1);
  deferred.due_ms = 5;
  api.rows.Add(deferred);
  OutboxLine parked = Line(2);
  parked.parked = 77;
  api.rows.Add(parked);
  api.rows.Add(Line(3));
  const auto states = [&] {
    std::string text;
    for (const JsonValue& row : api.Get("/v1/jobs")["rows"].Items()) text += row["state"].String() + " ";
    return text;
  };
  CHECK(states() == "deferred blocked ready ");
  api.control.places[Sequence{1}] = {JobState::kInFlight, std::nullopt};
  api.control.places[Sequence{2}] = {JobState::kReady, std::nullopt};
  api.control.places[Sequence{3}] = {JobState::kBlocked, Sequence{1}};
  CHECK(states() == "in_flight ready blocked ");
}

TEST_CASE("admin api: jobs are filtered by state wherever that is known, page after page") {
  Api api;
  REQUIRE(api.rows.Handle().Execute("BEGIN"));
  for (std::uint64_t sequence = 1; sequence <= 2'500; ++sequence) {
    OutboxLine line = Line(sequence);
    if (sequence % 1'000 == 0) line.due_ms = 200'000;
    if (sequence % 7 == 0) line.customer = "seven";
    api.rows.Add(line);
  }
  REQUIRE(api.rows.Handle().Execute("COMMIT"));
  api.control.in_flight = {Sequence{2'450}, Sequence{7}, Sequence{3}, Sequence{9'999}};
  for (const Sequence sequence : api.control.in_flight)
    api.control.places[sequence] = {JobState::kInFlight, std::nullopt};
  for (const std::uint64_t sequence : {10U, 1'500U, 2'500U})
    api.control.places[Sequence{sequence}] = {JobState::kBlocked, Sequence{3}};
  api.control.places[Sequence{1'000}] = {JobState::kReady, std::nullopt};

  CHECK(api.Listed("/v1/jobs?state=in_flight") == Numbers{3, 7, 2'450});
  CHECK(api.Listed("/v1/jobs?state=in_flight&customer=seven") == Numbers{7, 2'450});
  CHECK(api.Listed("/v1/jobs?state=in_flight&after=3&limit=1") == Numbers{7});
  CHECK(api.Get("/v1/jobs?state=in_flight&after=3&limit=1")["next"].Int() == 7);
  CHECK(api.Listed("/v1/jobs?state=deferred") == Numbers{2'000});
  CHECK(api.Listed("/v1/jobs?state=blocked") == Numbers{10, 1'500, 2'500});
  CHECK(api.Listed("/v1/jobs?state=blocked&limit=2") == Numbers{10, 1'500});
  CHECK(api.Get("/v1/jobs?state=blocked&limit=2")["next"].Int() == 1'500);
  CHECK(api.Listed("/v1/jobs?state=blocked&limit=2&after=1500") == Numbers{2'500});
  CHECK_FALSE(api.Get("/v1/jobs?state=blocked&limit=2&after=1500").Has("next"));
  CHECK(api.Listed("/v1/jobs?state=ready&limit=1000").size() == 1'000);
  CHECK(api.Listed("/v1/jobs?state=ready&limit=1000&after=2498") == Numbers{2'499});
}

TEST_CASE("admin api: job lists understand every filter, escaped or not") {
  Api api;
  OutboxLine line = Line(1);
  line.customer = "a+b@example.com";
  line.accepted_ms = 40'000;
  api.rows.Add(line);
  line = Line(2);
  line.customer = "ü/&=";
  line.connection = "eu";
  line.type = "identify";
  line.accepted_ms = 90'000;
  api.rows.Add(line);
  CHECK(api.Listed("/v1/jobs?customer=a+b@example.com") == Numbers{1});
  CHECK(api.Listed("/v1/jobs?customer=%C3%BC%2F%26%3D") == Numbers{2});
  CHECK(api.Listed("/v1/jobs?connection=eu&type=identify") == Numbers{2});
  CHECK(api.Listed("/v1/jobs?older_than_s=30") == Numbers{1});
  CHECK(api.Listed("/v1/jobs?newer_than_s=30") == Numbers{2});
  CHECK(api.Listed("/v1/jobs?job=" + OutboxRows::JobId(2)) == Numbers{2});
  CHECK(api.Listed("/v1/jobs?limit=1") == Numbers{1});
  CHECK(api.Get("/v1/jobs?limit=1")["next"].Int() == 1);
  CHECK(api.Listed("/v1/jobs?limit=1&after=1") == Numbers{2});
  CHECK_FALSE(api.Get("/v1/jobs?limit=1&after=1").Has("next"));
}

TEST_CASE("admin api: a filter that is unknown, doubled or cannot be is refused by name") {
  Api api;
  struct Bad {
    const char* target;
    const char* field;
  };
  for (const Bad& bad : {Bad{"/v1/jobs?colour=red", "colour"},
                         {"/v1/jobs?state=dead", "state"},
                         {"/v1/jobs?death=expired", "death"},
                         {"/v1/jobs?type=trak", "type"},
                         {"/v1/jobs?limit=0", "limit"},
                         {"/v1/jobs?limit=1001", "limit"},
                         {"/v1/jobs?limit=1x", "limit"},
                         {"/v1/jobs?limit=", "limit"},
                         {"/v1/jobs?after=-1", "after"},
                         {"/v1/jobs?after=99999999999999999999", "after"},
                         {"/v1/jobs?older_than_s=1.5", "older_than_s"},
                         {"/v1/jobs?job=short", "job"},
                         {"/v1/jobs?customer=1&customer=2", "customer"},
                         {"/v1/dead?state=ready", "state"},
                         {"/v1/dead?death=done", "death"},
                         {"/v1/dead?status=20", "status"},
                         {"/v1/dead?full=yes", "full"},
                         {"/v1/history", "job"},
                         {"/v1/history?job=x", "job"},
                         {"/v1/history?customer=1&type=track", "type"},
                         {"/v1/history?result=done", "result"},
                         {"/v1/history?from_ms=1.5", "from_ms"},
                         {"/v1/history?to_ms=-1", "to_ms"},
                         {"/v1/history?uid=x", "uid"},
                         {"/v1/history?limit=5", "job"},
                         {"/v1/jobs/short", "job"},
                         {"/v1/jobs/81JDB3T0C5W7X8Y9Z0ABCDEFGH/explain", "job"},
                         {"/v1/dead/short", "job"}}) {
    CHECK_MESSAGE(api.ErrorField("GET", bad.target) == bad.field, bad.target);
  }
  const std::string id = OutboxRows::JobId(1);
  CHECK(api.ErrorField("GET", "/v1/history?customer=1&job=" + id) == "job");
  CHECK(api.ErrorField("GET", "/v1/history?connection=eu&job=" + id) == "connection");
}

TEST_CASE(
    "admin api: a job is shown with its line, its attempts and its dead letter, by its id in either case") {
  Api api;
  OutboxLine line = Line(5);
  line.line = R"({"type":"track","id":"42","name":"x","data":{"n":1e400,"m":0.10}})";
  api.rows.Add(line);
  AttemptLine attempt;
  attempt.sequence = 5;
  attempt.result = "deferred";
  attempt.status.reset();
  attempt.error = "connect: Connection refused";
  attempt.answer = "";
  api.rows.Add(attempt);
  api.rows.Add(Dead(6));

  std::string id = OutboxRows::JobId(5);
  for (char& letter : id) letter = static_cast<char>(std::tolower(letter));
  const JsonValue shown = api.Get("/v1/jobs/" + id);
  CHECK(shown["job"]["line"].ToText() == line.line);
  CHECK_FALSE(shown.Has("dead"));
  const auto attempts = shown["attempts"].Items();
  REQUIRE(attempts.size() == 1);
  CHECK(attempts[0]["error"].String() == "connect: Connection refused");
  CHECK(attempts[0]["duration_ms"].Int() == 12);
  CHECK_FALSE(attempts[0].Has("status"));
  CHECK_FALSE(attempts[0].Has("answer"));

  const JsonValue dead = api.Get("/v1/jobs/" + OutboxRows::JobId(6));
  CHECK_FALSE(dead.Has("job"));
  CHECK(dead["dead"]["death"].String() == "rejected");
  CHECK(dead["dead"]["line"].IsObject());
  CHECK(dead["attempts"].IsArray());
}

TEST_CASE("admin api: an id with the right sequence and another rest is unknown") {
  Api api;
  api.rows.Add(Line(5));
  api.rows.Add(Dead(6));
  AttemptLine attempt;
  attempt.sequence = 7;
  api.rows.Add(attempt);
  for (const std::uint64_t sequence : {5U, 6U, 7U, 8U}) {
    const std::string other = Ulid::Make(FromUnixMs(1'000), Sequence{sequence}, 8).ToText();
    CHECK(api.Get("/v1/jobs/" + other, 404)["error"]["field"].String() == "job");
    api.Get("/v1/jobs/" + other + "/explain", 404);
    api.Get("/v1/dead/" + other, 404);
    api.Json("POST", "/v1/jobs/" + other + "/cancel", {}, 404);
    CHECK(api.Listed("/v1/history?job=" + other).empty());
    CHECK(api.Listed("/v1/jobs?job=" + other).empty());
    CHECK(api.Listed("/v1/dead?job=" + other).empty());
  }
  CHECK(api.control.calls.empty());
}

TEST_CASE("admin api: history by job and by customer") {
  Api api;
  for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) {
    AttemptLine attempt;
    attempt.sequence = sequence;
    attempt.connection = sequence == 3 ? "eu" : "default";
    api.rows.Add(attempt);
    attempt.attempt = 2;
    api.rows.Add(attempt);
  }
  CHECK(api.Listed("/v1/history?job=" + OutboxRows::JobId(2)) == Numbers{2, 2});
  CHECK(api.Listed("/v1/history?customer=42") == Numbers{1, 1, 2, 2, 3, 3});
  CHECK(api.Listed("/v1/history?customer=42&connection=eu") == Numbers{3, 3});
  CHECK(api.Listed("/v1/history?customer=42&limit=1") == Numbers{1});
  CHECK(api.Get("/v1/history?customer=42&limit=1")["next"].Int() == 1);
  CHECK(api.Listed("/v1/history?customer=43").empty());
}

TEST_CASE("admin api: history by time, name, ref, result and user, with what was kept of the job") {
  Api api;
  std::vector<AttemptLine> pack;
  for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) {
    AttemptLine& attempt = pack.emplace_back();
    attempt.sequence = sequence;
    attempt.sent_ms = static_cast<std::int64_t>(sequence) * 1'000;
    attempt.name = sequence == 2 ? "purchase" : "signup";
    attempt.ref = "order-" + std::to_string(sequence);
    attempt.uid = 30 + static_cast<std::int64_t>(sequence);
    attempt.result = sequence == 3 ? "deferred" : "delivered";
  }
  api.rows.AddPack(pack);
  CHECK(api.Listed("/v1/history?customer=42&name=purchase") == Numbers{2});
  CHECK(api.Listed("/v1/history?ref=order-3") == Numbers{3});
  CHECK(api.Listed("/v1/history?result=deferred") == Numbers{3});
  CHECK(api.Listed("/v1/history?uid=31") == Numbers{1});
  CHECK(api.Listed("/v1/history?from_ms=2000&to_ms=3000") == Numbers{2});
  const JsonValue row = api.Get("/v1/history?ref=order-2")["rows"].Items().at(0);
  CHECK(row["name"].String() == "purchase");
  CHECK(row["ref"].String() == "order-2");
  CHECK(row["uid"].Int() == 32);
  CHECK(row["accepted_ms"].Int() == 1'000);
}

TEST_CASE("admin api: dead letters are listed, in full on request, shown and grouped") {
  Api api;
  for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) {
    DeadLine dead = Dead(sequence);
    if (sequence == 3) {
      dead.death = "expired";
      dead.status.reset();
      dead.cause = "too \"old\"";
      dead.dead_ms = 95'000;
    }
    api.rows.Add(dead);
  }
  CHECK(api.Listed("/v1/dead") == Numbers{1, 2, 3});
  CHECK(api.Listed("/v1/dead?death=expired") == Numbers{3});
  CHECK(api.Listed("/v1/dead?status=400") == Numbers{1, 2});
  CHECK(api.Listed("/v1/dead?cause=too%20%22old%22") == Numbers{3});
  CHECK(api.Listed("/v1/dead?older_than_s=10") == Numbers{1, 2});
  CHECK(api.Listed("/v1/dead?limit=1&after=1") == Numbers{2});
  CHECK_FALSE(api.Get("/v1/dead")["rows"].Items().at(0).Has("line"));
  const JsonValue full = api.Get("/v1/dead?full=true")["rows"].Items().at(0);
  CHECK(full["line"]["name"].String() == "purchase");
  CHECK(full["answer"].String() == R"({"meta":{"error":"bad name"}})");
  CHECK(api.Get("/v1/dead/" + OutboxRows::JobId(2))["line"].IsObject());
  const auto groups = api.Get("/v1/dead/groups")["groups"].Items();
  REQUIRE(groups.size() == 2);
  CHECK(groups[0]["count"].Int() == 2);
  CHECK(groups[0]["example"].String() == OutboxRows::JobId(1));
  CHECK(groups[1]["cause"].String() == "too \"old\"");
  CHECK_FALSE(groups[1].Has("status"));
}

TEST_CASE("admin api: redrive and drop need a scope, and pass it on as it was given") {
  Api api;
  for (const char* path : {"/v1/dead/redrive", "/v1/dead/drop"}) {
    for (const char* body :
         {"", "{}", R"({"filter":{}})", R"({"filter":{},"all":false})", R"({"dry_run":true})"}) {
      CHECK(api.ErrorField("POST", path, body) == "filter");
    }
    CHECK(api.ErrorField("POST", path, R"({"filter":{"caus":"x"}})") == "caus");
    CHECK(api.ErrorField("POST", path, R"({"filter":{"cause":["x"]}})") == "cause");
    CHECK(api.ErrorField("POST", path, R"({"filter":{"status":"4x"}})") == "status");
    CHECK(api.ErrorField("POST", path, R"({"filter":{"limit":5}})") == "limit");
    CHECK(api.ErrorField("POST", path, R"({"filter":"all"})") == "filter");
    CHECK(api.ErrorField("POST", path, R"({"all":"yes"})") == "all");
    CHECK(api.ErrorField("POST", path, R"({"all":true,"dry_run":1})") == "dry_run");
    CHECK(api.ErrorField("POST", path, R"({"all":true,"dryrun":true})") == "dryrun");
    CHECK(api.ErrorField("POST", path, "[]").empty());
    CHECK(api.ErrorField("POST", path, "{").empty());
  }
  CHECK(api.control.calls.empty());

  const JsonValue redriven = api.Json(
      "POST", "/v1/dead/redrive",
      R"({"filter":{"connection":"eu","status":400,"cause":"a b","older_than_s":10,"death":"rejected"}})");
  CHECK(redriven["matched"].Int() == 5);
  CHECK(redriven["redriven"].Int() == 5);
  CHECK(api.control.filter.connection == "eu");
  CHECK(api.control.filter.status == 400);
  CHECK(api.control.filter.cause == "a b");
  CHECK(api.control.filter.dead_before == kNow - std::chrono::seconds(10));
  CHECK(api.control.filter.death == "rejected");
  CHECK_FALSE(api.control.filter.sequence);

  api.Json("POST", "/v1/dead/redrive", R"({"filter":{"job":")" + OutboxRows::JobId(9) + "\"}}");
  CHECK(api.control.filter.sequence == Sequence{9});
  CHECK(api.control.filter.job == OutboxRows::JobId(9));
  CHECK(api.Json("POST", "/v1/dead/drop", R"({"all":true,"dry_run":true})")["dropped"].Int() == 0);
  CHECK(api.control.filter.MatchesAll());
  CHECK(api.control.calls == std::vector<std::string>{"redrive", "redrive", "count"});
}

TEST_CASE("admin api: commands reach the daemon with their arguments decoded") {
  Api api;
  api.rows.Add(Line(5));
  CHECK(api.Json("POST", "/v1/connections/a%2Fb/pause")["connection"]["name"].String() == "a/b");
  CHECK(api.Json("POST", "/v1/connections/default/resume")["connection"]["state"].String() == "open");
  CHECK(api.Json("POST", "/v1/backup", R"({"path":"/tmp/x.db"})")["bytes"].Int() == 4'096);
  CHECK(api.Json("POST", "/v1/forget", R"({"customer":"42"})")["attempts"].Int() == 3);
  CHECK(api.Json("POST", "/v1/forget", R"({"customer":"42","connection":"eu"})")["jobs"].Int() == 1);
  CHECK_FALSE(api.Json("POST", "/v1/reload").Has("needs_restart"));
  api.control.needs_restart = "workers";
  CHECK(api.Json("POST", "/v1/reload")["needs_restart"].String() == "workers");
  CHECK(api.Json("POST", "/v1/jobs/" + OutboxRows::JobId(5) + "/cancel")["cancelled"].Int() == 1);
  CHECK(api.control.calls == std::vector<std::string>{"pause a/b", "resume default", "backup /tmp/x.db",
                                                      "forget 42 everywhere", "forget 42 eu", "reload",
                                                      "reload", "cancel 5"});
}

TEST_CASE("admin api: a corrected line reaches the daemon with its bytes, and says which id the event has") {
  Api api;
  api.rows.Add(Dead(2));
  const std::string path = "/v1/dead/" + OutboxRows::JobId(2) + "/amend";
  const std::string line = R"({"type":"track","id":"7","name":"n","data":{"x":1.50e3}})";
  const JsonValue same = api.Json("POST", path, "{\"line\":" + line + R"(,"event_id":"same"})");
  CHECK(same["amended"].Int() == 1);
  CHECK(same["event_id"].String() == OutboxRows::JobId(2));
  const JsonValue fresh = api.Json("POST", path, "{\"line\":" + line + R"(,"event_id":"new"})");
  CHECK(fresh["event_id"].String() != OutboxRows::JobId(2));
  REQUIRE(api.control.calls.size() == 2);
  CHECK(api.control.calls[0] == "amend " + OutboxRows::JobId(2) + " 7 " + line);
  CHECK(api.control.calls[1].find(fresh["event_id"].String()) != std::string::npos);
  CHECK(api.ErrorField("POST", path, "{}") == "line");
  CHECK(api.ErrorField("POST", path, "{\"line\":" + line + R"(,"event_id":"other"})") == "event_id");
  CHECK(api.ErrorField("POST", path, R"({"line":{"type":"destroy","id":"7"}})") == "line.type");
  CHECK(api.control.calls.size() == 2);
}

TEST_CASE("admin api: backup and forget refuse what they cannot mean") {
  Api api;
  CHECK(api.ErrorField("POST", "/v1/backup") == "path");
  CHECK(api.ErrorField("POST", "/v1/backup", R"({"path":"relative.db"})") == "path");
  CHECK(api.ErrorField("POST", "/v1/backup", R"({"path":7})") == "path");
  CHECK(api.ErrorField("POST", "/v1/backup", R"({"path":"/a\u0000b"})") == "path");
  CHECK(api.ErrorField("POST", "/v1/forget", "{}") == "customer");
  CHECK(api.ErrorField("POST", "/v1/forget", R"({"customer":""})") == "customer");
  CHECK(api.ErrorField("POST", "/v1/forget", R"({"customer":"1","connection":null})") == "connection");
  CHECK(api.ErrorField("POST", "/v1/forget", R"({"customer":"1","conection":"eu"})") == "conection");
  CHECK(api.control.calls.empty());
}

TEST_CASE("admin api: a job that waits no longer cannot be cancelled") {
  Api api;
  api.rows.Add(Dead(6));
  const std::string cancel = "/v1/jobs/" + OutboxRows::JobId(6) + "/cancel";
  CHECK(api.Json("POST", cancel, {}, 409)["error"]["kind"].String() == "conflict");
  CHECK(api.control.calls.empty());
}

TEST_CASE("admin api: a probe tells what it found, or why it found nothing") {
  Api api;
  api.control.probe = {true, 200, "us", 3, Milliseconds(12), ""};
  const JsonValue good = api.Json("POST", "/v1/connections/default/probe");
  CHECK(good["connection"].String() == "default");
  CHECK(good["ok"].Bool());
  CHECK(good["environment_id"].Int() == 3);
  CHECK_FALSE(good.Has("message"));
  CHECK(good["warnings"].Items().empty());
  api.control.warnings = {"connections.default.api_key: it has blanks in it"};
  api.control.probe = {false, 0, "", 0, Milliseconds(5), "connect: Connection refused"};
  const JsonValue bad = api.Json("POST", "/v1/connections/default/probe");
  REQUIRE(bad["warnings"].Items().size() == 1);
  CHECK(bad["warnings"].Items()[0].String() == api.control.warnings[0]);
  CHECK_FALSE(bad["ok"].Bool(true));
  CHECK_FALSE(bad.Has("status"));
  CHECK(bad["message"].String() == "connect: Connection refused");
}

TEST_CASE("admin api: each kind of error has its status") {
  Api api;
  struct Kind {
    ErrorKind kind;
    unsigned status;
    const char* name;
  };
  for (const Kind& kind : {Kind{ErrorKind::kInvalid, 400, "invalid"},
                           {ErrorKind::kNotFound, 404, "not_found"},
                           {ErrorKind::kConflict, 409, "conflict"},
                           {ErrorKind::kBusy, 503, "busy"},
                           {ErrorKind::kFull, 507, "full"},
                           {ErrorKind::kUnavailable, 502, "unavailable"},
                           {ErrorKind::kCorrupt, 500, "internal"},
                           {ErrorKind::kIo, 500, "internal"},
                           {ErrorKind::kInternal, 500, "internal"}}) {
    api.control.error = Error{kind.kind, "because \"so\"", "connection"};
    const JsonValue error = api.Json("POST", "/v1/connections/x/pause", {}, kind.status)["error"];
    CHECK(error["kind"].String() == kind.name);
    CHECK(error["message"].String() == "because \"so\"");
    CHECK(error["field"].String() == "connection");
  }
  for (const char* target : {"/v1/reload", "/v1/connections/x/resume", "/v1/connections/x/probe"})
    api.Json("POST", target, {}, 500);
  api.Json("POST", "/v1/dead/drop", R"({"all":true})", 500);
  api.Json("POST", "/v1/backup", R"({"path":"/x"})", 500);
  api.Json("POST", "/v1/forget", R"({"customer":"1"})", 500);
}

TEST_CASE("admin api: a line that is damaged is shown as text, and the answer stays JSON") {
  Api api;
  for (const std::string line : {"{\"type\":\"track\",\"id\":\"\xff\xc3\"}", "{\"type\":", "\xff", "x"}) {
    DeadLine dead = Dead(api.Listed("/v1/dead").size() + 1);
    dead.line = line;
    api.rows.Add(dead);
  }
  OutboxLine waiting = Line(9);
  waiting.line = "{\"id\":\"\xff\"}";
  api.rows.Add(waiting);
  const std::vector<JsonValue> rows = api.Get("/v1/dead?full=true")["rows"].Items();
  REQUIRE(rows.size() == 4);
  CHECK(rows[0]["line"].String() == "{\"type\":\"track\",\"id\":\"\xef\xbf\xbd\xef\xbf\xbd\"}");
  CHECK(rows[1]["line"].String() == "{\"type\":");
  for (const JsonValue& row : rows) CHECK(row["line_damaged"].Bool());
  CHECK(api.Get("/v1/dead/" + OutboxRows::JobId(1))["line_damaged"].Bool());
  const JsonValue job = api.Get("/v1/jobs/" + OutboxRows::JobId(9))["job"];
  CHECK(job["line"].IsString());
  CHECK(job["line_damaged"].Bool());
}

TEST_CASE("admin api: an outbox that cannot be opened is an error of its requests alone") {
  FakeControl control;
  const Metrics metrics;
  AdminApi api("/nonexistent/outbox.db", control, metrics, [] { return kNow; });
  HttpRequestView request;
  request.method = "GET";
  request.path = "/v1/jobs";
  CHECK(api.Handle(request).status == 500);
  request.path = "/v1/status";
  CHECK(api.Handle(request).status == 200);
}

TEST_CASE("admin api: many threads may ask at once") {
  Api api;
  for (std::uint64_t sequence = 1; sequence <= 50; ++sequence) api.rows.Add(Line(sequence));
  std::vector<std::thread> threads;
  std::atomic<int> complete{0};
  for (int index = 0; index < 8; ++index) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        const auto json = JsonValue::Parse(api.Ask("GET", "/v1/jobs").body);
        if (json && (*json)["rows"].Items().size() == 50) ++complete;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(complete == 160);
}
