// Lanes against a naive reference that plays the queue around them and the disk below.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "core/lanes.h"
#include "tests/support/seed_on_abort.h"

namespace outboxd {
namespace {

using Keys = std::vector<LaneKey>;
using Sequences = std::vector<Sequence>;

constexpr LaneKey kA{1};
constexpr LaneKey kB{2};

enum class State : std::uint8_t { kSettled, kWaiting, kReady, kActive, kDeferred, kParking, kParked };

struct ModelJob {
  Keys lanes;
  State state = State::kSettled;
  std::optional<LaneKey> home;        // where it is parked
  bool stood_back = false;            // redriven, and parked under one of several lanes
  std::uint64_t admitted = 0;         // tick of its last admission
  std::optional<std::uint64_t> turn;  // tick at which it was named ready
};

// Plays the queue around the lanes and the disk below it, keeps everything in the simplest form, and checks
// each promise.
// Size: each move of the queue and each of its questions to the disk is a step of its own.
class Model {
 public:
  Model(std::uint64_t seed, std::size_t lane_jobs_max, std::size_t lane_count, bool redrives)
      : random_(seed),
        lane_jobs_max_(lane_jobs_max),
        lanes_(lane_jobs_max),
        lane_count_(lane_count),
        redrives_(redrives) {}

  void Step() {
    Act();
    lanes_.CheckInvariants();
  }
  // Everything succeeds from here on.
  void Drain() {
    for (std::size_t idle = 0; idle < 4;) {
      ++tick_;
      const std::size_t before = unsettled_;
      WriteParks();
      for (std::size_t count = refills_.size(); count > 0; --count) Refill();
      for (const Sequence sequence : All(State::kDeferred)) Wake(sequence);
      for (std::size_t count = All(State::kReady).size(); count > 0; --count) StartOne();
      for (const Sequence sequence : All(State::kActive)) Release(sequence);
      idle = unsettled_ == before ? idle + 1 : 0;
    }
    for (const auto& [sequence, job] : jobs_) {
      CAPTURE(ToNumber(sequence));
      REQUIRE_MESSAGE(job.state == State::kSettled, "stuck in state ", static_cast<int>(job.state));
    }
    REQUIRE(lanes_.LaneCount() == 0);
  }

  std::size_t unsettled() const { return unsettled_; }

  // Jobs of this lane alone that are held in memory.
  std::size_t HeldOf(LaneKey key) const {
    return static_cast<std::size_t>(std::count_if(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
      const ModelJob& job = entry.second;
      return job.lanes == Keys{key} && job.state != State::kSettled && job.state != State::kParking &&
             job.state != State::kParked;
    }));
  }

 private:
  void Act() {
    ++tick_;
    switch (Below(12)) {
      case 0:
      case 1:
      case 2:
        return AdmitNew();
      case 3:
        return redrives_ ? Redrive() : AdmitNew();
      case 4:
      case 5:
        return StartOne();
      case 6:
      case 7:
        return WithOne(State::kActive, [this](Sequence sequence) { Finish(sequence); });
      case 8:
        return WithOne(State::kDeferred, [this](Sequence sequence) { Wake(sequence); });
      case 9:
        return WriteParks();
      case 10:
        return Refill();
      case 11:
        return Cancel();
    }
  }
  std::size_t Below(std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_);
  }

  Sequences All(State state) const {
    Sequences all;
    for (const auto& [sequence, job] : jobs_) {
      if (job.state == state) all.push_back(sequence);
    }
    return all;
  }

  template <typename Action>
  void WithOne(State state, Action action) {
    const Sequences all = All(state);
    if (!all.empty()) action(all[Below(all.size())]);
  }

  Keys SomeLanes() {
    const std::size_t count = Below(10) < 7 ? 1 : Below(8) == 0 ? 0 : 2 + Below(2);
    std::set<LaneKey> keys;
    while (keys.size() < std::min(count, lane_count_)) keys.insert(LaneKey{1 + Below(lane_count_)});
    return {keys.begin(), keys.end()};
  }

  void AdmitNew() {
    const Sequence sequence{++last_};
    jobs_[sequence].lanes = SomeLanes();
    Admit(sequence);
  }

  void Redrive() {
    if (Below(3) != 0) return;
    WithOne(State::kSettled, [this](Sequence sequence) { Admit(sequence); });
  }

  void Admit(Sequence sequence) {
    ModelJob& job = jobs_[sequence];
    job.admitted = tick_;
    job.turn.reset();
    job.stood_back = false;
    ++unsettled_;
    if (const std::optional<LaneKey> waits = KeptBefore(sequence, job.lanes)) return Park(sequence, *waits);
    switch (lanes_.Admit(sequence, job.lanes)) {
      case Admission::kReady:
        job.state = State::kReady;
        job.turn = tick_;
        return;
      case Admission::kWaits:
        job.state = State::kWaiting;
        return;
      case Admission::kPark:
        return Park(sequence, *lanes_.ParksUnder(sequence, job.lanes));
    }
  }

  void Park(Sequence sequence, LaneKey lane) {
    ModelJob& job = jobs_[sequence];
    job.state = State::kParking;
    job.home = lane;
    job.stood_back = job.stood_back || (job.lanes.size() > 1 && ToNumber(sequence) < last_);
    if (lanes_.Has(lane)) lanes_.MarkParked(lane, sequence);
  }

  static bool IsOnDisk(const ModelJob& job) {
    return job.state == State::kParking || job.state == State::kParked;
  }

  static bool Keeps(const ModelJob& job, LaneKey key) {
    return IsOnDisk(job) && job.home != key && Meet(job.lanes, {key});
  }

  std::optional<Sequence> FirstKept(LaneKey key) const {
    for (const auto& [sequence, job] : jobs_) {
      if (Keeps(job, key)) return sequence;
    }
    return std::nullopt;
  }

  std::optional<Sequence> FirstParked(LaneKey key, Sequence after) const {
    for (const auto& [sequence, job] : jobs_) {
      if (sequence > after && IsOnDisk(job) && job.home == key) return sequence;
    }
    return std::nullopt;
  }

  // The lane in which one on disk is before it, that the lanes do not know.
  std::optional<LaneKey> KeptBefore(Sequence sequence, const Keys& lanes) const {
    for (const LaneKey key : lanes) {
      const std::optional<Sequence> kept = FirstKept(key);
      if (kept && *kept < sequence) return key;
    }
    return std::nullopt;
  }

  std::optional<LaneKey> WaitsIn(Sequence sequence, const Keys& lanes) const {
    const std::optional<LaneKey> held = lanes_.ParksUnder(sequence, lanes);
    return held ? held : KeptBefore(sequence, lanes);
  }

  void FindParkedBehind(Sequence sequence, LaneKey key) {
    const std::optional<Sequence> first = FirstParked(key, sequence);
    if (!first) return;
    lanes_.MarkParked(key, *first);
    refills_.push_back(key);
  }

  void StartOne() {
    WithOne(State::kReady, [this](Sequence sequence) {
      ModelJob& job = jobs_[sequence];
      REQUIRE(lanes_.IsReady(sequence, job.lanes));
      CheckOrder(sequence, job);
      lanes_.Start(sequence, job.lanes);
      job.state = State::kActive;
    });
  }

  // Nobody of its lanes is active, and whoever is before it came back only after its turn was given.
  void CheckOrder(Sequence sequence, const ModelJob& job) const {
    REQUIRE(job.turn.has_value());
    for (const auto& [other_sequence, other] : jobs_) {
      if (other.state == State::kSettled || other_sequence == sequence || !Meet(job.lanes, other.lanes))
        continue;
      CAPTURE(ToNumber(sequence));
      CAPTURE(ToNumber(other_sequence));
      REQUIRE(other.state != State::kActive);
      if (other_sequence < sequence && !other.stood_back) REQUIRE(other.admitted > *job.turn);
    }
  }

  static bool Meet(const Keys& left, const Keys& right) {
    return std::any_of(left.begin(), left.end(), [&](LaneKey key) {
      return std::find(right.begin(), right.end(), key) != right.end();
    });
  }

  void Finish(Sequence sequence) {
    ModelJob& job = jobs_[sequence];
    const std::size_t outcome = Below(4);
    if (outcome < 2) return Release(sequence);
    if (outcome == 2) {
      lanes_.Stop(sequence, job.lanes);
      return BackToWaiting(sequence);
    }
    Sequences evicted;
    lanes_.Hold(sequence, job.lanes, evicted);
    job.state = State::kDeferred;
    for (const Sequence follower : evicted) {
      CAPTURE(ToNumber(follower));
      REQUIRE(jobs_[follower].state == State::kWaiting);
      REQUIRE(jobs_[follower].lanes.size() == 1);
      REQUIRE(follower > sequence);
      Park(follower, jobs_[follower].lanes.front());
    }
  }

  void Wake(Sequence sequence) { BackToWaiting(sequence); }

  void BackToWaiting(Sequence sequence) {
    ModelJob& job = jobs_[sequence];
    job.state = State::kWaiting;
    if (lanes_.IsReady(sequence, job.lanes)) job.state = State::kReady;
  }

  void Release(Sequence sequence) {
    ModelJob& job = jobs_[sequence];
    job.state = State::kSettled;
    --unsettled_;
    LanesOpened opened;
    lanes_.Release(sequence, job.lanes, opened);
    Open(opened);
  }

  void Cancel() {
    if (Below(4) != 0) return;
    constexpr State kCancellable[] = {State::kWaiting, State::kReady, State::kDeferred, State::kParked};
    const State state = kCancellable[Below(4)];
    WithOne(state, [&](Sequence sequence) {
      if (state != State::kParked) return Release(sequence);
      jobs_[sequence].state = State::kSettled;  // a row like any other: nobody is told but who kept lanes
      --unsettled_;
      for (const LaneKey key : jobs_[sequence].lanes) FindParkedBehind(Sequence{}, key);
    });
  }

  void Open(const LanesOpened& opened) {
    for (const Sequence sequence : opened.ready) {
      ModelJob& job = jobs_[sequence];
      CAPTURE(ToNumber(sequence));
      REQUIRE((job.state == State::kWaiting || job.state == State::kDeferred || job.state == State::kReady));
      if (!job.turn) job.turn = tick_;
      if (job.state == State::kWaiting) job.state = State::kReady;
    }
    refills_.insert(refills_.end(), opened.refill.begin(), opened.refill.end());
  }

  void WriteParks() {
    for (auto& [sequence, job] : jobs_) {
      if (job.state == State::kParking) job.state = State::kParked;
    }
  }

  // What stands under a lane on disk; rows on their way there cannot be read yet.
  void Refill() {
    if (refills_.empty()) return;
    const LaneKey key = refills_.front();
    refills_.pop_front();
    const std::optional<Sequence> from = lanes_.RefillFrom(key);
    if (!from) return;
    const std::size_t count = Below(2) == 0 ? 1 : lane_jobs_max_;
    Sequences loaded;
    std::optional<Sequence> next;
    bool parking = false;
    for (const auto& [sequence, job] : jobs_)
      parking = parking || (job.state == State::kParking && Meet(job.lanes, {key}));
    if (parking) return refills_.push_back(key);  // again when they are on disk
    const std::optional<Sequence> kept = FirstKept(key);
    bool is_cut = false;  // at a job that waits elsewhere
    for (std::optional<Sequence> row = FirstParked(key, Sequence{}); row; row = FirstParked(key, *row)) {
      if (kept && *row > *kept) {
        is_cut = true;
        next = row;
        break;
      }
      REQUIRE(*row >= *from);
      if (loaded.size() == count) {
        next = row;
        break;
      }
      Keys others = jobs_[*row].lanes;
      std::erase(others, key);
      if (const std::optional<LaneKey> waits = WaitsIn(*row, others)) {
        Park(*row, *waits);
        is_cut = true;
        next = FirstParked(key, *row);
        break;
      }
      loaded.push_back(*row);
    }
    if (is_cut && !lanes_.Holds(key)) next.reset();
    Load(key, loaded, next);
  }

  void Load(LaneKey key, const Sequences& loaded, std::optional<Sequence> next) {
    for (const Sequence sequence : loaded) {
      ModelJob& job = jobs_[sequence];
      job.state = State::kWaiting;
      job.home.reset();
      job.turn.reset();
      if (job.lanes.size() > 1) lanes_.Join(sequence, job.lanes);
    }
    LanesOpened opened;
    lanes_.Refilled(key, loaded, next, opened);
    Open(opened);
    for (const Sequence sequence : loaded) {
      for (const LaneKey other : jobs_[sequence].lanes) {
        if (other != key) FindParkedBehind(sequence, other);
      }
    }
  }

  std::mt19937_64 random_;
  const std::size_t lane_jobs_max_;
  Lanes lanes_;
  std::size_t lane_count_;
  bool redrives_;
  std::map<Sequence, ModelJob> jobs_;
  std::deque<LaneKey> refills_;
  std::uint64_t last_ = 0;
  std::uint64_t tick_ = 0;
  std::size_t unsettled_ = 0;
};

TEST_CASE("lanes: whatever happens, order holds, one job a lane is active, and none is lost or stuck") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  for (std::uint64_t round = 0; round < 120; ++round) {
    CAPTURE(round);
    const test::SeedOnAbort named("lanes: seed", seed + round);
    Model model(seed + round, 1 + round % 4, 1 + round % 5, round % 3 != 0);
    for (int part = 0; part < 4; ++part) {
      for (int step = 0; step < 150; ++step) model.Step();
      model.Drain();
    }
    CHECK(model.unsettled() == 0);
  }
}

TEST_CASE("lanes: without redriven jobs a lane never holds more than its limit") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  for (std::uint64_t round = 0; round < 20; ++round) {
    CAPTURE(round);
    const std::size_t lane_jobs_max = 1 + round % 4;
    Model model(seed + round, lane_jobs_max, 2, false);
    for (int step = 0; step < 400; ++step) {
      model.Step();
      REQUIRE(model.HeldOf(kA) <= lane_jobs_max);
      REQUIRE(model.HeldOf(kB) <= lane_jobs_max);
    }
  }
}

}  // namespace
}  // namespace outboxd
