#include "daemon/base/log_limit.h"

#include <doctest/doctest.h>

#include <chrono>
#include <optional>

namespace outboxd {
namespace {

TEST_CASE(
    "log limit: the first time is told at once, then once a minute with the number, the last ones too") {
  LogLimit limit;
  const LogLimit::Time start{std::chrono::hours(1)};
  CHECK_FALSE(limit.Due(start));
  CHECK(limit.Happened(start) == std::optional<std::uint64_t>(1));
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(limit.Happened(start + std::chrono::milliseconds(i)));
  CHECK_FALSE(limit.Due(start + std::chrono::seconds(59)));
  CHECK(limit.Due(start + std::chrono::seconds(60)) == std::optional<std::uint64_t>(1000));
  CHECK_FALSE(limit.Due(start + std::chrono::seconds(200)));
  CHECK(limit.Happened(start + std::chrono::seconds(201)) == std::optional<std::uint64_t>(1));
}

}  // namespace
}  // namespace outboxd
