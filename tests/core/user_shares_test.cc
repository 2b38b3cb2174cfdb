#include "core/user_shares.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>

namespace outboxd {
namespace {

constexpr User kBusy = 1000;
constexpr User kOther = 1001;
constexpr User kTcp = std::nullopt;

TEST_CASE("user shares: one user has all but the last tenth, which is kept for those who hold little") {
  UserShares shares(100);
  for (int i = 0; i < 90; ++i) {
    REQUIRE(shares.Allows(kBusy, 1));
    shares.Take(kBusy, 1);
  }
  CHECK_FALSE(shares.Allows(kBusy, 1));
  for (int i = 0; i < 10; ++i) {
    REQUIRE(shares.Allows(kOther, 1));
    shares.Take(kOther, 1);
  }
  CHECK_FALSE(shares.Allows(kOther, 1));
  CHECK_FALSE(shares.Allows(kTcp, 1));
  shares.Give(kBusy, 5);
  CHECK_FALSE(shares.Allows(kBusy, 1));
  CHECK(shares.Allows(kTcp, 5));
  CHECK_FALSE(shares.Allows(kTcp, 6));
}

TEST_CASE("user shares: a bound for each user holds also where there is room") {
  UserShares shares(100, 20);
  CHECK(shares.Allows(kBusy, 20));
  CHECK_FALSE(shares.Allows(kBusy, 21));
  shares.Take(kBusy, 20);
  CHECK_FALSE(shares.Allows(kBusy, 1));
  CHECK(shares.Allows(kOther, 20));
}

TEST_CASE("user shares: what is held beyond a new limit stays held, and nothing overflows") {
  UserShares shares(100);
  shares.Take(kBusy, 100);
  shares.SetLimits(10, 0);
  CHECK_FALSE(shares.Allows(kOther, 1));
  CHECK(shares.Allows(kOther, 0));
  CHECK_FALSE(shares.Allows(kOther, UINT64_MAX));
  shares.Give(kBusy, 1000);
  CHECK(shares.Total() == 0);
  CHECK(shares.HeldBy(kBusy) == 0);
  CHECK_FALSE(shares.Allows(kOther, UINT64_MAX));
}

TEST_CASE("user shares: a limit below ten is shared by nobody's tenth") {
  UserShares shares(3);
  shares.Take(kBusy, 2);
  CHECK(shares.Allows(kBusy, 1));
}

}  // namespace
}  // namespace outboxd
