#include "daemon/delivery/troubled_users.h"

#include <doctest/doctest.h>

namespace outboxd {
namespace {

constexpr User kGood = 1000;
constexpr User kBad = 33;

TEST_CASE("troubled users: one request in ten is theirs") {
  TroubledUsers users;
  users.OnFailed(kBad);
  REQUIRE(users.IsTheirTurn(20));
  CHECK(users.OnSent(kBad));
  users.OnReturned();
  for (int request = 0; request < 9; ++request) {
    CHECK_FALSE(users.IsTheirTurn(20));
    CHECK_FALSE(users.OnSent(kGood));
  }
  CHECK(users.IsTheirTurn(20));
}

TEST_CASE("troubled users: a tenth of the requests under way is theirs, one at least") {
  for (const std::uint32_t limit : {1U, 20U}) {
    TroubledUsers users;
    users.OnFailed(kBad);
    for (std::uint32_t out = 0; out < (limit + 9) / 10; ++out) {
      for (int request = 0; request < 9; ++request) users.OnSent(kGood);
      CHECK(users.IsTheirTurn(limit));
      users.OnSent(kBad);
    }
    for (int request = 0; request < 9; ++request) users.OnSent(kGood);
    CHECK_FALSE(users.IsTheirTurn(limit));
    users.OnReturned();
    CHECK(users.IsTheirTurn(limit));
  }
}

TEST_CASE("troubled users: one who gets through is in trouble no more") {
  TroubledUsers users;
  users.OnFailed(kBad);
  users.OnFailed(User());
  users.OnWell(kBad);
  CHECK_FALSE(users.Has(kBad));
  CHECK(users.Has(User()));
}

}  // namespace
}  // namespace outboxd
