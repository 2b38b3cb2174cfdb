#include <doctest/doctest.h>

#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd::test {
namespace {

using std::chrono::minutes;

std::string RetriedAfter(minutes delay) {
  return R"({"type":"raw","method":"POST","path":"/v1/)" + std::to_string(delay.count()) +
         R"(","retry":{"max_retries":9,"delay_ms":)" + std::to_string(Milliseconds(delay).count()) +
         R"(,"all_errors":true}})";
}

TEST_CASE(
    "queue: a job deferred by a clock that was set back since waits no longer than the caps allow, whoever "
    "waits before it") {
  DeliveryRig rig;
  rig.connection.retry.cap = minutes(20);
  rig.connection.retry.retry_after_cap = minutes(1);
  rig.Start();
  rig.Accept({RetriedAfter(minutes(5)), RetriedAfter(minutes(19))});
  rig.AnswerAll(400);
  REQUIRE(rig.out.empty());
  rig.now -= minutes(10);
  rig.Run();
  REQUIRE(rig.out.size() == 1);
  CHECK(rig.out[0].transfer.job->job.raw->path == "/v1/19");
  rig.AnswerAll(200);
  rig.Pass(minutes(15) - Milliseconds(1));
  CHECK(rig.out.empty());
  rig.Pass(Milliseconds(1));
  CHECK(rig.out.size() == 1);
}

}  // namespace
}  // namespace outboxd::test
