#include "daemon/delivery/delivery_hold.h"

#include <doctest/doctest.h>

namespace outboxd {
namespace {

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

TEST_CASE("delivery hold: holds the connections it was told until each is lifted, and says so") {
  DeliveryHold hold({"default", "eu"}, kNow, kNow + std::chrono::minutes(9));
  CHECK(hold.IsHeld("default"));
  CHECK_FALSE(hold.IsHeld("other"));
  CHECK(hold.Reason() ==
        "outboxd crashed 3 times within 10 minutes: nothing is sent on default, eu until `outboxctl resume "
        "CONNECTION`, or a restart after 2023-11-14T22:22:20.000Z");
  CHECK_FALSE(hold.Lift("other"));
  CHECK(hold.Lift("default"));
  CHECK_FALSE(hold.Lift("default"));
  CHECK_FALSE(hold.IsHeld("default"));
  CHECK(hold.IsHeld("eu"));
  CHECK(hold.Lift("eu"));
  CHECK(hold.Reason() == std::nullopt);
}

TEST_CASE("delivery hold: as a rule there is none") {
  DeliveryHold hold;
  CHECK_FALSE(hold.IsHeld("default"));
  CHECK_FALSE(hold.Lift("default"));
  CHECK(hold.Reason() == std::nullopt);
}

}  // namespace
}  // namespace outboxd
