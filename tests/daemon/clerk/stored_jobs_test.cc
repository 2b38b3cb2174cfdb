#include "daemon/clerk/stored_jobs.h"

#include <doctest/doctest.h>

#include "tests/support/outbox_use.h"

namespace outboxd {
namespace {

TEST_CASE("stored jobs: each is counted for its connection and type, and the commit once") {
  Metrics metrics;
  std::vector<std::unique_ptr<QueuedJob>> jobs;
  jobs.push_back(test::NewJob(test::TrackLine("1")));
  jobs.push_back(test::NewJob(test::TrackLine("2")));
  jobs.push_back(test::NewJob(test::TrackLine("1", "bought", "eu")));
  jobs.push_back(test::NewJob(R"({"type":"identify","id":"1"})"));
  CountStored(metrics, 0.25, jobs);
  CHECK(metrics.ReadTotals().accepted == 4);
  const std::string text = metrics.Render(DaemonStatus());
  for (const char* line : {"outboxd_jobs_accepted_total{connection=\"default\",type=\"track\"} 2\n",
                           "outboxd_jobs_accepted_total{connection=\"eu\",type=\"track\"} 1\n",
                           "outboxd_jobs_accepted_total{connection=\"default\",type=\"identify\"} 1\n",
                           "outboxd_accept_commit_seconds_count 1\n"})
    CHECK_MESSAGE(text.find(line) != std::string::npos, line);
}

}  // namespace
}  // namespace outboxd
