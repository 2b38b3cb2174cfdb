#include "daemon/base/late_listener.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "tests/daemon/base/http_peer.h"

namespace outboxd {
namespace {

using std::chrono::seconds;

TEST_CASE("late listener: a port that is taken is tried again with a growing wait, told once, and then had") {
  const testing::Listening other = testing::ListenOnLoopback();
  const std::string address = "127.0.0.1:" + std::to_string(other.port);
  ListenerStates states;
  LateListener late("listen.track", address, states);
  const LateListener::Time start{};
  const auto try_at = [&](seconds after) {
    const auto tried = late.Try(start + after);
    REQUIRE(tried.has_value());
    return tried->has_value();
  };
  CHECK_FALSE(try_at(seconds(0)));
  REQUIRE(states.All().size() == 1);
  CHECK(states.All()[0].address == address);
  CHECK(states.All()[0].problem.find("Address already in use") != std::string::npos);
  CHECK_FALSE(try_at(seconds(1)));
  close(other.descriptor);
  CHECK_FALSE(try_at(seconds(2)));  // the next is due two seconds after the second
  CHECK(try_at(seconds(3)));
  CHECK(states.All()[0].problem.empty());
}

TEST_CASE("late listener: after many failures it is still tried every minute") {
  const testing::Listening other = testing::ListenOnLoopback();
  ListenerStates states;
  LateListener late("metrics.tcp", "127.0.0.1:" + std::to_string(other.port), states);
  LateListener::Time now{};
  for (int i = 0; i < 20; ++i, now += seconds(60)) CHECK_FALSE(late.Try(now)->has_value());
  close(other.descriptor);
  CHECK(late.Try(now)->has_value());
}

TEST_CASE("late listener: an address that is none is an error") {
  ListenerStates states;
  CHECK_FALSE(LateListener("listen.track", "10.0.0.1:1", states).Try({}).has_value());
}

}  // namespace
}  // namespace outboxd
