// storage/boots.h — the boots of this host, and how far the wall clock was ahead of the boot clock in each:
// what makes of a row's `boot` and `boot_ms` the time that it means now (storage/moving_time.h).
//
// Rows are not written again when the clock steps, however many there are.
//
// Threads: belongs to the thread of the outbox's file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/clock.h"
#include "core/result.h"
#include "core/time.h"
#include "storage/database.h"

namespace outboxd {

// One moment as a row has it. All of it is absent when the boot is not known.
struct BootMoment {
  std::optional<std::int64_t> boot, boot_ms, synchronised;

  // Where a time noted now moves with the clock; else nullopt.
  std::optional<std::int64_t> MovingBoot() const { return synchronised == 0 ? boot : std::nullopt; }
  std::optional<std::int64_t> MovingSql() const { return synchronised == 0 ? boot_ms : std::nullopt; }
  std::optional<Milliseconds> MovingSince() const {
    return synchronised == 0 ? std::optional(Milliseconds(*boot_ms)) : std::nullopt;
  }
};

class Boots {
 public:
  static Result<Boots> Load(Database& database);

  // Whether Write() has something to write: the boot is a new one, or its clock was set.
  bool IsNews(const ClockReading& clock) const;
  // Inside a transaction. Forgets boots of which no row is left.
  Result<void> Write(Database& database, const ClockReading& clock);
  // By how much times of this boot moved; nullopt: they did not.
  std::optional<Milliseconds> MovedSince(const Boots& before) const;
  BootMoment Moment(const ClockReading& clock) const;

 private:
  std::int64_t number_ = 0;  // of the last one; 0: there was none
  std::string id_;
  ClockOffset offset_;
};

}  // namespace outboxd
