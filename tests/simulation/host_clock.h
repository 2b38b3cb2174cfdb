// tests/simulation/host_clock.h — the clocks of the host in a simulated world: its wall clock may be wrong,
// is set, and begins anew at each boot. And the oracle: how old the rules let a job be, and what time it has.
//
// A wall clock is off from the world's time by its error. A step changes the error, slewing does not.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/time.h"
#include "tests/simulation/random.h"

namespace outboxd::simulation {

// When a job was accepted.
struct NotedTime {
  Timestamp world{};
  std::size_t boot = 0;
  Milliseconds error{0};
  bool is_trusted = false;
};

class HostClock {
 public:
  // The first boot, with a clock that is right.
  explicit HostClock(Timestamp world);

  // The next boot, with a clock that may be wrong.
  void Reboot(Random& random, Timestamp world);
  // It is set: right, or wrong, or never to have been.
  void BeSet(Random& random, Timestamp world);
  void BeRight(Timestamp world);

  ClockReading Read(Timestamp world) const;
  Milliseconds error() const { return error_; }
  std::string ToText(Timestamp world) const;

  NotedTime Note(Timestamp world) const;
  // At most; nullopt while nothing may expire.
  std::optional<Milliseconds> AgeOf(const NotedTime& noted, Timestamp world) const;
  // nullopt: only that it is not one before the program was built.
  std::optional<Timestamp> TimeOf(const NotedTime& noted, Timestamp world) const;

 private:
  struct Boot {
    std::optional<Milliseconds> least_error;  // of those with which it was set; nullopt: it never was
    std::optional<Timestamp> set_later;       // the first wall clock of a later boot that was set
  };
  bool IsSet(Timestamp world) const { return Read(world).IsSet(); }
  void Set(Milliseconds error, Timestamp world);

  Timestamp built_;
  Timestamp booted_;
  std::string boot_id_;
  std::vector<Boot> boots_;
  Milliseconds error_{0};
  bool is_synchronised_ = true;
};

}  // namespace outboxd::simulation
