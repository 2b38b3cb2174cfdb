#include "tests/simulation/host_clock.h"

#include <algorithm>
#include <chrono>

namespace outboxd::simulation {
namespace {

using std::chrono::hours;

constexpr hours kYear{24 * 365};
constexpr hours kSinceBuilt{24 * 60};

Milliseconds RandomError(Random& random) {
  const auto by = Milliseconds(random.Below(4'000'000));
  switch (random.Below(4)) {
    case 0:
      return by;
    case 1:
      return -by;
    case 2:
      return kYear + by;
    default:
      return -hours(24 * 20) - by;
  }
}

}  // namespace

HostClock::HostClock(Timestamp world)
    : built_(world - kSinceBuilt), booted_(world - hours(1)), boot_id_("boot 0") {
  boots_.emplace_back();
  Set(Milliseconds(0), world);
}

void HostClock::Reboot(Random& random, Timestamp world) {
  boot_id_ = "boot " + std::to_string(boots_.size());
  boots_.emplace_back();
  booted_ = world - Milliseconds(random.Below(60'000));
  const std::uint32_t dice = random.Below(10);
  is_synchronised_ = dice < 4;
  const Milliseconds since_1970 = -booted_.time_since_epoch();
  Set(dice < 5 ? Milliseconds(0) : dice < 8 ? since_1970 : RandomError(random), world);
}

void HostClock::BeSet(Random& random, Timestamp world) {
  const std::uint32_t dice = random.Below(10);
  if (dice < 2) {  // a virtual machine that was paused
    is_synchronised_ = true;
    const auto by = Milliseconds(random.Below(random.Chance(50) ? 4'000'000 : 5'000));
    return Set(error_ + (random.Chance(50) ? by : -by), world);
  }
  is_synchronised_ = dice < 4;
  if (dice < 7) return Set(Milliseconds(0), world);
  Set(dice < 8 ? -world.time_since_epoch() + hours(1) : RandomError(random), world);
}

void HostClock::BeRight(Timestamp world) {
  is_synchronised_ = true;
  Set(Milliseconds(0), world);
}

void HostClock::Set(Milliseconds error, Timestamp world) {
  error_ = error;
  if (!IsSet(world)) return;
  Boot& boot = boots_.back();
  boot.least_error = std::min(error, boot.least_error.value_or(error));
  const Timestamp wall = world + error;
  for (Boot& earlier : boots_) {
    if (&earlier != &boot) earlier.set_later = std::min(wall, earlier.set_later.value_or(wall));
  }
}

ClockReading HostClock::Read(Timestamp world) const {
  return {world + error_, world - booted_, boot_id_, is_synchronised_, built_};
}

std::string HostClock::ToText(Timestamp world) const {
  return "the clock of " + boot_id_ + " says " + FormatRfc3339(world + error_) +
         (is_synchronised_ ? ", synchronised" : "");
}

NotedTime HostClock::Note(Timestamp world) const {
  return {world, boots_.size() - 1, error_, Read(world).IsTrusted()};
}

std::optional<Milliseconds> HostClock::AgeOf(const NotedTime& noted, Timestamp world) const {
  if (!IsSet(world)) return std::nullopt;
  const Milliseconds lived = world - noted.world;
  if (noted.is_trusted) return lived + error_ - noted.error;
  if (noted.boot + 1 == boots_.size()) return lived;
  const Boot& boot = boots_[noted.boot];
  const Milliseconds since_set = world + error_ - boot.set_later.value_or(world + error_);
  return boot.least_error ? std::max(since_set, lived + error_ - *boot.least_error) : since_set;
}

std::optional<Timestamp> HostClock::TimeOf(const NotedTime& noted, Timestamp world) const {
  const bool is_known = noted.is_trusted || noted.boot + 1 == boots_.size();
  const std::optional<Milliseconds> age = AgeOf(noted, world);
  return is_known && age ? std::optional(world + error_ - *age) : std::nullopt;
}

}  // namespace outboxd::simulation
