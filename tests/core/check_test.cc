#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/core/check_user.h"
#include "tests/support/child_ending.h"
#include "tests/support/seed_on_abort.h"

namespace outboxd {
namespace {

using test::Ending;
using test::EndingOf;

TEST_CASE("check: a condition that holds is passed") {
  const Ending ending = EndingOf([] { RequirePositive(1); });
  CHECK(WIFEXITED(ending.status));
  CHECK(ending.text.empty());
}

TEST_CASE("check: a condition that does not hold names itself and aborts") {
  const Ending ending = EndingOf([] { RequirePositive(0); });
  CHECK(ending.HasAborted());
  CHECK(ending.text.find("check_user.cc:") != std::string::npos);
  CHECK(ending.text.find("CHECK failed: number > 0, \"positive\" != nullptr\n") == std::string::npos);
  CHECK(ending.text.find("CHECK failed: number > 0\n") != std::string::npos);
}

TEST_CASE("check: an abort under a seed names the seed") {
  const Ending ending = EndingOf([] {
    const test::SeedOnAbort named("SEED", 42);
    RequirePositive(0);
  });
  CHECK(ending.HasAborted());
  CHECK(ending.text.find("\nSEED=42\n") != std::string::npos);
}

}  // namespace
}  // namespace outboxd
