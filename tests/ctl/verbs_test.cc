// Every verb of outboxctl against a daemon whose answers are written here.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>

#include "ctl/options.h"
#include "tests/ctl/admin_fixture.h"
#include "tests/ctl/fake_daemon.h"

namespace outboxd::test {
namespace {

AdminAnswer Refusal(int status, const std::string& kind, const std::string& message) {
  return {status, R"({"error":{"kind":")" + kind + R"(","field":"job","message":")" + message + R"("}})"};
}

TEST_CASE("outboxctl: usage errors end with 2 and say what is wrong") {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"nonsense"},
                                                       {"list", "--limit", "0"},
                                                       {"list", "--state", "lost"},
                                                       {"list", "--older-than", "soon", "--socket", "/x"},
                                                       {"show"},
                                                       {"dead"},
                                                       {"dead", "redrive"},
                                                       {"dead", "drop", "--yes"},
                                                       {"dead", "redrive", "--all", "--status", "400"},
                                                       {"forget", "42"},
                                                       {"pause"},
                                                       {"send"},
                                                       {"send", "track", "--id", "1"},
                                                       {"send", "identify", "--id", "1", "--attributes", "{"},
                                                       {"send", "track", "--json", "{}"},
                                                       {"send", "nonsense"},
                                                       {"send", "--id", "1"},
                                                       {"send", "--json", "{}", "nonsense"},
                                                       {"history"},
                                                       {"history", kJob, "--customer", "4"},
                                                       {"import"},
                                                       {"status", "--watch", "-1"},
                                                       {"dead", "drop", "--all"}};
  for (const std::vector<std::string>& arguments : wrong) {
    const Ran ran = RunCtl(arguments);
    CAPTURE(arguments.empty() ? "" : arguments.back());
    CHECK(ran.code == 2);
    CHECK_FALSE(ran.err.empty());
    CHECK(ran.out.empty());
  }
}

TEST_CASE("outboxctl: a usage error names the program and the verb whose help tells more") {
  CHECK(RunCtl({"send", "destroy"}).err ==
        "outboxctl: --id is required\nTry outboxctl send destroy --help\n");
  CHECK(RunCtl({"lsit"}).err ==
        "outboxctl: The following argument was not expected: lsit\nTry outboxctl --help\n");
}

TEST_CASE("outboxctl: a number out of range and a type that there is not are told with what is allowed") {
  CHECK(RunCtl({"list", "--limit", "0"})
            .err.starts_with("outboxctl: --limit: Value 0 not in range 1 to 1000000000\n"));
  CHECK(Contains(RunCtl({"send", "nonsense"}).err, ": nonsense; it may be identify, track, pageview, "));
  CHECK(Contains(RunCtl({"dead", "nonsense"}).err, "it may be list, groups, "));
  CHECK_FALSE(Contains(RunCtl({"send", "track", "nonsense"}).err, "it may be"));
}

TEST_CASE("outboxctl: a verb's help shows no examples of other verbs") {
  CHECK_FALSE(Contains(RunCtl({"list", "--help"}).out, "send track"));
  CHECK_FALSE(Contains(RunCtl({"send", "track", "--help"}).out, "send identify"));
  CHECK(Contains(RunCtl({"send", "--help"}).out, "send identify --id"));
}

TEST_CASE("outboxctl: help and version end with 0 and go to the output") {
  CHECK(Contains(RunCtl({"--help"}).out, "Examples:"));
  CHECK(RunCtl({"--help"}).code == 0);
  CHECK(RunCtl({"dead", "redrive", "--help"}).code == 0);
  CHECK(RunCtl({"--version"}).out == "outboxctl " OUTBOXD_VERSION "\n");
}

TEST_CASE("outboxctl: a daemon that is not there ends with 69 and says which socket was tried") {
  const TempFolder folder;
  const std::string nowhere = (folder / "nowhere.sock").string();
  for (const char* verb : {"status", "list", "metrics", "reload", "probe"}) {
    const Ran ran = RunCtl({verb, "--socket", nowhere});
    CHECK(ran.code == 69);
    CHECK(Contains(ran.err, nowhere));
    CHECK(Contains(ran.err, "No such file"));
  }
  CHECK(RunCtl({"send", "destroy", "--id", "1", "--producer", nowhere}).code == 69);
  CHECK(RunCtl({"import", folder.Write("f", "{}\n"), "--producer", nowhere}).code == 69);
}

TEST_CASE(
    "outboxctl: the daemon's refusals end with 1, busy and full with 75, the message on the error stream") {
  struct Case {
    int status;
    const char* kind;
    int code;
  };
  for (const Case& one : {Case{404, "not_found", 1}, Case{409, "conflict", 1}, Case{400, "invalid", 1},
                          Case{502, "unavailable", 1}, Case{500, "internal", 1}, Case{503, "busy", 75},
                          Case{507, "full", 75}}) {
    AdminFixture daemon(Refusal(one.status, one.kind, "no such\\u001b[31m thing"));
    const Ran ran = daemon.Run({"show", kJob});
    CHECK(ran.code == one.code);
    CHECK(ran.out.empty());
    CHECK(ran.err == "outboxctl: job: no such\\x1b[31m thing\n");
  }
  AdminFixture odd(AdminAnswer{500, "oops\n"});
  CHECK(odd.Run({"reload"}).err == "outboxctl: the daemon answered 500: oops\n");
  AdminFixture garbage(AdminAnswer{200, "not json"});
  CHECK(garbage.Run({"status"}).code == 1);
}

const char* kStatus =
    R"({"version":"0.1.0","pid":7,"started_ms":999000000,"now_ms":1000000000,"accepting":true,"accepting_reason":"",)"
    R"("outbox":{"path":"/var/lib/outboxd/outbox.db","jobs":12345,"max_jobs":10000000,"bytes":1288490189,"max_bytes":21474836480,"disk_free_bytes":1024,"attempts":50,"dead":3},)"
    R"("states":{"ready":12000,"in_flight":256,"deferred":80,"blocked":9,"dead":3},)"
    R"("rates":{"accepted_per_s":1200,"attempts_per_s":1190.5,"delivered_per_s":1180,"dead_per_s":0.1},)"
    R"("totals":{"accepted":1000000,"refused":5,"attempts":987655,"delivered":987655,"dead":3},)"
    R"("connections":[{"name":"default","base_url":"x","region":"us","state":"throttled","pause":"","detail":"503 Service Unavailable","since_ms":999808000,)"
    R"("reopen_ms":1000012000,"failures":4,"limit":16,"max_in_flight":256,"rate_limit":1000,"batch":{"mode":"auto","use":"not_needed","items":1},"jobs":12345,"ready":12000,"in_flight":1,"deferred":80,"blocked":9,"dead":3,"oldest_ms":999990000},)"
    R"({"name":"e\u001bu","base_url":"x","region":"eu","state":"paused","pause":"auth","detail":"401 Unauthorized","since_ms":999000000,"failures":0,)"
    R"("limit":1,"max_in_flight":8,"rate_limit":0,"jobs":0,"ready":0,"in_flight":0,"deferred":0,"blocked":0,"dead":0,"suspects":3}],)"
    R"("listeners":[{"key":"listen.track","address":"127.0.0.1:8480","listening":false,"problem":"127.0.0.1:8480: in\u001b use"},)"
    R"({"key":"metrics.tcp","address":"127.0.0.1:9480","listening":true}]})";

TEST_CASE("status: people see the queue, rates, disk, and each connection with reason and since when") {
  AdminFixture daemon(AdminAnswer{200, kStatus});
  const Ran ran = daemon.Run({"status"});
  CHECK(ran.code == 0);
  for (const char* part : {"outboxd 0.1.0, pid 7, up 16m 40s, accepting jobs",
                           "12,345 of at most 10,000,000, the oldest for 10s",
                           "12,000 ready, 256 in flight, 80 deferred, 9 blocked",
                           "1,200/s accepted, 1,191/s attempted, 1,180/s delivered, 0.1/s dead",
                           "1.2 GiB of at most 20.0 GiB; 1.0 KiB free on the disk", "throttled", "3m 12s",
                           "503 Service Unavailable; 4 failures in a row; next try in 12s", "paused (auth)",
                           "401 Unauthorized; 3 suspects", "e\\x1bu", "auto: not needed",
                           "not listening: listen.track: 127.0.0.1:8480: in\\x1b use\n"}) {
    CHECK_MESSAGE(Contains(ran.out, part), (std::string(part) + "\n" + ran.out));
  }
  CHECK_FALSE(Contains(ran.out, "\x1b"));
  CHECK_FALSE(Contains(ran.out, "9480"));
  CHECK(Contains(daemon.Run({"status"}, {{}, true, true}).out, "\x1b[31m"));
}

TEST_CASE("status: --json is the daemon's object on one line") {
  AdminFixture daemon(AdminAnswer{200, kStatus});
  const Ran ran = daemon.Run({"status", "--json"});
  CHECK(ran.out == std::string(kStatus) + "\n");
  CHECK(daemon.Last().target == "/v1/status");
}

TEST_CASE("status: --watch goes on until the daemon is gone") {
  int left = 3;
  AdminFixture daemon([&](const AdminRequest&) {
    return left-- > 0 ? AdminAnswer{200, kStatus} : Refusal(503, "busy", "stopping");
  });
  const Ran ran = daemon.Run({"status", "--json", "--watch", "0.1"});
  CHECK(ran.code == 75);
  CHECK(ran.out == std::string(kStatus) + "\n" + kStatus + "\n" + kStatus + "\n");
}

std::string JobRow(int seq) {
  return R"({"seq":)" + std::to_string(seq) + R"(,"job":")" + kJob +
         R"(","connection":"default","type":"track","customer":"c\u001b[1m)" + std::to_string(seq) +
         R"(","state":"deferred","accepted_ms":999808000,"attempts":3,"suspicion":"auth","due_ms":1000005000,"reason":"503","bytes":99})";
}

// Serves rows 1 … total in pages.
AdminAnswer Paged(const AdminRequest& request, int total) {
  const auto number = [&](const std::string& name, int fallback) {
    const std::size_t at = request.target.find(name + "=");
    return at == std::string::npos ? fallback : std::stoi(request.target.substr(at + name.size() + 1));
  };
  const int limit = number("limit", 100);
  const int after = number("after", 0);
  std::string rows;
  int last = after;
  while (last < total && last < after + limit) {
    ++last;
    rows += (rows.empty() ? "" : ",") + JobRow(last);
  }
  return {200,
          R"({"rows":[)" + rows + "]" + (last < total ? R"(,"next":)" + std::to_string(last) : "") + "}"};
}

TEST_CASE("list: follows pages up to the limit, to the end with --all, and says when there is more") {
  AdminFixture daemon([](const AdminRequest& request) { return Paged(request, 2500); });
  const Ran first = daemon.Run({"list"});
  CHECK(first.code == 0);
  CHECK(LineCount(first.out) == 101);
  CHECK(Contains(first.err, "--all"));
  const Ran all = daemon.Run({"list", "--all", "--json"});
  CHECK(LineCount(all.out) == 2500);
  CHECK(all.err.empty());
  CHECK(daemon.Last().target == "/v1/jobs?limit=1000&after=2000");
  CHECK(LineCount(daemon.Run({"list", "--limit", "1500", "--json"}).out) == 1500);
}

TEST_CASE(
    "list: a row shows state, age and next attempt, with foreign bytes escaped; --json keeps it as it is") {
  AdminFixture daemon([](const AdminRequest& request) { return Paged(request, 1); });
  const Ran ran = daemon.Run({"list"});
  for (const char* part : {"JOB", kJob, "deferred (suspect)", "c\\x1b[1m1", "3m 12s", "in 5s"})
    CHECK_MESSAGE(Contains(ran.out, part), std::string(part));
  CHECK(daemon.Run({"list", "--json"}).out == JobRow(1) + "\n");
}

TEST_CASE("list: an empty queue is said to people and is nothing at all in JSON") {
  AdminFixture daemon(AdminAnswer{200, R"({"rows":[]})"});
  CHECK(daemon.Run({"list"}).out == "No job is waiting.\n");
  CHECK(daemon.Run({"list", "--json"}).out.empty());
}

TEST_CASE("list: pages that do not advance are an error, not a loop") {
  AdminFixture daemon(AdminAnswer{200, R"({"rows":[],"next":5})"});
  CHECK(daemon.Run({"list", "--all"}).code == 1);
}

TEST_CASE("list: filters become query parameters, percent-encoded") {
  AdminFixture daemon(AdminAnswer{200, R"({"rows":[]})"});
  daemon.Run({"list", "--state", "blocked", "--connection", "eu", "--type", "track", "--customer", "a b&c=1",
              "--older-than", "2h", "--newer-than", "7d"});
  CHECK(daemon.Last().target ==
        "/v1/"
        "jobs?connection=eu&type=track&customer=a%20b%26c%3D1&state=blocked&older_than_s=7200&newer_than_s="
        "604800&limit=100");
}

const char* kShown =
    R"({"job":{"seq":1,"job":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","connection":"default","type":"track","customer":"42","state":"deferred","accepted_ms":999808000,)"
    R"("attempts":1,"failures":7,"suspicion":"auth","refusals":2,"due_ms":1000005000,"reason":"503","bytes":9,"line":{"type":"track","big":1e400}},)"
    R"("attempts":[{"seq":1,"attempt":1,"job":"01JDB3T0C5W7X8Y9Z0ABCDEFGH","connection":"default","type":"track","customer":"42","sent_ms":999900000,"duration_ms":12,)"
    R"("result":"deferred","status":503,"answer":"\u001b]0;title\u0007"}]})";

TEST_CASE("show: a waiting job with its line and attempts, everything escaped") {
  AdminFixture daemon(AdminAnswer{200, kShown});
  const Ran ran = daemon.Run({"show", kJob});
  CHECK(ran.code == 0);
  for (const char* part : {"deferred", R"({"type":"track","big":1e400})", "12ms", "503", "\\x1b]0;title\\x07",
                           "in 5s", "7", "auth, 2 answers counted"}) {
    CHECK_MESSAGE(Contains(ran.out, part), (std::string(part) + "\n" + ran.out));
  }
  CHECK(daemon.Last().target == std::string("/v1/jobs/") + kJob);
  CHECK(daemon.Run({"show", kJob, "--json"}).out == std::string(kShown) + "\n");
}

TEST_CASE("show: a job id cannot reach into another path") {
  AdminFixture daemon(Refusal(404, "not_found", "unknown job"));
  CHECK(daemon.Run({"show", "../reload?x=1"}).code == 1);
  CHECK(daemon.Last().target == "/v1/jobs/..%2Freload%3Fx%3D1");
}

TEST_CASE("explain: the sentence first, then the facts") {
  AdminFixture daemon(AdminAnswer{
      200,
      R"({"job":"J","state":"blocked","explanation":"Blocked by K.","blocked_by":"K","due_ms":1000005000,)"
      R"("gate":{"name":"default","state":"paused","pause":"auth","detail":"401","since_ms":999808000},"last_reason":"503"})"});
  const Ran ran = daemon.Run({"explain", kJob});
  CHECK(ran.out.starts_with("Blocked by K.\n"));
  for (const char* part : {"blocked by", "in 5s", "paused", "auth", "401", "503"})
    CHECK(Contains(ran.out, part));
  CHECK(daemon.Last().target == std::string("/v1/jobs/") + kJob + "/explain");
}

TEST_CASE("history: of a job or of a customer") {
  AdminFixture daemon(AdminAnswer{
      200,
      R"({"rows":[{"seq":1,"attempt":2,"job":"J","type":"track","customer":"42","sent_ms":999900000,"duration_ms":1500,"result":"delivered","status":200}]})"});
  const Ran ran = daemon.Run({"history", kJob});
  CHECK(ran.code == 0);
  CHECK(Contains(ran.out, "delivered"));
  CHECK(Contains(ran.out, "1970-01-12T13:45:00.000Z"));
  CHECK(daemon.Last().target == std::string("/v1/history?job=") + kJob + "&limit=1000");
  daemon.Run({"history", "--customer", "4/2", "--connection", "eu"});
  CHECK(daemon.Last().target == "/v1/history?customer=4%2F2&connection=eu&limit=1000");
}

TEST_CASE("history: where is the purchase of a customer, at about that time?") {
  AdminFixture daemon(AdminAnswer{
      200,
      R"({"rows":[{"seq":1,"attempt":1,"job":"J","type":"track","customer":"42","name":"purchase","ref":"order-9","uid":33,"sent_ms":999900000,"duration_ms":15,"result":"delivered","status":200}]})"});
  const Ran ran = daemon.Run({"--utc", "history", "--customer", "42", "--name", "purchase", "--from",
                              "1970-01-12T13:45:00Z", "--to", "1970-01-12 13:46", "--result", "delivered",
                              "--ref", "order-9", "--uid", "33"});
  CHECK(ran.code == 0);
  for (const char* part : {"purchase", "order-9"}) CHECK(Contains(ran.out, part));
  CHECK(daemon.Last().target ==
        "/v1/history?customer=42&name=purchase&ref=order-9&result=delivered&uid=33&from_ms=999900000&"
        "to_ms=999960000&limit=1000");
  CHECK(daemon.Run({"history"}).code == 2);
  CHECK(daemon.Run({"history", kJob, "--name", "purchase"}).code == 2);
  const Ran wrong = daemon.Run({"history", "--from", "noon"});
  CHECK(wrong.code == 2);
  CHECK(Contains(wrong.err, "\"noon\" is not a time"));
}

TEST_CASE("cancel: posts to the job") {
  AdminFixture daemon(AdminAnswer{200, R"({"cancelled":1})"});
  CHECK(daemon.Run({"cancel", kJob}).code == 0);
  CHECK(daemon.Last().method == "POST");
  CHECK(daemon.Last().target == std::string("/v1/jobs/") + kJob + "/cancel");
}

const char* kDeadRow =
    R"({"seq":9,"job":"J1","connection":"default","type":"track","customer":"42","accepted_ms":999000000,"dead_ms":999808000,"death":"rejected","status":400,)"
    R"("reason":"400 Bad Request","cause":"400 bad","attempts":1,"line":{"type":"track", "x":1e400},"answer":"{\"meta\":{}}"})";

TEST_CASE("dead: list, groups and show") {
  AdminFixture daemon([](const AdminRequest& request) {
    if (Contains(request.target, "groups")) {
      return AdminAnswer{
          200,
          R"({"groups":[{"cause":"400 bad\u0007","death":"rejected","status":400,"count":1234,"first_ms":999000000,"last_ms":999808000,"example":"J1"}]})"};
    }
    if (Contains(request.target, "/v1/dead/")) return AdminAnswer{200, kDeadRow};
    return AdminAnswer{200, std::string(R"({"rows":[)") + kDeadRow + "]}"};
  });
  const Ran list =
      daemon.Run({"dead", "list", "--death", "rejected", "--status", "400", "--cause", "400 bad"});
  CHECK(Contains(list.out, "400 Bad Request"));
  CHECK(Contains(list.out, "3m 12s ago"));
  CHECK(daemon.Last().target == "/v1/dead?death=rejected&cause=400%20bad&status=400&limit=100");
  const Ran groups = daemon.Run({"dead", "groups"});
  CHECK(Contains(groups.out, "1,234"));
  CHECK(Contains(groups.out, "400 bad\\x07"));
  CHECK(LineCount(daemon.Run({"dead", "groups", "--json"}).out) == 1);
  const Ran show = daemon.Run({"dead", "show", "J1"});
  CHECK(Contains(show.out, R"({"type":"track","x":1e400})"));
  CHECK(Contains(show.out, R"({"meta":{}})"));
}

TEST_CASE("dead redrive: sends the filter, all of them only when asked, and counts in a dry run") {
  AdminFixture daemon(AdminAnswer{200, R"({"matched":2,"redriven":2})"});
  const Ran ran =
      daemon.Run({"dead", "redrive", "--status", "400", "--newer-than", "1h", "--connection", "eu"});
  CHECK(ran.out == "2 dead letters went back into the queue, with id and timestamp as they were.\n");
  CHECK(daemon.Last().body ==
        R"({"filter":{"connection":"eu","status":400,"newer_than_s":3600},"dry_run":false})");
  daemon.Run({"dead", "redrive", kJob, "--dry-run"});
  CHECK(daemon.Last().body == std::string(R"({"filter":{"job":")") + kJob + R"("},"dry_run":true})");
  CHECK(daemon.Run({"dead", "redrive", "--all", "--json"}).out == "{\"matched\":2,\"redriven\":2}\n");
  CHECK(daemon.Last().body == R"({"filter":{},"all":true,"dry_run":false})");
}

TEST_CASE("dead drop: asks on a terminal, needs --yes without one, and a no changes nothing") {
  AdminFixture daemon([](const AdminRequest& request) {
    return AdminAnswer{200, Contains(request.body, "\"dry_run\":true") ? R"({"matched":1,"dropped":0})"
                                                                       : R"({"matched":1,"dropped":1})"};
  });
  const auto dropped = [&] {
    const auto requests = daemon.admin.Requests();
    return std::any_of(requests.begin(), requests.end(),
                       [](const AdminRequest& one) { return Contains(one.body, "\"dry_run\":false"); });
  };
  CHECK(daemon.Run({"dead", "drop", "--all"}).code == 2);
  CHECK(daemon.Run({"dead", "drop", "--all", "--dry-run"}).out == "1 dead letter would be dropped.\n");
  const Ran no = daemon.Run({"dead", "drop", "--all"}, {"n\n", true, false});
  CHECK(no.code == 1);
  CHECK(Contains(no.err, "Drop 1 dead letter for good? [y/N]"));
  CHECK(no.out == "Nothing was dropped.\n");
  CHECK_FALSE(dropped());
  CHECK(daemon.Run({"dead", "drop", "--all"}, {"y\n", true, false}).out == "1 dead letter was dropped.\n");
  CHECK(dropped());
  CHECK(daemon.Run({"dead", "drop", "--customer", "42", "--yes"}).code == 0);
  CHECK(daemon.Last().body == R"({"filter":{"customer":"42"},"dry_run":false})");
}

TEST_CASE("dead export: whole rows or only the lines, bytes as the producer wrote them") {
  AdminFixture daemon(AdminAnswer{200, std::string(R"({"rows":[)") + kDeadRow + "]}"});
  const Ran whole = daemon.Run({"dead", "export"});
  CHECK(LineCount(whole.out) == 1);
  CHECK(Contains(whole.out, "1e400"));
  CHECK(daemon.Last().target == "/v1/dead?full=true&limit=50");
  CHECK(daemon.Run({"dead", "export", "--lines"}).out == "{\"type\":\"track\",\"x\":1e400}\n");
  const std::string file = (daemon.folder / "out.ndjson").string();
  CHECK(daemon.Run({"dead", "export", "--out", file}).out.empty());
  CHECK(TempFolder::Read(file) == whole.out);
  const Ran again = daemon.Run({"dead", "export", "--lines", "--out", file});
  CHECK(again.code == 1);
  CHECK(Contains(again.err, "exists"));
  CHECK(TempFolder::Read(file) == whole.out);
}

TEST_CASE(
    "dead export: a line keeps its event's id and its job's time, so that an import makes no second event") {
  const std::string row =
      std::string(R"({"job":")") + kJob +
      R"(","accepted_ms":999000000,"line":{"type":"track","id":"1","name":"n","data":{"x":1e400}}})";
  AdminFixture daemon(AdminAnswer{200, R"({"rows":[)" + row + "]}"});
  CHECK(daemon.Run({"dead", "export", "--lines"}).out ==
        std::string(R"({"timestamp":999000,"event_id":")") + kJob +
            R"(","type":"track","id":"1","name":"n","data":{"x":1e400}})" + "\n");
  CHECK(Contains(daemon.Run({"dead", "export"}).out, R"("line":{"type":"track","id":"1")"));
}

TEST_CASE("dead amend: the corrected line of a file, of standard input, or of the operator's editor") {
  const std::string letter = R"({"job":"J","line":{"type":"track","id":"1","name":"wrong"}})";
  AdminFixture daemon([&](const AdminRequest& request) {
    return AdminAnswer{200, request.method == "GET" ? letter : R"({"amended":1,"job":"J","event_id":"E"})"};
  });
  const std::string file = daemon.folder.Write("line", "{\"type\":\"track\",\n\"x\":1e400}\n");
  const Ran ran = daemon.Run({"dead", "amend", "J", "--line", file});
  CHECK(ran.code == 0);
  CHECK(Contains(ran.out, "J went back into the queue with the corrected line"));
  CHECK(daemon.Last().target == "/v1/dead/J/amend");
  CHECK(Contains(daemon.Last().body, "1e400"));
  CHECK_FALSE(Contains(daemon.Last().body, "event_id"));
  RunOptions input;
  input.input = R"({"type":"track"})";
  const Ran fresh = daemon.Run({"dead", "amend", "J", "--line", "-", "--new-event-id"}, input);
  CHECK(daemon.Last().body == R"({"line":{"type":"track"},"event_id":"new"})");
  CHECK(Contains(fresh.out, "the id E from now on"));
  CHECK(daemon.Run({"dead", "amend", "J", "--line", "-", "--same-id"}, input).code == 0);
  CHECK(Contains(daemon.Last().body, R"("event_id":"same")"));
  CHECK(daemon.Run({"dead", "amend", "J", "--line", file, "--same-id", "--new-event-id"}).code == 2);
  input.input = "not JSON";
  const Ran wrong = daemon.Run({"dead", "amend", "J", "--line", "-"}, input);
  CHECK(wrong.code == 1);
  CHECK(Contains(wrong.err, "not JSON"));

  ::unsetenv("VISUAL");
  ::setenv("EDITOR", "sed -i s/wrong/right/", 1);
  CHECK(daemon.Run({"dead", "amend", "J"}).code == 0);
  CHECK(daemon.Last().method == "POST");
  CHECK(Contains(daemon.Last().body, R"("name":"right")"));
  ::setenv("EDITOR", "true", 1);
  const Ran unchanged = daemon.Run({"dead", "amend", "J"});
  CHECK(unchanged.code == 1);
  CHECK(Contains(unchanged.out, "Nothing was changed."));
  CHECK(daemon.Last().method == "GET");
  ::setenv("EDITOR", "false", 1);
  CHECK(Contains(daemon.Run({"dead", "amend", "J"}).err, "the editor failed"));
  ::unsetenv("EDITOR");
  CHECK(Contains(daemon.Run({"dead", "amend", "J"}).err, "neither VISUAL nor EDITOR"));
}

TEST_CASE(
    "outboxctl: JSON on a terminal has no character that it would obey; a pipe gets an export's own bytes") {
  const std::string row =
      "{\"job\":\"J\",\"line\":{\"x\":\"\xc2\x9b"
      "31m\xe2\x80\xae\"}}";
  const std::string safe = R"({"job":"J","line":{"x":"\u009b31m\u202e"}})";
  AdminFixture daemon(AdminAnswer{200, R"({"rows":[)" + row + "]}"});
  for (const char* verb : {"list", "history"}) {
    std::vector<std::string> arguments = {"--json", verb};
    if (*verb == 'h') arguments.emplace_back("J");
    CHECK(daemon.Run(arguments).out == safe + "\n");
  }
  CHECK(daemon.Run({"dead", "export"}, {"", true, false}).out == safe + "\n");
  CHECK(daemon.Run({"dead", "export"}).out == row + "\n");
}

TEST_CASE("dead export: a damaged line is told") {
  AdminFixture daemon(AdminAnswer{200, R"({"rows":[{"job":"J","line":"x","line_damaged":true}]})"});
  const Ran ran = daemon.Run({"dead", "export"});
  CHECK(ran.code == 0);
  CHECK(Contains(ran.err, "the line of J is damaged"));
}

TEST_CASE("connections: pause, resume and probe") {
  AdminFixture daemon([](const AdminRequest& request) {
    if (request.target == "/v1/status") return AdminAnswer{200, kStatus};
    if (Contains(request.target, "probe")) {
      return Contains(request.target, "default")
                 ? AdminAnswer{200,
                               R"({"connection":"default","ok":true,"status":200,"region":"us","environment_id":3,"duration_ms":12})"}
                 : AdminAnswer{
                       200,
                       R"({"connection":"eu","ok":false,"status":401,"duration_ms":3,"message":"401 Unauthorized"})"};
    }
    if (Contains(request.target, "waiting")) {
      return AdminAnswer{200,
                         R"({"connection":{"name":"waiting","state":"throttled","reopen_ms":1000090000}})"};
    }
    if (Contains(request.target, "keyless")) {
      return AdminAnswer{200,
                         R"({"connection":{"name":"keyless","state":"paused","detail":"no \u001bkey"}})"};
    }
    return AdminAnswer{200, R"({"connection":{"name":"default","state":"probing"}})"};
  });
  CHECK(Contains(daemon.Run({"pause", "a/b"}).out, "is paused"));
  CHECK(daemon.Last().target == "/v1/connections/a%2Fb/pause");
  CHECK(Contains(daemon.Run({"resume", "default"}).out, "is probing: one attempt has to succeed"));
  CHECK(Contains(daemon.Run({"resume", "waiting"}).out,
                 "is throttled: one attempt, in 1m 30s, has to succeed before the others follow."));
  CHECK(daemon.Run({"resume", "keyless"}).out == "Connection keyless still sends nothing: no \\x1bkey.\n");
  CHECK(daemon.Run({"probe", "default"}).out == "default: ok, region us, environment 3 (12ms)\n");
  const Ran all = daemon.Run({"probe"});
  CHECK(all.code == 1);
  CHECK(Contains(all.out, "not ok, 401 Unauthorized"));
  CHECK(LineCount(daemon.Run({"probe", "--json"}).out) == 2);
}

TEST_CASE("connections: a probe shows the warnings of odd credentials below what it found") {
  AdminFixture daemon(AdminAnswer{
      200,
      R"({"connection":"eu","ok":true,"region":"eu","duration_ms":3,"warnings":["first","se\u001bcond"]})"});
  CHECK(daemon.Run({"probe", "eu"}).out == "eu: ok, region eu (3ms)\nwarning: first\nwarning: se\\x1bcond\n");
}

TEST_CASE("connections: probe without a name leaves out what is not in the config") {
  AdminFixture daemon([](const AdminRequest& request) {
    if (request.target == "/v1/status") {
      return AdminAnswer{200, R"({"connections":[{"name":"gone","state":"paused","pause":"unconfigured"},)"
                              R"({"name":"default","state":"open","pause":""}]})"};
    }
    if (Contains(request.target, "gone")) return Refusal(409, "conflict", "not in the config");
    return AdminAnswer{200, R"({"connection":"default","ok":true,"status":200,"duration_ms":12})"};
  });
  CHECK(daemon.Run({"probe"}).code == 0);
  CHECK(daemon.Run({"probe", "gone"}).code == 1);
  AdminFixture hiding([](const AdminRequest& request) {
    if (request.target == "/v1/status")
      return AdminAnswer{200, R"({"connections":[{"name":"gone"},{"name":"default"}]})"};
    if (Contains(request.target, "gone")) return Refusal(409, "conflict", "not in the config");
    return AdminAnswer{200, R"({"connection":"default","ok":true,"status":200,"duration_ms":12})"};
  });
  const Ran both = hiding.Run({"probe"});
  CHECK(both.code == 1);
  CHECK(Contains(both.out, "default: ok"));
}

TEST_CASE("maintenance: reload names the keys that need a restart, and the wrong ones once") {
  AdminFixture daemon(AdminAnswer{200, R"({"reloaded":true,"needs_restart":"workers"})"});
  CHECK(daemon.Run({"reload"}).out ==
        "The config was read again and is in force, except for what takes effect at the next start: "
        "workers.\n");
  AdminFixture refusing(AdminAnswer{
      400,
      R"({"error":{"kind":"invalid","field":"workers","message":"t.yaml:15: workers: must be 1 to 64"}})"});
  CHECK(refusing.Run({"reload"}).err == "outboxctl: t.yaml:15: workers: must be 1 to 64\n");
}

TEST_CASE("maintenance: forget needs --yes, reload and metrics") {
  AdminFixture daemon([](const AdminRequest& request) {
    if (request.target == "/metrics") return AdminAnswer{200, "outboxd_jobs 1\n"};
    if (request.target == "/v1/forget") return AdminAnswer{200, R"({"jobs":1,"dead":2,"attempts":3})"};
    return AdminAnswer{200, R"({"reloaded":true})"};
  });
  CHECK(daemon.Run({"forget", "42"}).code == 2);
  CHECK(daemon.Run({"forget", "42", "--connection", "eu", "--yes"}).out ==
        "Forgotten: 1 waiting job, 2 dead letters, 3 attempts\n");
  CHECK(daemon.Last().body == R"({"customer":"42","connection":"eu"})");
  CHECK(daemon.Run({"reload"}).code == 0);
  CHECK(daemon.Run({"metrics"}).out == "outboxd_jobs 1\n");
}

const char* kConfig =
    "listen:\n  producer: {path: P}\n  admin: {path: A}\nconnections:\n  default: {site_id: s, api_key: k}\n";

std::string ConfigText(const TempFolder& folder) {
  std::string text = kConfig;
  text.replace(text.find("path: P"), 7, "path: " + (folder / "producer.sock").string());
  text.replace(text.find("path: A"), 7, "path: " + (folder / "admin.sock").string());
  return text;
}

std::string ConfigFor(const TempFolder& folder) {
  return folder.Write("outboxd.yaml", ConfigText(folder));
}

TEST_CASE("check: a good config and its credentials end with 0, a bad one with 1 and what is wrong") {
  const TempFolder folder;
  const std::string good = ConfigFor(folder);
  const Ran ran = RunCtl({"check", good});
  CHECK(ran.code == 0);
  CHECK(Contains(ran.out, "ok, 1 connection"));
  CHECK_FALSE(Contains(ran.out, "s:k"));
  const Ran json = RunCtl({"check", "--config", good, "--json"});
  CHECK(Contains(json.out, R"({"ok":true,"file":")" + good +
                               R"(","connections":["default"],"errors":[],"unchecked":[],"warnings":[)"));
  const Ran bad = RunCtl({"check", folder.Write("bad.yaml", "nonsense: 1\n")});
  CHECK(bad.code == 1);
  CHECK(Contains(bad.err, "nonsense"));
  const std::string secret = folder.Write(
      "secret.yaml",
      "connections:\n  default: {site_id: s, api_key_file: " + (folder / "none").string() + "}\n");
  CHECK(RunCtl({"check", secret}).code == 1);
  const Ran group = RunCtl({"check", folder.Write("group.yaml",
                                                  "listen: {admin: {group: no-such-group}}\n"
                                                  "connections: {default: {site_id: s, api_key: k}}\n")});
  CHECK(group.code == 1);
  CHECK(Contains(group.err, "listen.admin.group: no group \"no-such-group\""));
  CHECK(RunCtl({"check", (folder / "absent.yaml").string()}).code == 1);
}

TEST_CASE(
    "check: credentials that the service manager hands to the daemon alone are told apart from missing "
    "ones") {
  if (::access(kAssumedCredentialsDirectory, X_OK) == 0)
    return;  // outboxd runs on this host, and we may look
  const TempFolder folder;
  const std::string place = "\"${CREDENTIALS_DIRECTORY}/";
  const std::string config =
      folder.Write("unit.yaml", "connections:\n  default: {site_id_file: " + place +
                                    "site_id\", api_key_file: " + place + "api_key\"}\n");
  const Ran ran = RunCtl({"check", config});
  CHECK(ran.code == 0);
  CHECK(Contains(ran.out, "ok, 1 connection"));
  CHECK(Contains(ran.out, "not checked"));
  const Ran json = RunCtl({"check", config, "--json"});
  CHECK(Contains(json.out, R"("ok":true)"));
  CHECK(Contains(json.out, R"("errors":[],"unchecked":["connections.default.site_id_file: cannot read )"));
}

TEST_CASE("check: certificates of listen.track that are missing or do not fit their keys end with 1") {
  const TempFolder folder;
  const Ran made = RunCtl({"tls-init", "--directory", (folder / "tls").string()});
  REQUIRE(made.code == 0);
  CHECK(Contains(made.out, ", certificate: " + (folder / "tls/certificate.pem").string() + ", key: "));
  CHECK(Contains(made.out, "does not renew"));
  REQUIRE(RunCtl({"tls-init", "--directory", (folder / "other").string()}).code == 0);
  const auto check = [&](const std::string& track) {
    std::string text = ConfigText(folder);
    text.replace(text.find("  admin:"), 0, "  track: [{tcp: 127.0.0.1:1, tls: true" + track + "}]\n");
    return RunCtl({"check", folder.Write("track.yaml", text + "outbox: {path: " +
                                                           (folder / "outbox.db").string() + "}\n")});
  };
  const auto own = [&](const std::string& certificate, const std::string& key) {
    return check(", certificate: " + (folder / certificate).string() + ", key: " + (folder / key).string());
  };
  CHECK(check("").code == 0);
  CHECK(own("tls/certificate.pem", "tls/key.pem").code == 0);
  CHECK(Contains(own("tls/certificate.pem", "other/key.pem").err, "the key is not the certificate's"));
  CHECK(own("tls/certificate.pem", "gone.pem").code == 1);
  std::filesystem::remove_all(folder / "tls");
  const Ran not_made = check("");
  CHECK(not_made.code == 1);
  CHECK(Contains(not_made.err, "run outboxctl tls-init"));
}

TEST_CASE(
    "check: made certificates in a folder that only the daemon looks into are told apart from missing ones") {
  if (::geteuid() == 0) return;  // root looks into every folder
  const TempFolder folder;
  std::filesystem::create_directory(folder / "state");
  std::string text = ConfigText(folder) + "outbox: {path: " + (folder / "state/outbox.db").string() + "}\n";
  text.replace(text.find("  admin:"), 0, "  track: [{tcp: 127.0.0.1:1, tls: true}]\n");
  const std::string config = folder.Write("track.yaml", text);
  CHECK(RunCtl({"check", config}).code == 1);
  std::filesystem::permissions(folder / "state", std::filesystem::perms::none);
  const Ran closed = RunCtl({"check", config});
  std::filesystem::permissions(folder / "state", std::filesystem::perms::owner_all);
  CHECK(closed.code == 0);
  CHECK(Contains(closed.out, "not checked"));
}

TEST_CASE("outboxctl: --config tells where the sockets are") {
  const TempFolder folder;
  FakeAdmin admin(folder / "admin.sock",
                  [](const AdminRequest&) { return AdminAnswer{200, R"({"reloaded":true})"}; });
  FakeProducer producer(folder / "producer.sock",
                        [](const std::string&) { return R"({"ok":true,"job":"J"})"; });
  const std::string config = ConfigFor(folder);
  CHECK(RunCtl({"reload", "--config", config}).code == 0);
  CHECK(RunCtl({"--config", config, "send", "destroy", "--id", "1"}).out == "J\n");
  CHECK(RunCtl({"reload", "--config", (folder / "absent.yaml").string()}).code == 2);
}

TEST_CASE("outboxctl: the sockets are found in a config that only the daemon can read as a whole") {
  const TempFolder folder;
  FakeAdmin admin(folder / "admin.sock",
                  [](const AdminRequest&) { return AdminAnswer{200, R"({"reloaded":true})"}; });
  std::string text = ConfigText(folder);
  text.replace(text.find("api_key: k"), 10, "api_key: \"${OUTBOXD_TEST_UNSET}\"");
  const std::string of_the_daemons_environment = folder.Write("environment.yaml", text);
  CHECK(RunCtl({"reload", "--config", of_the_daemons_environment}).code == 0);
  CHECK(RunCtl({"check", of_the_daemons_environment}).code == 1);
  const std::string half_edited = folder.Write("half-edited.yaml", text + "wrokers: 2\n");
  CHECK(RunCtl({"reload", "--config", half_edited}).code == 0);
}

}  // namespace
}  // namespace outboxd::test
