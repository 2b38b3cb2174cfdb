// The admin API of the running daemon: each route once, and what monitoring relies on.
#include <doctest/doctest.h>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

std::string KindOf(const HttpAnswer& answer) {
  return answer.Json()["error"]["kind"].String();
}

// A daemon with one job delivered, one dead and three waiting on a paused connection.
class House {
 public:
  House() {
    delivered_ = daemon_.Accept(Event("done", 1));
    sim_.Script(
        R"([{"match":{"customer":"bad"},"action":{"status":400,"body":"{\"meta\":{\"error\":\"no such thing\"}}"}}])");
    dead_ = daemon_.Accept(Event("bad", 1));
    AwaitDead(daemon_, dead_);
    daemon_.AwaitDrained();
    REQUIRE(daemon_.Admin().Post("/v1/connections/default/pause").status == 200);
    waiting_ =
        AcceptAll(daemon_, {Event("42", 1), Event("42", 2), R"({"type":"identify","id":"43","ref":"r-1"})"});
  }
  SimUnderTest sim_;
  DaemonUnderTest daemon_{sim_};
  std::string delivered_, dead_;
  std::vector<std::string> waiting_;
};

TEST_CASE("admin: the routes that read answer over the socket") {
  House house;
  DaemonUnderTest& daemon = house.daemon_;
  CHECK(daemon.Admin().Get("/").body.find("outboxd") != std::string::npos);
  CHECK(daemon.Admin().Get("/healthz").body == "ok\n");
  CHECK(daemon.Admin().Get("/readyz").status == 200);

  const JsonValue status = daemon.Status();
  CHECK(status["pid"].Int() == daemon.Pid());
  CHECK(status["accepting"].Bool());
  CHECK(status["outbox"]["path"].String() == daemon.OutboxFile());
  CHECK(status["outbox"]["jobs"].Int() == 3);
  CHECK(status["states"]["dead"].Int() == 1);
  CHECK(status["totals"]["accepted"].Int() == 5);
  CHECK(status["totals"]["delivered"].Int() == 1);
  const JsonValue connection = ConnectionOf(status, "default");
  CHECK(connection["base_url"].String() == house.sim_.BaseUrl());
  CHECK(connection["jobs"].Int() == 3);
  CHECK(connection["oldest_ms"].Int() > 0);

  const std::vector<JsonValue> rows = Rows(daemon, "/v1/jobs?customer=42");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0]["job"].String() == house.waiting_[0]);
  CHECK(Rows(daemon, "/v1/jobs?type=identify").front()["ref"].String() == "r-1");
  const JsonValue first = Get(daemon, "/v1/jobs?limit=2");
  CHECK(first["rows"].Items().size() == 2);
  CHECK(Rows(daemon, "/v1/jobs?limit=2&after=" + std::to_string(first["next"].Int())).size() == 1);

  CHECK(Get(daemon, "/v1/jobs/" + house.waiting_[0])["job"]["line"].ToText() == Event("42", 1));
  CHECK(Get(daemon, "/v1/jobs/" + house.dead_)["dead"]["status"].Int() == 400);
  CHECK(Get(daemon, "/v1/jobs/" + house.delivered_)["attempts"].Items().size() == 1);
  CHECK_FALSE(Get(daemon, "/v1/jobs/" + house.waiting_[0] + "/explain")["explanation"].String().empty());
  CHECK(Rows(daemon, "/v1/history?customer=done").front()["result"].String() == "delivered");

  CHECK(Rows(daemon, "/v1/dead").size() == 1);
  CHECK(Rows(daemon, "/v1/dead?full=true").front()["answer"].String() ==
        R"({"meta":{"error":"no such thing"}})");
  CHECK(Get(daemon, "/v1/dead/" + house.dead_)["line"].ToText() == Event("bad", 1));
  const std::vector<JsonValue> groups = Get(daemon, "/v1/dead/groups")["groups"].Items();
  REQUIRE(groups.size() == 1);
  CHECK(groups[0]["count"].Int() == 1);
  CHECK(groups[0]["example"].String() == house.dead_);
}

TEST_CASE("admin: the routes that change something answer over the socket") {
  House house;
  DaemonUnderTest& daemon = house.daemon_;
  HttpClient& admin = daemon.Admin();
  CHECK(admin.Post("/v1/jobs/" + house.waiting_[2] + "/cancel").Json()["cancelled"].Int() == 1);
  CHECK(Get(daemon, "/v1/dead/" + house.waiting_[2])["death"].String() == "cancelled");

  CHECK(admin.Post("/v1/dead/redrive", R"({"filter":{}})").status == 400);
  CHECK(
      admin.Post("/v1/dead/redrive", R"({"filter":{"status":400},"dry_run":true})").Json()["matched"].Int() ==
      1);
  CHECK(admin.Post("/v1/dead/redrive", R"({"filter":{"status":400}})").Json()["redriven"].Int() == 1);
  CHECK(admin.Post("/v1/dead/drop", R"({"filter":{},"all":true})").Json()["dropped"].Int() == 1);

  const JsonValue probe = admin.Post("/v1/connections/default/probe").Json();
  CHECK(probe["ok"].Bool());
  CHECK(probe["region"].String() == "us");
  CHECK(probe["environment_id"].Int() == 3);

  const std::filesystem::path copy = daemon.Dir() / "copy.db";
  CHECK(admin.Post("/v1/backup", R"({"path":)" + Quoted(copy.string()) + "}").Json()["bytes"].Int() > 0);
  CHECK(std::filesystem::exists(copy));
  CHECK(admin.Post("/v1/backup", R"({"path":)" + Quoted(copy.string()) + "}").status == 409);

  const JsonValue forgotten = admin.Post("/v1/forget", R"({"customer":"42"})").Json();
  CHECK(forgotten["jobs"].Int() == 2);
  CHECK(admin.Post("/v1/reload").Json()["reloaded"].Bool());
  house.sim_.ClearScript();
  CHECK(admin.Post("/v1/connections/default/resume").Json()["connection"]["name"].String() == "default");
  daemon.AwaitDrained();
  CHECK(house.sim_.Effects("bad").size() == 1);
  CHECK(house.sim_.Effects("42").empty());
}

TEST_CASE("admin: wrong requests are refused with their kind") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  HttpClient& admin = daemon.Admin();
  const HttpAnswer unknown = admin.Get("/v1/nothing");
  CHECK(unknown.status == 404);
  CHECK(KindOf(unknown) == "not_found");
  CHECK(admin.Post("/v1/status").status == 405);
  CHECK(admin.Get("/v1/jobs?colour=red").status == 400);
  CHECK(admin.Get("/v1/jobs/nonsense").status == 400);
  CHECK(KindOf(admin.Get("/v1/jobs/" + EventId(1))) == "not_found");
  CHECK(KindOf(admin.Post("/v1/connections/elsewhere/pause")) == "not_found");
  CHECK(KindOf(admin.Post("/v1/forget", "nonsense")) == "invalid");
  CHECK(KindOf(admin.Post("/v1/backup", R"({"path":"relative"})")) == "invalid");
}

TEST_CASE("admin: the metrics have the agreed names and count what happened") {
  House house;
  house.daemon_.Submit("nonsense");
  const HttpAnswer answer = house.daemon_.Admin().Get("/metrics");
  CHECK(answer.headers.at("content-type").starts_with("text/plain; version=0.0.4"));
  for (const char* sample : {
           "outboxd_jobs_accepted_total{connection=\"default\",type=\"track\"} 4",
           "outboxd_jobs_accepted_total{connection=\"default\",type=\"identify\"} 1",
           "outboxd_jobs_refused_total{code=\"invalid_json\"} 1",
           "outboxd_attempts_total{connection=\"default\",result=\"delivered\"} 1",
           "outboxd_attempts_total{connection=\"default\",result=\"rejected\"} 1",
           "outboxd_jobs_delivered_total{connection=\"default\",type=\"track\"} 1",
           "outboxd_jobs_dead_total{connection=\"default\",reason=\"rejected\"} 1",
           "outboxd_jobs{connection=\"default\",state=\"dead\"} 1",
           "outboxd_oldest_job_age_seconds{connection=\"default\"} ",
           "outboxd_delivery_seconds_count 1",
           "outboxd_delivery_seconds_bucket{le=\"+Inf\"} 1",
           "outboxd_accept_commit_seconds_count ",
           "outboxd_spool_bytes ",
           "outboxd_connection_state{connection=\"default\",state=\"paused\"} 1",
           "outboxd_connection_state{connection=\"default\",state=\"open\"} 0",
           "process_resident_memory_bytes ",
           "process_cpu_seconds_total ",
       }) {
    INFO("sample ", std::string(sample));
    CHECK(answer.body.find(std::string("\n") + sample) != std::string::npos);
  }
  for (const char* state : {"ready", "in_flight", "deferred", "blocked"}) {
    INFO("state ", std::string(state));
    CHECK(answer.body.find(std::string("\noutboxd_jobs{connection=\"default\",state=\"") + state + "\"} ") !=
          std::string::npos);
  }
}

TEST_CASE("admin: with metrics.tcp the metrics, and nothing else, are on a loopback port too") {
  SimUnderTest sim;
  // A port that was free a moment ago: taken from the kernel, as no other test listens on fixed ones.
  SimUnderTest neighbour;
  const std::uint16_t port = neighbour.Port();
  neighbour.Stop();
  DaemonUnderTest daemon(sim, {{"metrics.tcp", "127.0.0.1:" + std::to_string(port)}});
  HttpClient client(port);
  // Should another have taken it meanwhile, the daemon tries again.
  CHECK(Await([&] { return client.Get("/metrics").status == 200; }));
  CHECK(client.Get("/metrics").body.find("outboxd_spool_bytes ") != std::string::npos);
  CHECK(client.Get("/v1/status").status == 404);
  CHECK(client.Post("/metrics").status == 405);
}

}  // namespace
}  // namespace outboxd
