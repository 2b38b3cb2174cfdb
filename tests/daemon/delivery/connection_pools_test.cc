#include "daemon/delivery/connection_pools.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "tests/daemon/delivery/worker_bench.h"

namespace outboxd {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::EndpointAt;
using testing::RawTo;

// Requests that are never driven: under way until they are ended here.
class Pools {
 public:
  explicit Pools(double random = 0.5) : pools(&watch_, [random] { return random; }) { InitCurl(); }
  ~Pools() {
    while (!requests_.empty()) EndOldest();
  }
  Pools(const Pools&) = delete;
  Pools& operator=(const Pools&) = delete;

  CurlMulti* At(const std::shared_ptr<const Endpoint>& endpoint, SteadyTime now,
                Route route = Route::kPooled) {
    Transfer transfer = RawTo(endpoint, "GET", "/v1/x");
    transfer.route = route;
    return pools.For(transfer, now);
  }
  void Begin(const std::shared_ptr<const Endpoint>& endpoint, SteadyTime now) {
    CurlMulti* const multi = At(endpoint, now);
    REQUIRE(multi != nullptr);
    requests_.emplace_back(&watch_);
    requests_.back().Begin(RawTo(endpoint, "GET", "/v1/x"), {});
    REQUIRE(multi->Add(requests_.back()) == CURLM_OK);
  }
  void EndOldest() {
    requests_.front().Multi()->Remove(requests_.front());
    requests_.front().Abort();
    requests_.pop_front();
  }

 private:
  SocketWatch watch_;

 public:
  ConnectionPools pools;

 private:
  std::list<CurlRequest> requests_;
};

std::shared_ptr<Endpoint> Named(const std::string& name) {
  auto endpoint = EndpointAt("http://127.0.0.1:1");
  endpoint->config.name = name;
  return endpoint;
}

const SteadyTime kStart{std::chrono::hours(1)};

TEST_CASE("connection pools: each connection of the config has its own, and so has what goes alone") {
  Pools rig;
  const auto one = Named("one");
  const auto two = Named("two");
  CurlMulti* const first = rig.At(one, kStart);
  CurlMulti* const second = rig.At(two, kStart);
  CurlMulti* const alone = rig.At(one, kStart, Route::kOwn);
  CHECK(first != second);
  CHECK(alone != first);
  CHECK(alone != second);
  CHECK(rig.At(one, kStart) == first);
  CHECK(rig.At(two, kStart) == second);
  CHECK(rig.At(one, kStart, Route::kOwn) == alone);
  CHECK(rig.pools.Generations() == 3);
}

TEST_CASE("connection pools: a generation retires by age, give or take a fifth, also under constant load") {
  const std::pair<double, seconds> rows[] = {{0, seconds(240)}, {0.5, seconds(300)}, {1, seconds(360)}};
  for (const auto& [random, lifetime] : rows) {
    CAPTURE(random);
    Pools rig(random);
    const auto endpoint = Named("one");
    rig.Begin(endpoint, kStart);
    CurlMulti* const first = rig.At(endpoint, kStart);
    CHECK(rig.At(endpoint, kStart + lifetime - seconds(1)) == first);
    CurlMulti* const second = rig.At(endpoint, kStart + lifetime + seconds(1));
    CHECK(second != first);
    CHECK(rig.At(endpoint, kStart + lifetime + seconds(2)) == second);
    CHECK(rig.At(endpoint, kStart + 2 * lifetime + seconds(3)) != second);
  }
}

TEST_CASE(
    "connection pools: what retires by age goes on until a request of the new generation is sent or has "
    "ended") {
  Pools rig;
  const auto endpoint = Named("one");
  const auto later = kStart + minutes(6);
  CurlMulti* const first = rig.At(endpoint, kStart);
  rig.Begin(endpoint, later);
  CHECK(rig.pools.Generations() == 2);
  CHECK(rig.At(endpoint, later) == first);
  rig.pools.Tidy(later);
  CHECK(rig.At(endpoint, later + seconds(9)) == first);
  SUBCASE("it ends") {
    rig.EndOldest();
  }
  SUBCASE("a timeout retires the old one for good") {
    rig.pools.Retire(*first);
  }
  auto then = later + seconds(9);
  SUBCASE("it takes longer than a connection may take to make") {
    then = later + seconds(11);
  }
  CurlMulti* const second = rig.At(endpoint, then);
  CHECK(second != first);
  rig.pools.Tidy(then);
  CHECK(rig.pools.Generations() == 1);
  CHECK(rig.At(endpoint, then) == second);
}

TEST_CASE("connection pools: a new endpoint begins a new generation, that of another connection none") {
  Pools rig;
  auto before = Named("one");
  const auto other = Named("two");
  CurlMulti* const first = rig.At(before, kStart);
  CurlMulti* const others = rig.At(other, kStart);
  CHECK(rig.At(Named("one"), kStart) != first);
  CHECK(rig.At(other, kStart) == others);
}

TEST_CASE("connection pools: what has retired ends its requests and is closed with the last of them") {
  Pools rig;
  const auto endpoint = Named("one");
  rig.Begin(endpoint, kStart);
  rig.Begin(endpoint, kStart);
  CurlMulti* const first = rig.At(endpoint, kStart);
  rig.pools.Retire(*first);
  rig.pools.Retire(*first);
  CHECK(rig.At(endpoint, kStart) != first);
  rig.pools.Tidy(kStart);
  CHECK(rig.pools.Generations() == 2);
  rig.EndOldest();
  rig.pools.Tidy(kStart);
  CHECK(rig.pools.Generations() == 2);
  rig.EndOldest();
  rig.pools.Tidy(kStart);
  CHECK(rig.pools.Generations() == 1);
}

TEST_CASE("connection pools: a pool that idles is closed, one with a request under way is not") {
  Pools rig;
  rig.At(Named("idle"), kStart);
  rig.Begin(Named("slow"), kStart);
  CHECK(rig.pools.NextTimer() <= kStart + minutes(1));
  rig.pools.Tidy(kStart + seconds(49));
  CHECK(rig.pools.Generations() == 2);
  rig.pools.Tidy(kStart + seconds(60));
  CHECK(rig.pools.Generations() == 1);
  rig.EndOldest();
  rig.pools.Tidy(kStart + seconds(71));
  CHECK(rig.pools.Generations() == 0);
  CHECK_FALSE(rig.pools.NextTimer().has_value());
}

TEST_CASE(
    "connection pools: many reloads while requests hang pile up no generations, a dead one is left even so") {
  Pools rig;
  for (int i = 0; i < 100; ++i) rig.Begin(Named("one"), kStart);
  rig.pools.Tidy(kStart);
  CHECK(rig.pools.Generations() == ConnectionPools::kOldGenerations + 1);
  CurlMulti* const newest = rig.At(Named("one"), kStart + minutes(60));
  CHECK(rig.At(Named("one"), kStart + minutes(60)) == newest);
  rig.pools.Retire(*newest);
  CHECK(rig.At(Named("one"), kStart + minutes(60)) != newest);
  CHECK(rig.pools.Generations() == ConnectionPools::kOldGenerations + 2);
}

}  // namespace
}  // namespace outboxd
