#include "core/people_members.h"

#include <doctest/doctest.h>

namespace outboxd::members {
namespace {

TEST_CASE("people members: a person's lane has the name that a v1 path would have") {
  CHECK(LaneName("id", "42") == "42");
  CHECK(LaneName("email", "a@b.c") == "a@b.c");
  CHECK(LaneName("cio_id", "9") == "cio_9");
}

}  // namespace
}  // namespace outboxd::members
