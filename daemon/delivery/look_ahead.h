// daemon/delivery/look_ahead.h — memory may be full of the jobs of some users while jobs of others wait on
// disk behind them: these are read ahead of their turn, into a room of their own.
//
// The rows behind the Backlog's cursor are passed in their order. One is taken when its user has few jobs in
// memory (in trouble, none) and no row passed over may be of one of its lanes; so the order of a lane holds,
// whoever it is of. It halts where there is no more room, and where a user has enough who gets on well.
// Lanes passed over are kept as a set of bits: two may share one, and then a job waits for its turn without
// need. What was passed over is looked at again by the next pass; a pass costs a few microseconds for each
// row, so the time between two grows with them.
//
// No thread, no lock: belongs to the dispatcher. Time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "config/config.h"
#include "core/job.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/user_shares.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/held_jobs.h"
#include "daemon/delivery/lane_set.h"
#include "storage/outbox_reader.h"

namespace outboxd {

class LookAhead {
 public:
  // Of one call: `held` is full, and rows wait behind `cursor`, the last at `tail`.
  struct Terms {
    const ConnectionConfig& connection;
    const LimitsConfig& limits;
    Sequence cursor{}, tail{};
    Timestamp now{};
  };

  // `held` outlives it.
  explicit LookAhead(HeldJobs& held) : held_(held) {}

  // Passes some rows, and takes what it may. Begins a pass when it is time for one and somebody may gain by
  // it.
  Result<void> Read(OutboxReader& reader, const Terms& terms, Report& report);
  // When Read() is worth a call; nullopt: not before something else changes.
  std::optional<Timestamp> NextRead(const Terms& terms) const;
  // Rows before those passed may have changed, or what lanes they have.
  void End() { is_under_way_ = false; }

 private:
  struct Held {
    std::size_t jobs = 0;
    bool is_ahead = false;  // some of them are
  };
  using HeldByUser = std::map<User, Held>;

  bool HasRoom(const LimitsConfig& limits, std::size_t bytes) const;
  std::size_t Share(User user, const LimitsConfig& limits) const;
  HeldByUser CountHeld() const;
  Result<bool> MayAnybodyGain(OutboxReader& reader, const LimitsConfig& limits) const;
  void Begin(const Terms& terms);
  void Halt(Timestamp now);
  bool IsHalted(Timestamp now) const;
  bool MustWaitFor(User user, const Held& held) const;
  Result<bool> MayTake(OutboxReader& reader, const Terms& terms, Sequence sequence, const LaneList& lanes);

  HeldJobs& held_;
  bool is_under_way_ = false;
  Sequence position_{};     // rows up to here are passed
  std::uint64_t rows_ = 0;  // that this pass looked at, at most
  std::optional<Timestamp> begun_, halted_;
  std::size_t go_on_at_ = 0;  // jobs read ahead: half of what they were when it halted
  LaneSet passed_;            // lanes passed over
};

}  // namespace outboxd
