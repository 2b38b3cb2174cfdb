#include "daemon/admin/explain.h"

#include <doctest/doctest.h>

#include <string>

#include "core/json.h"
#include "tests/daemon/admin/admin_rig.h"

using namespace outboxd;
using namespace outboxd::test;

TEST_CASE("explain: a ready job on an open connection waits for its turn, with the numbers that decide it") {
  Api api;
  api.rows.Add(Line(1));
  api.control.places[Sequence{1}] = {JobState::kReady, std::nullopt};
  const JsonValue answer = api.Get("/v1/jobs/" + OutboxRows::JobId(1) + "/explain");
  CHECK(answer["state"].String() == "ready");
  CHECK(answer["gate"]["name"].String() == "default");
  CHECK_FALSE(answer.Has("blocked_by"));
  CHECK(answer["explanation"].String() ==
        "It is ready (not tried yet) and waits for its turn: connection default is open with 2 of at most 8 "
        "requests in flight, "
        "a rate limit of 1000 requests per second and 4 ready jobs.");
}

TEST_CASE("explain: a job on disk alone is not called ready while an earlier job of its customer waits") {
  Api api;
  OutboxLine stranger = Line(1);
  stranger.customer = "other";
  api.rows.Add(stranger);
  api.rows.Add(Line(2));
  api.rows.Add(Line(3));
  CHECK(
      api.Explanation(2).starts_with("It waits on disk until there is room for it in memory (not tried yet): "
                                     "connection default is"));
  api.control.places[Sequence{2}] = {JobState::kReady, std::nullopt};
  CHECK(api.Explanation(2).starts_with("It is ready"));
  CHECK(
      api.Explanation(3).starts_with("It waits on disk until there is room for it in memory (not tried yet), "
                                     "behind job " +
                                     OutboxRows::JobId(2) + " of the same customer: connection default is"));
  api.control.places[Sequence{3}] = {JobState::kReady, std::nullopt};  // the lanes know better
  CHECK(api.Explanation(3).starts_with("It is ready"));
}

TEST_CASE("explain: a closed or paused connection is named with its reason, its time and what to do") {
  Api api;
  OutboxLine line = Line(1);
  line.attempts = 1;
  line.reason = "503 Service Unavailable";
  api.rows.Add(line);
  api.control.places[Sequence{1}] = {JobState::kReady, std::nullopt};
  api.Gate() = {GateState::kThrottled, PauseReason::kNone,  "503 Service Unavailable",
                FromUnixMs(90'000),    FromUnixMs(130'000), 3};
  CHECK(api.Explanation(1) ==
        "It is ready (1 attempt so far, the last one ended with: 503 Service Unavailable) and waits for its "
        "turn: connection default is "
        "closed until 1970-01-01T00:02:10.000Z (in 30s) after 3 failures in a row (503 Service "
        "Unavailable), then one probe decides whether "
        "it opens.");
  api.Gate().state = GateState::kProbing;
  CHECK(api.Explanation(1).find("is being probed with one request at a time") != std::string::npos);
  api.Gate() = {GateState::kPaused, PauseReason::kAuth, "401 Unauthorized",
                FromUnixMs(90'000), std::nullopt,       0};
  CHECK(api.Explanation(1).find("since 1970-01-01T00:01:30.000Z (10s ago), paused because its credentials "
                                "were refused (401 Unauthorized): "
                                "correct its site id and API key") != std::string::npos);
  api.Gate().pause = PauseReason::kRegion;
  CHECK(api.Explanation(1).find("correct its region") != std::string::npos);
  api.Gate().pause = PauseReason::kProxy;
  CHECK(api.Explanation(1).find("the proxy does not let it through (401 Unauthorized)") != std::string::npos);
  api.Gate().pause = PauseReason::kNotTrackApi;
  CHECK(api.Explanation(1).find("what answers is not the Track API (401 Unauthorized)") != std::string::npos);
  api.Gate().pause = PauseReason::kOperator;
  CHECK(api.Explanation(1).find("paused by an operator; `outboxctl resume default`") != std::string::npos);
  api.Gate().pause = PauseReason::kClock;
  api.Gate().detail = "the clock of this host says 1970-01-01T00:01:40.000Z: set it";
  CHECK(api.Explanation(1).find("paused because the clock of this host was never set (the clock of this host "
                                "says 1970-01-01T00:01:40.000Z: set it); it resumes by itself") !=
        std::string::npos);
  api.Gate() = {GateState::kPaused, PauseReason::kAuth, "its credentials are not there yet: write F",
                FromUnixMs(90'000), std::nullopt,       0};
  api.control.status.connections.at(0).awaits_credentials = true;
  CHECK(
      api.Explanation(1).ends_with("connection default sends nothing, since 1970-01-01T00:01:30.000Z (10s "
                                   "ago): its credentials are not there yet: write F."));
  api.control.status.connections.at(0).awaits_credentials = false;
  api.Gate().pause = PauseReason::kUnconfigured;
  CHECK(api.Explanation(1).find("paused because it is no longer in the config: put it back and reload") !=
        std::string::npos);
  api.control.status.connections.clear();
  CHECK(api.Explanation(1).find("no longer in the config") != std::string::npos);
}

TEST_CASE("explain: a deferred job tells when its next attempt is due and why") {
  Api api;
  OutboxLine line = Line(1);
  line.attempts = 2;
  line.reason = "connect: Connection refused";
  line.due_ms = 400'000;
  api.rows.Add(line);
  const JsonValue answer = api.Get("/v1/jobs/" + OutboxRows::JobId(1) + "/explain");
  CHECK(answer["due_ms"].Int() == 400'000);
  CHECK(answer["last_reason"].String() == "connect: Connection refused");
  CHECK(answer["explanation"].String() ==
        "It is deferred, 2 attempts so far, the last one ended with: connect: Connection refused; its next "
        "attempt is due at "
        "1970-01-01T00:06:40.000Z (in 5m).");
  api.Gate() = {GateState::kProbing, PauseReason::kNone, "", {}, std::nullopt, 1};
  CHECK(api.Explanation(1).find("; besides, connection default is being probed") != std::string::npos);
}

TEST_CASE("explain: a suspect tells of what, how often it counted, and what comes of it") {
  Api api;
  OutboxLine line = Line(1);
  line.attempts = 2;
  line.reason = "403 Forbidden";
  line.due_ms = 103'000;
  line.failures = 2;
  line.suspicion = "auth";
  line.refusals = 2;
  line.counted_ms = 90'000;
  api.rows.Add(line);
  const JsonValue answer = api.Get("/v1/jobs/" + OutboxRows::JobId(1) + "/explain");
  CHECK(answer["suspicion"].String() == "auth");
  CHECK(answer["refusals"].Int() == 2);
  CHECK(answer["failures"].Int() == 2);
  CHECK(
      answer["explanation"].String() ==
      "It is deferred, 2 attempts so far, the last one ended with: 403 Forbidden; its next attempt is due "
      "at 1970-01-01T00:01:43.000Z (in 3s). It is a suspect: it is answered 401 or 403 although the "
      "connection's credentials are right, counted 2 times, the last at 1970-01-01T00:01:30.000Z (10s ago). "
      "It goes alone, after others, and its failures do not close the connection. Refused alike 3 times "
      "over at least 15m, with other jobs delivered in between, it becomes a dead letter (rejected).");
  struct Row {
    const char* suspicion;
    const char* because;
    const char* next;
  };
  for (const Row& row :
       {Row{"region", "it is redirected", "dead letter (rejected)"},
        Row{"trouble", "it gets no answer or 5xx", "dead letter (exhausted)"},
        Row{"not_track_api", "its answers are not the Track API's", "4xx makes it a dead"}}) {
    CAPTURE(row.suspicion);
    REQUIRE(api.rows.Handle().Execute("UPDATE outbox SET refusals = 0, suspicion = '" +
                                      std::string(row.suspicion) + "'"));
    const std::string text = api.Explanation(1);
    CHECK(text.find(row.because) != std::string::npos);
    CHECK(text.find(", last charged at 1970-01-01T00:01:30.000Z") != std::string::npos);
    CHECK(text.find(row.next) != std::string::npos);
  }
  OutboxLine follower = Line(2);
  follower.parked = 77;
  api.rows.Add(follower);
  CHECK(api.Explanation(2).find("an earlier job of the same customer and a suspect (not_track_api), which "
                                "is deferred") != std::string::npos);
}

TEST_CASE("explain: a blocked job names the earlier job it waits for, from memory or from disk") {
  Api api;
  OutboxLine head = Line(1);
  head.attempts = 4;
  head.reason = "timeout";
  head.due_ms = 103'000;
  api.rows.Add(head);
  OutboxLine parked = Line(2);
  parked.parked = 77;
  api.rows.Add(parked);
  parked.sequence = 3;
  api.rows.Add(parked);
  api.rows.Add(Line(4));
  const JsonValue on_disk = api.Get("/v1/jobs/" + OutboxRows::JobId(3) + "/explain");
  CHECK(on_disk["state"].String() == "blocked");
  CHECK(on_disk["blocked_by"].String() == OutboxRows::JobId(1));
  CHECK(on_disk["explanation"].String() == "It is blocked by job " + OutboxRows::JobId(1) +
                                               ", an earlier job of the same customer, which is deferred "
                                               "until 1970-01-01T00:01:43.000Z (in 3s), 4 attempts so far, "
                                               "the last one ended with: timeout.");

  api.control.places[Sequence{4}] = {JobState::kBlocked, Sequence{2}};
  api.control.places[Sequence{2}] = {JobState::kInFlight, std::nullopt};
  const JsonValue in_memory = api.Get("/v1/jobs/" + OutboxRows::JobId(4) + "/explain");
  CHECK(in_memory["blocked_by"].String() == OutboxRows::JobId(2));
  CHECK(in_memory["explanation"].String().find("which is being sent right now") != std::string::npos);

  REQUIRE(api.rows.Handle().Execute("DELETE FROM outbox WHERE seq = 1"));
  CHECK(api.Get("/v1/jobs/" + OutboxRows::JobId(3) + "/explain")["blocked_by"].String() ==
        OutboxRows::JobId(2));
  REQUIRE(api.rows.Handle().Execute("DELETE FROM outbox WHERE seq = 2"));
  CHECK(api.Explanation(3) == "It is blocked by an earlier job of the same customer.");
}

TEST_CASE("explain: a redriven job that waits for a later one is not told that it is an earlier one") {
  Api api;
  api.rows.Add(Line(1));
  OutboxLine later = Line(2);
  later.attempts = 1;
  later.reason = "timeout";
  later.due_ms = 103'000;
  api.rows.Add(later);
  api.control.places[Sequence{1}] = {JobState::kBlocked, Sequence{2}};
  api.control.places[Sequence{2}] = {JobState::kDeferred, std::nullopt};
  CHECK(api.Explanation(1) == "It is blocked by job " + OutboxRows::JobId(2) +
                                  ", which has its lane's turn and is deferred until "
                                  "1970-01-01T00:01:43.000Z (in 3s), 1 attempt so far, the last one ended "
                                  "with: timeout.");
}

TEST_CASE("explain: a parked job finds the in-flight job of its customer") {
  Api api;
  api.rows.Add(Line(1));
  OutboxLine stranger = Line(2);
  stranger.customer = "other";
  api.rows.Add(stranger);
  OutboxLine parked = Line(3);
  parked.parked = 77;
  api.rows.Add(parked);
  api.control.in_flight = {Sequence{9}, Sequence{2}, Sequence{1}};
  CHECK(api.Get("/v1/jobs/" + OutboxRows::JobId(3) + "/explain")["blocked_by"].String() ==
        OutboxRows::JobId(1));
}

TEST_CASE("explain: in flight, dead, delivered and vanished jobs are explained too") {
  Api api;
  OutboxLine line = Line(1);
  line.attempts = 2;
  api.rows.Add(line);
  api.control.places[Sequence{1}] = {JobState::kInFlight, std::nullopt};
  CHECK(api.Explanation(1) == "It is being sent right now (attempt 3).");
  api.rows.Add(Dead(2));
  const JsonValue dead = api.Get("/v1/jobs/" + OutboxRows::JobId(2) + "/explain");
  CHECK(dead["state"].String() == "dead");
  CHECK(dead["explanation"].String() ==
        "It became a dead letter (rejected) at 1970-01-01T00:00:02.000Z after 1 attempt (400 Bad Request) "
        "and will not be tried again by "
        "itself; `outboxctl dead redrive` puts it back.");
  AttemptLine attempt;
  attempt.sequence = 3;
  api.rows.Add(attempt);
  CHECK(api.Get("/v1/jobs/" + OutboxRows::JobId(3) + "/explain")["state"].String() == "delivered");
  CHECK(api.Explanation(3) ==
        "It was delivered by attempt 1, sent at 1970-01-01T00:00:01.500Z (answer 200).");
  attempt.sequence = 4;
  attempt.result = "rejected";
  api.rows.Add(attempt);
  CHECK(api.Explanation(4).find("ended as rejected") != std::string::npos);
}
