#include "core/people_members.h"

#include <doctest/doctest.h>

namespace outboxd::members {
namespace {

TEST_CASE("people members: a person's lane has the name that a v1 path would have") {
  CHECK(LaneName("id", "42", "primary.id").value() == "42");
  CHECK(LaneName("email", "a@b.c", "primary.email").value() == "a@b.c");
  CHECK(LaneName("cio_id", "9", "primary.cio_id").value() == "cio_9");
  CHECK(LaneName("cio_id", std::string(146, 'a'), "ids.3").has_value());
  const auto too_long = LaneName("cio_id", std::string(147, 'a'), "ids.3");
  REQUIRE_FALSE(too_long.has_value());
  CHECK(too_long.error().kind == ErrorKind::kInvalid);
  CHECK(too_long.error().field == "ids.3");
  CHECK(too_long.error().message == "is longer than 146 bytes");
}

}  // namespace
}  // namespace outboxd::members
