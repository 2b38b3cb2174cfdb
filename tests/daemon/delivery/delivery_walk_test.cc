// Random walks through everything that can happen to a connection's jobs, judged by an oracle that knows only
// what was accepted and what the tables hold: order per customer, one request of a customer at a time, every
// job delivered or dead in the end.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "tests/daemon/delivery/delivery_rig.h"
#include "tests/support/seed_on_abort.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::DeliveryRig;
using test::TrackLine;

enum class Operator { kAbsent, kPresent };  // whether jobs are cancelled, forgotten and redriven on the way

class Walk {
 public:
  Walk(std::uint64_t seed, Operator oper) : random_(seed), operator_(oper) {
    rig_.connection.max_in_flight = 1 + Below(20);
    rig_.connection.rate_limit = Below(4) == 0 ? 5 : 0;
    rig_.connection.retry.base = Milliseconds(1 + Below(3'000));
    rig_.connection.retry.cap = std::chrono::seconds(30);
    rig_.connection.retry.max_attempts = 2 + Below(10);
    if (Below(4) == 0) rig_.connection.retry.max_age = std::chrono::seconds(30);
    rig_.limits.window_jobs = 1 + Below(30);
    rig_.limits.lane_jobs = 1 + Below(5);
    rig_.limits.deferred_jobs = Below(4) == 0 ? Below(2) : Below(10);
    if (Below(2) == 0) {
      BatchConfig& batch = rig_.connection.batch;
      batch.mode = BatchMode::kOn;
      batch.max_items = 2 + Below(6);
      batch.linger = Milliseconds(Below(3) == 0 ? 0 : Below(50));
      batch.same_lane = Below(2) == 0;
    }
    customers_ = 1 + Below(6);
    trouble_ = Below(60);
    rig_.Start();
    auto database = Database::Open(rig_.file, OpenMode::kReadOnly);
    REQUIRE(database);
    database_.emplace(std::move(*database));
  }

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) Step();
    rig_.Tell([this](Dispatcher& dispatcher) { dispatcher.Find("default")->Resume(rig_.now); });
    WorkClerk();
    Dispatch(~std::size_t{0});
    for (int round = 0; round < 20'000 && rig_.Total().jobs > 0; ++round) {
      if (!rig_.probes.empty()) rig_.FinishProbe(AnswerOf(200, R"({"region":"us"})"));
      while (!rig_.out.empty()) rig_.Finish(0, AnswerOf(200));
      if (round % 3 == 2)
        rig_.now = std::max(rig_.now + Milliseconds(1), rig_.dispatcher().NextWake(rig_.now));
      Dispatch(~std::size_t{0});
      WorkClerk();
    }
    rig_.Pass(std::chrono::seconds(10));  // the count of stowed jobs is an estimate until then
    CheckEnd();
  }

 private:
  std::uint32_t Below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }

  void Step() {
    const std::uint32_t dice = Below(100);
    if (dice < 20) {
      Submit();
    } else if (dice < 45) {
      WorkClerk();
    } else if (dice < 70) {
      Dispatch(Below(4));
    } else if (dice < 85) {
      if (!rig_.out.empty()) rig_.Finish(Below(static_cast<std::uint32_t>(rig_.out.size())), AnyAnswer());
    } else if (dice < 90) {
      if (!rig_.probes.empty())
        rig_.FinishProbe(Below(2) == 0 ? AnswerOf(401) : AnswerOf(200, R"({"region":"us"})"));
    } else if (dice < 97) {
      rig_.now += Milliseconds(Below(Below(5) == 0 ? 20'000 : 500));
    } else if (dice == 97) {
      Restart();
    } else if (operator_ == Operator::kPresent) {
      ActAsOperator();
    }
  }

  void Submit() {
    std::vector<std::string> lines;
    std::vector<std::vector<std::string>> names;
    for (std::uint32_t count = 1 + Below(5); count > 0; --count) {
      const std::string one = "c" + std::to_string(Below(customers_));
      const std::string two = "d" + std::to_string(Below(customers_));
      if (Below(10) == 0) {
        lines.push_back(R"({"type":"merge","primary":{"id":")" + one + R"("},"secondary":{"id":")" + two +
                        R"("}})");
        names.push_back({one, two});
      } else {
        const std::string& customer = Below(2) == 0 ? one : two;
        lines.push_back(Below(8) == 0 ? R"({"type":"destroy","id":")" + customer + "\"}"
                                      : TrackLine(customer));
        names.push_back({customer});
      }
    }
    rig_.Submit(lines);
    submitted_.push_back(std::move(names));
  }

  void WorkClerk() {
    rig_.leave_out = Below(5) == 0;
    rig_.WorkClerk();
    REQUIRE(rig_.answered.size() == submitted_.size());
    for (const auto& submission : rig_.answered) {
      REQUIRE_FALSE(submission->refused);
      for (std::size_t index = 0; index < submission->ids.size(); ++index) {
        const Sequence sequence = submission->ids[index].SequencePart();
        for (const std::string& customer : submitted_.front()[index]) accepted_[customer].push_back(sequence);
        customers_of_[sequence] = submitted_.front()[index];
      }
      submitted_.pop_front();
    }
  }

  void Dispatch(std::size_t count) {
    const std::size_t before = rig_.out.size();
    rig_.Dispatch(count);
    for (std::size_t index = before; index < rig_.out.size(); ++index) CheckSent(rig_.out[index].transfer);
    CheckOneAtATime();
  }

  void Restart() {
    submitted_.clear();  // never answered: the producer knows nothing of them
    rig_.limits.window_jobs = 1 + Below(30);
    rig_.Start();
    for (const auto& flight : rig_.out) CheckSent(flight.transfer);
    CheckOneAtATime();
  }

  Answer AnyAnswer() {
    if (Below(100) >= trouble_) return AnswerOf(200);
    if (rig_.connection.batch.mode == BatchMode::kOn && Below(2) == 0) return BatchTrouble();
    constexpr std::array<int, 9> kStatus = {0, 400, 401, 429, 500, 500, 503, 307, 404};
    Answer answer = AnswerOf(kStatus[Below(kStatus.size())]);
    if (answer.status == 429) answer.retry_after = std::to_string(Below(5));
    return answer;
  }

  Answer BatchTrouble() {
    switch (Below(4)) {
      case 0:
        return AnswerOf(400);
      case 1:
        return AnswerOf(413);
      case 2:
        return AnswerOf(207, R"({"errors":[{"message":"which?"}]})");
      default:
        return AnswerOf(
            207, R"({"errors":[{"batch_index":)" + std::to_string(Below(6)) + R"(,"reason":"invalid"}]})");
    }
  }

  void ActAsOperator() {
    switch (Below(5)) {
      case 0:
        if (!customers_of_.empty()) Cancel();
        return;
      case 1:
        rig_.Forget("c" + std::to_string(Below(customers_)));
        return;
      case 2:
        rig_.Redrive();
        return;
      case 3:
        rig_.Tell([this](Dispatcher& dispatcher) {
          dispatcher.Find("default")->Pause(PauseReason::kOperator, "lunch", rig_.now);
        });
        [[fallthrough]];
      default:
        rig_.Tell([this](Dispatcher& dispatcher) { dispatcher.Find("default")->Resume(rig_.now); });
        return;
    }
  }

  void Cancel() {
    auto chosen = customers_of_.begin();
    std::advance(chosen, Below(static_cast<std::uint32_t>(customers_of_.size())));
    rig_.Cancel(chosen->first);
  }

  // Every earlier job of its customers has left the outbox, or stands before it in its batch. Redriven ones
  // come back when their turn is over.
  void CheckSent(const Transfer& transfer) {
    std::set<Sequence> before;
    for (const auto& job : transfer.Jobs()) {
      CheckSent(job->sequence, before);
      before.insert(job->sequence);
    }
  }

  void CheckSent(Sequence sequence, const std::set<Sequence>& before) {
    for (const std::string& customer : customers_of_[sequence]) {
      std::string earlier;
      for (const Sequence other : accepted_[customer]) {
        if (other < sequence && !before.contains(other))
          earlier += (earlier.empty() ? "" : ",") + std::to_string(ToNumber(other));
      }
      const std::string waiting =
          "SELECT count(*) FROM outbox WHERE redriven_ms IS NULL AND seq IN (" + earlier + ")";
      CAPTURE(customer);
      CAPTURE(ToNumber(sequence));
      CAPTURE(waiting);
      REQUIRE(Ask(waiting) == 0);
    }
  }

  void CheckOneAtATime() {
    std::set<std::string> busy;
    for (const auto& flight : rig_.out) {
      std::set<std::string> own;
      for (const auto& job : flight.transfer.Jobs()) {
        const auto& customers = customers_of_[job->sequence];
        const std::set<std::string> named(customers.begin(), customers.end());
        for (const std::string& customer : named) {
          CAPTURE(customer);
          const bool may_share =
              rig_.connection.batch.same_lane && flight.transfer.kind == TransferKind::kBatch;
          REQUIRE((own.insert(customer).second || may_share));
        }
      }
      CheckFences(flight.transfer);
      for (const std::string& customer : own) {
        CAPTURE(customer);
        REQUIRE(busy.insert(customer).second);
      }
    }
  }

  // A job that changes who the customer is shares its batch with none of its lane.
  void CheckFences(const Transfer& transfer) {
    std::map<std::string, int> count;
    for (const auto& job : transfer.Jobs()) ++count[job->job.customer];
    for (const auto& job : transfer.Jobs()) {
      if (job->job.type == JobType::kDestroy) REQUIRE(count[job->job.customer] == 1);
    }
  }

  bool IsForgotten(Sequence sequence, const std::vector<std::string>& customers) const {
    return std::any_of(rig_.forgotten.begin(), rig_.forgotten.end(), [&](const auto& forgotten) {
      return sequence <= forgotten.second &&
             std::find(customers.begin(), customers.end(), forgotten.first) != customers.end();
    });
  }

  std::int64_t Ask(const std::string& sql) {
    const auto value = database_->Scalar(sql);
    REQUIRE(value);
    return *value;
  }

  void CheckEnd() {
    REQUIRE(rig_.Total().jobs == 0);
    const ConnectionStatus status = rig_.Queue().Status();
    CHECK(status.in_flight == 0);
    CHECK(status.deferred == 0);
    CHECK(status.blocked == 0);
    test::CheckCounts(rig_.clerk().outbox(), rig_.file);
    CHECK(Ask("SELECT sum(delivered) FROM counters") == static_cast<std::int64_t>(rig_.Queue().deliveries()));
    for (const auto& [sequence, customers] : customers_of_) {
      if (IsForgotten(sequence, customers)) continue;
      const std::string number = std::to_string(ToNumber(sequence));
      CAPTURE(number);
      const auto delivered =
          Ask("SELECT count(*) FROM attempts WHERE result = 'delivered' AND seq = " + number);
      const auto dead = Ask("SELECT count(*) FROM dead_letters WHERE seq = " + number);
      CHECK(delivered + dead >= 1);
    }
  }

  std::mt19937_64 random_;
  Operator operator_;
  DeliveryRig rig_;
  std::uint32_t customers_ = 1;
  std::uint32_t trouble_ = 0;  // per cent of the answers
  std::deque<std::vector<std::vector<std::string>>>
      submitted_;  // customers of each job of each submission not yet answered
  std::map<std::string, std::vector<Sequence>> accepted_;
  std::map<Sequence, std::vector<std::string>> customers_of_;
  std::optional<Database> database_;  // to look into the tables
};

void WalkOften(Operator oper, int runs) {
  const char* fixed = std::getenv("OUTBOXD_WALK_SEED");
  std::random_device device;
  for (int run = 0; run < runs; ++run) {
    const std::uint64_t seed = fixed != nullptr ? std::strtoull(fixed, nullptr, 10) : device();
    INFO("OUTBOXD_WALK_SEED=" << seed);
    const test::SeedOnAbort named("OUTBOXD_WALK_SEED", seed);
    Walk(seed, oper).Run(static_cast<int>(50 + seed % 250));
    if (fixed != nullptr) return;
  }
}

}  // namespace

TEST_CASE("walk: whatever the Track API answers, order per customer holds and every job ends") {
  WalkOften(Operator::kAbsent, 80);
}

TEST_CASE("walk: the same with an operator who cancels, forgets, redrives and pauses") {
  WalkOften(Operator::kPresent, 80);
}

}  // namespace outboxd
