#include "daemon/delivery/region_prober.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/gate.h"
#include "core/job.h"
#include "core/region_probe.h"
#include "core/ruling.h"
#include "core/time.h"
#include "core/verdict.h"
#include "daemon/base/status.h"

namespace outboxd {

// At once when the clock was set back: by how far is not known.
Timestamp RegionProber::DueAt(Timestamp now) const {
  const bool waits = waits_since_ && *waits_since_ <= now;
  return waits ? std::max(now, *waits_since_ + wait_) : now;
}

void RegionProber::Wait(Timestamp now, Milliseconds length) {
  waits_since_ = now;
  wait_ = length;
}

void RegionProber::OnPaused(Timestamp now) {
  if (Word(now) != ProbeWord::kWell) return Wait(now, interval_);
  Wait(now, std::min(doubted_for_, interval_));
  doubted_for_ = std::min(2 * doubted_for_, interval_);
}

bool RegionProber::TryStart(PauseReason pause, Timestamp now) {
  const bool is_due = EndsByProbe(pause) && DueAt(now) == now;
  if (is_under_way_ || !(is_asked_ || is_due)) return false;
  is_under_way_ = true;
  is_asked_ = false;
  Wait(now, interval_);
  return true;
}

std::optional<Timestamp> RegionProber::NextStart(PauseReason pause, Timestamp now) const {
  if (is_under_way_) return std::nullopt;
  if (is_asked_) return now;
  return EndsByProbe(pause) ? std::optional(DueAt(now)) : std::nullopt;
}

ProbeWord RegionProber::Word(Timestamp now) const {
  const bool counts = now >= spoken_ && now - spoken_ < interval_;
  return counts ? word_ : ProbeWord::kNone;
}

bool RegionProber::OnFinished(const Answer& answer, Milliseconds duration, std::optional<Region> wanted,
                              Route route, Timestamp now) {
  is_under_way_ = false;
  Wait(now, interval_);
  ProbeVerdict verdict = JudgeProbe(answer, wanted);
  constexpr int kNotFound = 404;
  const bool is_well = verdict.IsOk() || (route == Route::kPerhaps && answer.status == kNotFound);
  word_ = is_well ? ProbeWord::kWell : ProbeWord::kUnwell;
  spoken_ = now;
  ProbeReport& report = report_.emplace();
  report.ok = verdict.IsOk();
  report.status = answer.status;
  report.region = std::move(verdict.region);
  report.environment_id = verdict.environment_id;
  report.duration = duration;
  report.message = std::move(verdict.message);
  return is_well;
}

}  // namespace outboxd
