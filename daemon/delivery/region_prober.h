// daemon/delivery/region_prober.h — when a connection asks the Track API about its credentials and region,
// and what came of it.
//
// A connection that an answer paused is probed at an interval, and sooner at first where the probe
// contradicts that answer: others may fare better than those that were refused. An operator, new credentials,
// or an answer that may be the job's own fault ask for a probe at any time. What it said counts for the
// interval. One probe is under way at a time. No thread, no lock: belongs to the dispatcher.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "core/gate.h"
#include "core/job.h"
#include "core/ruling.h"
#include "core/time.h"
#include "core/verdict.h"
#include "daemon/base/status.h"

namespace outboxd {

class RegionProber {
 public:
  // Whether the host is known to have the region route. Where it perhaps has not, a 404 says nothing against
  // the connection.
  enum class Route : std::uint8_t { kThere, kPerhaps };

  explicit RegionProber(Milliseconds interval) : interval_(interval) {}
  void Configure(Milliseconds interval) { interval_ = interval; }

  // A probe is to leave as soon as none is under way, whatever the gate says.
  void Ask() { is_asked_ = true; }
  // An answer has paused the connection: the first probe leaves after an interval.
  // When its own last word was that all is well, after a second, and twice as long each time again until
  // something is delivered.
  void OnPaused(Timestamp now);

  // Whether a probe leaves now; then it is under way. `pause` is the gate's.
  bool TryStart(PauseReason pause, Timestamp now);
  // When TryStart() may turn true by time alone; nullopt when time does not matter.
  std::optional<Timestamp> NextStart(PauseReason pause, Timestamp now) const;

  // The answer to the probe. True when credentials and region are right: a pause that ends by a probe is
  // over. `wanted` nullopt: any region will do.
  bool OnFinished(const Answer& answer, Milliseconds duration, std::optional<Region> wanted, Route route,
                  Timestamp now);
  // What the last probe said, while that counts.
  ProbeWord Word(Timestamp now) const;
  // A delivery proves that what was wrong is over.
  void OnDelivered() {
    doubted_for_ = kSoonest;
    if (word_ == ProbeWord::kUnwell) ForgetWord();
  }
  // It counts no longer: the credentials are others.
  void ForgetWord() { word_ = ProbeWord::kNone; }
  // The probe was aborted: it said nothing.
  void OnAborted() { is_under_way_ = false; }
  // Of the last probe that ended since the last call.
  std::optional<ProbeReport> TakeReport() { return std::exchange(report_, std::nullopt); }

 private:
  Timestamp DueAt(Timestamp now) const;
  void Wait(Timestamp now, Milliseconds length);

  static constexpr Milliseconds kSoonest{1000};

  Milliseconds interval_;
  bool is_asked_ = false;
  bool is_under_way_ = false;
  std::optional<Timestamp> waits_since_;  // of a paused connection; nullopt: the next probe leaves at once
  Milliseconds wait_{};
  Milliseconds doubted_for_ = kSoonest;
  ProbeWord word_ = ProbeWord::kNone;
  Timestamp spoken_{};
  std::optional<ProbeReport> report_;
};

}  // namespace outboxd
