#include "tests/simulation/ledger.h"

#include <algorithm>

#include "tests/simulation/violation.h"

namespace outboxd::simulation {
namespace {

std::string Name(int number) {
  return "job " + std::to_string(number);
}
std::string Name(Sequence sequence) {
  return "sequence " + std::to_string(ToNumber(sequence));
}

std::int64_t Ask(Database& database, const std::string& sql) {
  const Result<std::int64_t> value = database.Scalar(sql);
  Demand(value.has_value(), value ? "" : "the outbox cannot be read: " + value.error().message);
  return *value;
}

}  // namespace

Ledger::Record& Ledger::Find(int number) {
  const auto found = records_.find(number);
  Demand(found != records_.end(), Name(number) + " was sent, and nobody produced it");
  return found->second;
}

void Ledger::OnProduced(const ProducedJob& job) {
  records_[job.number].job = job;
}

// From now on it is known where the job stands in its lanes.
void Ledger::Place(Record& record, Sequence sequence) {
  const auto [place, fresh] = by_sequence_.emplace(sequence, record.job.number);
  Demand(place->second == record.job.number, Name(sequence) + " is that of two jobs");
  Demand(!record.sequence || *record.sequence == sequence, Name(record.job.number) + " has two sequences");
  record.sequence = sequence;
  if (redriven_unseen_.contains(sequence)) record.redriven = true;
  if (!fresh) return;
  for (const std::string& customer : record.job.customers)
    LaneOf(record.job.connection, customer).waiting.insert(sequence);
}

void Ledger::OnAccepted(int number, const Ulid& id) {
  Record& record = Find(number);
  record.told = Told::kAccepted;
  Demand(record.id.empty(), Name(number) + " was accepted twice");
  record.id = id.ToText();
  Place(record, id.SequencePart());
}

void Ledger::OnRefused(int number, Refusal refusal) {
  Find(number).told = refusal == Refusal::kNoRoom ? Told::kNoRoom : Told::kFailedWrite;
}

void Ledger::OnCrash() {
  for (auto& [number, record] : records_) {
    if (record.told == Told::kNothing || record.told == Told::kFailedWrite) record.told = Told::kUnknown;
    ++record.maybe_unrecorded;
  }
  for (auto& [name, lane] : lanes_) lane.busy.clear();
}

void Ledger::CheckContent(const std::string& connection, const SeenJob& seen, Record& record) {
  const std::string name = Name(seen.number);
  Demand(record.told != Told::kNoRoom && record.told != Told::kFailedWrite, name + " was refused, and sent");
  Demand(record.told != Told::kNothing, name + " was sent before anyone was told that it is safe");
  Demand(record.job.connection == connection, name + " left on another connection");
  Demand(record.job.type == seen.type, name + " became a " + seen.type);
  Demand(record.job.note == seen.note, name + " lost its values");
  Demand(seen.customer.empty() || seen.customer == record.job.customers.front(),
         name + " is about another customer");
  if (!record.job.IsEvent()) return;
  if (record.id.empty()) record.id = seen.event_id;
  Demand(record.id == seen.event_id, name + " was sent under two ids");
  Demand(by_event_.emplace(seen.event_id, seen.number).first->second == seen.number,
         "the event id " + seen.event_id + " is that of two jobs");
}

void Ledger::CheckOrder(const std::string& connection, const SeenJob& seen, const Record& record,
                        const std::set<Sequence>& before, const Waits& waits) {
  for (const std::string& customer : record.job.customers) {
    Lane& lane = LaneOf(connection, customer);
    for (auto earlier = lane.waiting.begin(); earlier != lane.waiting.end() && *earlier < seen.sequence;) {
      if (before.contains(*earlier)) {
        ++earlier;
        continue;
      }
      Demand(!waits(*earlier),
             Name(seen.number) + " left while " + Name(by_sequence_[*earlier]) + " of its lane waits");
      earlier = lane.waiting.erase(earlier);
    }
    if (record.redriven) continue;
    for (auto later = lane.sent.upper_bound(seen.sequence); later != lane.sent.end(); ++later) {
      Demand(record.companions.contains(*later) || records_[by_sequence_[*later]].redriven,
             Name(seen.number) + " was sent after " + Name(by_sequence_[*later]) +
                 ", which is later in its lane");
    }
  }
}

void Ledger::OnSent(const std::string& connection, std::span<const SeenJob> jobs, const Waits& waits) {
  std::set<Sequence> before;
  std::map<std::string, std::vector<const SeenJob*>> of_lane;
  for (const SeenJob& seen : jobs) {
    Record& record = Find(seen.number);
    Place(record, seen.sequence);
    CheckContent(connection, seen, record);
    CheckOrder(connection, seen, record, before, waits);
    before.insert(seen.sequence);
    for (const std::string& customer : record.job.customers) of_lane[customer].push_back(&seen);
  }
  for (const auto& [customer, riders] : of_lane) {
    Lane& lane = LaneOf(connection, customer);
    Demand(lane.busy.empty(),
           "two requests of customer " + customer + " at once: " + Name(riders.front()->number));
    for (const SeenJob* rider : riders) {
      Demand(riders.size() == 1 || (rules_.may_share_batch && rider->type != "destroy"),
             Name(rider->number) + " shares a batch with its lane");
      lane.busy.insert(rider->sequence);
      lane.sent.insert(rider->sequence);
      Record& record = Find(rider->number);
      for (const SeenJob* other : riders) record.companions.insert(other->sequence);
    }
  }
}

void Ledger::OnAnswered(const std::string& connection, std::span<const SeenJob> jobs, const Answer& answer,
                        std::span<const Meaning> meanings) {
  for (std::size_t index = 0; index < jobs.size(); ++index) {
    Record& record = Find(jobs[index].number);
    const Meaning meaning = meanings[index];
    record.answers.push_back(std::to_string(answer.status) + " " + MeaningName(meaning));
    record.last = meaning;
    if (meaning == Meaning::kDelivered) record.delivered = true;
    if (meaning == Meaning::kDeferred) ++record.deferrals;
    for (const std::string& customer : record.job.customers)
      LaneOf(connection, customer).busy.erase(jobs[index].sequence);
  }
}

void Ledger::OnRedriven(std::span<const Sequence> jobs) {
  for (const Sequence sequence : jobs) {
    if (const auto found = by_sequence_.find(sequence); found != by_sequence_.end()) {
      Find(found->second).redriven = true;
    } else {
      redriven_unseen_.insert(sequence);
    }
  }
}

void Ledger::OnAllRedriven() {
  for (auto& [number, record] : records_) record.redriven = true;
}

void Ledger::OnCancelled(Sequence job) {
  if (const auto found = by_sequence_.find(job); found != by_sequence_.end())
    Find(found->second).cancelled = true;
}

void Ledger::OnForgotten(const std::string& customer, std::optional<Sequence> last) {
  for (auto& [number, record] : records_) {
    if (record.job.customers.front() == customer && (!last || !record.sequence || *record.sequence <= *last))
      record.forgotten = true;
  }
}

std::optional<Sequence> Ledger::AnyAccepted(Random& random) const {
  if (by_sequence_.empty()) return std::nullopt;
  auto chosen = by_sequence_.begin();
  std::advance(chosen, random.Below(static_cast<std::uint32_t>(by_sequence_.size())));
  return chosen->first;
}

std::size_t Ledger::Delivered() const {
  return static_cast<std::size_t>(std::count_if(records_.begin(), records_.end(),
                                                [](const auto& entry) { return entry.second.delivered; }));
}

// The rows are a part of the answers, in order; what is missing may have been lost in a crash, one for each.
void Ledger::CheckHistory(Database& database, const Record& record) const {
  Result<Statement> rows =
      database.Prepare("SELECT status, result FROM attempts WHERE seq = ? ORDER BY attempt");
  Demand(rows.has_value(), "the history cannot be read");
  rows->BindAll(static_cast<std::int64_t>(ToNumber(*record.sequence)));
  std::size_t next = 0, recorded = 0;
  for (Result<bool> row = rows->Step(); row && *row; row = rows->Step(), ++recorded) {
    const std::string said = std::to_string(rows->Int(0)) + " " + std::string(rows->Text(1));
    while (next < record.answers.size() && record.answers[next] != said) ++next;
    Demand(next < record.answers.size(),
           Name(record.job.number) + " has a recorded attempt that never was: " + said);
    ++next;
  }
  Demand(recorded + record.maybe_unrecorded >= record.answers.size(),
         Name(record.job.number) + " has " + std::to_string(recorded) + " attempts recorded of " +
             std::to_string(record.answers.size()));
}

void Ledger::CheckFate(Database& database, const Record& record) const {
  const std::string name = Name(record.job.number);
  Result<Statement> row =
      database.Prepare("SELECT death, dead_ms - accepted_ms FROM dead_letters WHERE seq = ?");
  Demand(row.has_value(), "the dead letters cannot be read");
  row->BindAll(static_cast<std::int64_t>(ToNumber(*record.sequence)));
  const Result<bool> dead = row->Step();
  Demand(dead.has_value(), "the dead letters cannot be read");
  if (!*dead) {
    Demand(record.delivered, name + " was accepted and is gone, and nobody delivered it");
    return;
  }
  const std::string death(row->Text(0));
  const bool is_certain = record.maybe_unrecorded == 0 && !record.cancelled;
  Demand(!record.delivered || !is_certain, name + " was delivered, and is dead as well");
  const std::int64_t max_age_s = record.job.max_age_s > 0 ? record.job.max_age_s : rules_.max_age_s;
  const bool is_true = death == "rejected"    ? record.last == Meaning::kRejected
                       : death == "exhausted" ? record.deferrals >= rules_.max_attempts
                       : death == "expired"   ? !rules_.clock_is_steady || row->Int(1) > max_age_s * 1000
                                              : record.cancelled;
  Demand(is_true, name + " is dead as " + death + ", which is not true");
}

void Ledger::CheckEnd(Database& database) const {
  Result<Statement> check = database.Prepare("PRAGMA integrity_check");
  Demand(check && check->Step() && check->Text(0) == "ok", "the outbox file is damaged");
  Demand(Ask(database, "SELECT count(*) FROM outbox") == 0, "jobs are left");
  Demand(Ask(database, "SELECT coalesce(sum(jobs), 0) FROM counters") == 0, "the count of jobs is wrong");
  for (const auto& [column, table] : {std::pair("dead", "dead_letters"), std::pair("attempts", "attempts")}) {
    Demand(Ask(database, std::string("SELECT coalesce(sum(") + column + "), 0) - (SELECT count(*) FROM " +
                             table + ") FROM counters") == 0,
           std::string("the count of ") + table + " is wrong");
  }
  for (const auto& [number, record] : records_) {
    if (!record.sequence || record.forgotten) continue;
    CheckHistory(database, record);
    if (record.told == Told::kAccepted) CheckFate(database, record);
  }
}

}  // namespace outboxd::simulation
