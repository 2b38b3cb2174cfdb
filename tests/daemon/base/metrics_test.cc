#include "daemon/base/metrics.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

using namespace outboxd;

namespace {

bool HasLine(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

DaemonStatus SomeStatus() {
  DaemonStatus status;
  status.started = FromUnixMs(1'500);
  status.now = FromUnixMs(100'000);
  status.bytes = 4'096;
  ConnectionStatus connection;
  connection.name = "default";
  connection.jobs = 10;
  connection.in_flight = 3;
  connection.deferred = 2;
  connection.blocked = 1;
  connection.dead = 5;
  connection.suspects = 2;
  connection.batch_use = BatchUse::kUsed;
  connection.oldest = FromUnixMs(40'000);
  connection.gate.state = GateState::kThrottled;
  status.connections.push_back(connection);
  return status;
}

}  // namespace

TEST_CASE("metrics: every agreed name is in the text, with its labels") {
  Metrics metrics;
  metrics.Of("default").Accepted(JobType::kAddToSegment, 3);
  metrics.Refused(Refusal::kBusy, 2);
  metrics.Of("default").Attempts(Fate::kPausedAuth, 4);
  metrics.Of("default").Delivered(JobType::kTrack, 5);
  metrics.Of("default").Dead(Death::kExpired, 6);
  metrics.ObserveDeliveries(std::array{0.02, 0.02, 400.0});
  metrics.ObserveCommit(0.0003);
  const std::string text = metrics.Render(SomeStatus());
  INFO(text);
  CHECK(HasLine(text, R"(outboxd_jobs_accepted_total{connection="default",type="add_to_segment"} 3)"));
  CHECK(HasLine(text, R"(outboxd_jobs_accepted_total{connection="default",type="track"} 0)"));
  CHECK(HasLine(text, R"(outboxd_jobs_refused_total{code="busy"} 2)"));
  CHECK(HasLine(text, R"(outboxd_attempts_total{connection="default",result="paused_auth"} 4)"));
  CHECK(HasLine(text, R"(outboxd_jobs_delivered_total{connection="default",type="track"} 5)"));
  CHECK(HasLine(text, R"(outboxd_jobs_dead_total{connection="default",reason="expired"} 6)"));
  CHECK(HasLine(text, R"(outboxd_jobs{connection="default",state="ready"} 4)"));
  CHECK(HasLine(text, R"(outboxd_jobs{connection="default",state="in_flight"} 3)"));
  CHECK(HasLine(text, R"(outboxd_jobs{connection="default",state="dead"} 5)"));
  CHECK(HasLine(text, R"(outboxd_suspects{connection="default"} 2)"));
  CHECK(HasLine(text, R"(outboxd_connection_batches{connection="default"} 1)"));
  CHECK(HasLine(text, R"(outboxd_oldest_job_age_seconds{connection="default"} 60)"));
  CHECK(HasLine(text, R"(outboxd_connection_state{connection="default",state="throttled"} 1)"));
  CHECK(HasLine(text, R"(outboxd_connection_state{connection="default",state="open"} 0)"));
  CHECK(HasLine(text, "outboxd_spool_bytes 4096"));
  CHECK(HasLine(text, "outboxd_delivery_seconds_count 3"));
  CHECK(HasLine(text, R"(outboxd_delivery_seconds_bucket{le="0.025"} 2)"));
  CHECK(HasLine(text, "outboxd_accept_commit_seconds_count 1"));
  CHECK(HasLine(text, "process_start_time_seconds 1.5"));
  for (const char* name :
       {"process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds "}) {
    CHECK(text.find(std::string("\n") + name) != std::string::npos);
  }
  CHECK(HasLine(text, "# TYPE outboxd_jobs_accepted_total counter"));
  CHECK(HasLine(text, "# TYPE outboxd_delivery_seconds histogram"));
}

TEST_CASE("metrics: a value on a bucket's bound counts in that bucket, one beyond the last only in +Inf") {
  Metrics metrics;
  metrics.ObserveDeliveries(std::array{0.01, 1e9});
  const std::string text = metrics.Render({});
  CHECK(HasLine(text, R"(outboxd_delivery_seconds_bucket{le="0.005"} 0)"));
  CHECK(HasLine(text, R"(outboxd_delivery_seconds_bucket{le="0.01"} 1)"));
  CHECK(HasLine(text, R"(outboxd_delivery_seconds_bucket{le="+Inf"} 2)"));
}

TEST_CASE("metrics: each code of a refusal has its series from the start, and all are refused jobs") {
  Metrics metrics;
  for (const auto& [refusal, code] : kNames<Refusal>) {
    CHECK(HasLine(metrics.Render({}), "outboxd_jobs_refused_total{code=\"" + std::string(code) + "\"} 0"));
    metrics.Refused(refusal, 2);
    CHECK(HasLine(metrics.Render({}), "outboxd_jobs_refused_total{code=\"" + std::string(code) + "\"} 2"));
  }
  CHECK(metrics.ReadTotals().refused == 2 * kNames<Refusal>.size());
}

TEST_CASE(
    "metrics: gauges of a connection that left the config are gone, and its name is escaped while it is "
    "there") {
  Metrics metrics;
  DaemonStatus status = SomeStatus();
  status.connections[0].name = "a\"b\\c\nd";
  CHECK(metrics.Render(status).find(R"(outboxd_jobs{connection="a\"b\\c\nd",state="ready"})") !=
        std::string::npos);
  CHECK(metrics.Render({}).find("outboxd_jobs{") == std::string::npos);
}

TEST_CASE("metrics: totals add up over connections and threads") {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    threads.emplace_back([&metrics, index] {
      ConnectionMetrics& mine = metrics.Of(index % 2 == 0 ? "even" : "odd");
      for (int round = 0; round < 1'000; ++round) {
        mine.Accepted(JobType::kTrack, 2);
        metrics.Of("even").Attempts(Fate::kDelivered, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Totals totals = metrics.ReadTotals();
  CHECK(totals.accepted == 8'000);
  CHECK(totals.attempts == 4'000);
  CHECK(HasLine(metrics.Render({}), R"(outboxd_jobs_accepted_total{connection="odd",type="track"} 4000)"));
}

TEST_CASE("metrics: rates are means over the last ten seconds") {
  Metrics metrics;
  metrics.Tick(FromUnixMs(0));
  CHECK(metrics.ReadRates().accepted == 0);
  for (std::int64_t second = 1; second <= 20; ++second) {
    metrics.Of("default").Accepted(JobType::kTrack, second <= 10 ? 100 : 50);
    metrics.Tick(FromUnixMs(second * 1'000));
    if (second == 5) CHECK(metrics.ReadRates().accepted == doctest::Approx(100));
    if (second == 15) CHECK(metrics.ReadRates().accepted == doctest::Approx(75));
  }
  CHECK(metrics.ReadRates().accepted == doctest::Approx(50));
  CHECK(metrics.ReadRates().dead == 0);
}

TEST_CASE("metrics: a clock that was set back starts the rates anew") {
  Metrics metrics;
  metrics.Tick(FromUnixMs(10'000));
  metrics.Of("default").Delivered(JobType::kTrack, 10);
  metrics.Tick(FromUnixMs(5'000));
  CHECK(metrics.ReadRates().delivered == 0);
  metrics.Of("default").Delivered(JobType::kTrack, 10);
  metrics.Tick(FromUnixMs(6'000));
  CHECK(metrics.ReadRates().delivered == doctest::Approx(10));
}
