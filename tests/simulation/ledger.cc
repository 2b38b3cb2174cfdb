#include "tests/simulation/ledger.h"

#include <algorithm>
#include <cstdlib>

#include "tests/simulation/violation.h"

namespace outboxd::simulation {
namespace {

constexpr std::uint32_t kRepeatsMax = 3;
constexpr std::uint32_t kFirstOnOwn = 2;
constexpr std::uint32_t kRefusalsMin = 3;
constexpr std::chrono::minutes kRefusedFor{15};
// A clock that is off by less than a step counts as right, and so does a time that is off from that.
constexpr Milliseconds kClockTolerance = 2 * kClockStep;
constexpr std::int64_t kLongAfter1970Ms = 1'000'000'000'000;

std::string Name(int number) {
  return "job " + std::to_string(number);
}
std::string Name(Sequence sequence) {
  return "sequence " + std::to_string(ToNumber(sequence));
}

// By its ref.
int NumberIn(std::string_view line) {
  constexpr std::string_view kRef = R"("ref":")";
  const std::size_t ref = line.find(kRef);
  Demand(ref != std::string_view::npos, "a line lost its ref");
  return std::atoi(std::string(line.substr(ref + kRef.size(), 10)).c_str());
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
  Record& record = records_[job.number];
  record.job = job;
  const Milliseconds age = std::chrono::seconds(job.max_age_s > 0 ? job.max_age_s : rules_.max_age_s);
  const auto alone_every = std::min<Milliseconds>(std::chrono::hours(1), age / (4 * rules_.max_attempts));
  record.charges = Charges(rules_.clock_is_steady ? std::optional(alone_every) : std::nullopt);
}

Charges::Standing Ledger::StandingOf(const std::string& connection, Timestamp now) const {
  const auto link = links_.find(connection);
  if (link == links_.end()) return {0, false, now};
  return {link->second.deliveries, link->second.probe_was_good, now};
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

void Ledger::OnAccepted(int number, const Ulid& id, const NotedTime& accepted) {
  Record& record = Find(number);
  record.accepted = accepted;
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
    record.charges.OnCrash();
  }
  for (auto& [name, lane] : lanes_) lane.busy.clear();
}

void Ledger::OnStarted() {
  for (auto& [number, record] : records_) record.unanswered = 0;
}

void Ledger::CheckContent(const std::string& connection, const SeenJob& seen, Record& record) {
  const std::string name = Name(seen.number);
  Demand(record.told != Told::kNoRoom && record.told != Told::kFailedWrite, name + " was refused, and sent");
  Demand(record.told != Told::kNothing, name + " was sent before anyone was told that it is safe");
  Demand(record.job.connection == connection, name + " left on another connection");
  Demand(record.job.type == seen.type, name + " became a " + seen.type);
  Demand(record.job.note == seen.note, name + " lost its values");
  Demand(seen.poison == record.job.poison, name + " lost its poison");
  Demand(seen.customer.empty() || record.job.IsAbout(seen.customer), name + " is about another customer");
  if (!record.job.IsEvent()) return;
  if (record.id.empty()) record.id = seen.event_id;
  Demand(record.id == seen.event_id, name + " was sent under two ids");
  Demand(by_event_.emplace(seen.event_id, seen.number).first->second == seen.number,
         "the event id " + seen.event_id + " is that of two jobs");
}

void Ledger::CheckOrder(const std::string& connection, const SeenJob& seen, const Record& record,
                        const std::set<Sequence>& before, const Look& look) {
  for (const std::string& customer : record.job.customers) {
    Lane& lane = LaneOf(connection, customer);
    for (auto earlier = lane.waiting.begin(); earlier != lane.waiting.end() && *earlier < seen.sequence;) {
      if (before.contains(*earlier)) {
        ++earlier;
        continue;
      }
      Demand(!look(*earlier),
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

// The first repeat takes any connection, the others one that served nobody before. When all have failed, the
// job has: the count begins anew. One that was parked was perhaps given up meanwhile, and with it the count.
void Ledger::CheckRepeat(Record& record, Route route, const Look& look) {
  const std::uint32_t repeat = record.unanswered % (kRepeatsMax + 1);
  const std::string name = Name(record.job.number);
  const std::optional<Row> row = look(*record.sequence);
  Demand(repeat < kFirstOnOwn || route == Route::kOwn || (row && row->is_parked),
         name + " was repeated again on a connection that is kept");
  if (repeat > 0 || record.redriven || !row) return;
  Demand(record.unanswered == 0 || row->failures > record.failures, name + " was repeated too often");
  record.failures = row->failures;
}

void Ledger::CheckCharges(const Record& record) const {
  if (record.redriven) return;
  const std::uint32_t most =
      record.job.own_retry ? record.job.own_retry->max_retries + 1 : rules_.max_attempts;
  Demand(record.charges.Least() < most,
         Name(record.job.number) + " was sent again, and its attempts are used up");
}

void Ledger::OnSent(const Transfer& transfer, std::span<const SeenJob> jobs, Timestamp now,
                    const Look& look) {
  const std::string& connection = transfer.connection;
  const Charges::Standing standing = StandingOf(connection, now);
  std::set<Sequence> before;
  std::map<std::string, std::vector<const SeenJob*>> of_lane;
  for (const SeenJob& seen : jobs) {
    Record& record = Find(seen.number);
    Place(record, seen.sequence);
    CheckContent(connection, seen, record);
    CheckOrder(connection, seen, record, before, look);
    CheckRepeat(record, transfer.route, look);
    CheckCharges(record);
    record.charges.OnSent(standing);
    record.deliveries_at_sent = standing.deliveries;
    record.at_death.reset();
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

void Ledger::OnAnswered(const std::string& connection, const Reply& reply) {
  for (std::size_t index = 0; index < reply.seen.size(); ++index) {
    Record& record = Find(reply.seen[index].number);
    const Meaning meaning = reply.meanings[index];
    record.answers.push_back(std::to_string(reply.answer.status) + " " + MeaningName(meaning));
    record.last = meaning;
    record.last_status = reply.answer.status;
    if (meaning == Meaning::kDelivered) record.delivered = true;
    for (const std::string& customer : record.job.customers)
      LaneOf(connection, customer).busy.erase(reply.seen[index].sequence);
  }
}

void Ledger::OnHeard(const std::string& connection, Route route, const Reply& reply, Timestamp now) {
  const Charges::Standing standing = StandingOf(connection, now);
  for (std::size_t index = 0; index < reply.seen.size(); ++index)
    Hear(Find(reply.seen[index].number), reply.meanings[index], route, reply, standing);
  links_[connection].deliveries += static_cast<std::uint64_t>(
      std::count(reply.meanings.begin(), reply.meanings.end(), Meaning::kDelivered));
}

void Ledger::Hear(Record& record, Meaning meaning, Route route, const Reply& reply,
                  const Charges::Standing& standing) {
  const bool may_repeat = !record.job.own_retry || record.job.own_retry->max_retries > 0;
  const bool is_unanswered = meaning == Meaning::kUnanswered && may_repeat;
  record.unanswered = is_unanswered ? record.unanswered + 1 : 0;
  if (meaning == Meaning::kPausedAuth || meaning == Meaning::kPausedRegion) {
    Refusals& alike = record.refusals[meaning];
    if (++alike.count == 1) alike.at_first = standing;
  }
  if (meaning == Meaning::kDelivered || meaning == Meaning::kRejected || meaning == Meaning::kSplit) return;
  if (is_unanswered && route != Route::kOwn) return;  // the repeat is still to come
  Charges::Failure failure;
  failure.is_alone = reply.seen.size() == 1;
  failure.is_plain = meaning == Meaning::kDeferred;
  failure.is_own = failure.is_plain && IsOwnAnswer(reply.answer.status);
  failure.is_prompt = !failure.is_own || !failure.is_alone;
  failure.by_own_rule = record.job.own_retry.has_value() && meaning != Meaning::kPausedProxy;
  record.charges.OnFailed(failure, standing);
}

void Ledger::OnRedriven(std::span<const Sequence> jobs) {
  for (const Sequence sequence : jobs) {
    if (const auto found = by_sequence_.find(sequence); found != by_sequence_.end()) {
      Find(found->second).OnRedriven();
    } else {
      redriven_unseen_.insert(sequence);
    }
  }
}

void Ledger::OnAllRedriven() {
  for (auto& [number, record] : records_) record.OnRedriven();
}

void Ledger::OnCancelled(Sequence job) {
  if (const auto found = by_sequence_.find(job); found != by_sequence_.end())
    Find(found->second).cancelled = true;
}

void Ledger::OnForgotten(const std::string& customer, std::optional<Sequence> last) {
  for (auto& [number, record] : records_) {
    if (record.job.IsAbout(customer) && (!last || !record.sequence || *record.sequence <= *last))
      record.forgotten = true;
  }
}

void Ledger::LookForDeaths(Database& database, Timestamp now, const AgeOf& age_of) {
  Result<Statement> rows = database.Prepare("SELECT seq FROM dead_letters");
  Demand(rows.has_value(), "the dead letters cannot be read");
  for (Result<bool> row = rows->Step(); row && *row; row = rows->Step()) {
    const auto found = by_sequence_.find(Sequence{static_cast<std::uint64_t>(rows->Int(0))});
    if (found == by_sequence_.end()) continue;
    Record& record = Find(found->second);
    if (record.at_death) continue;
    record.at_death = StandingOf(record.job.connection, now);
    if (record.accepted) record.age_at_death = age_of(*record.accepted);
  }
}

void Ledger::CheckTimes(const Transfer& transfer, const TimeOf& time_of) const {
  for (const auto& job : transfer.Jobs()) {
    const auto found = by_sequence_.find(job->sequence);
    if (found == by_sequence_.end()) continue;
    const Record& record = records_.at(found->second);
    if (!record.accepted) continue;
    const std::optional<Timestamp> time = time_of(*record.accepted);
    Demand(!time || std::chrono::abs(job->stamp.accepted - *time) <= kClockTolerance,
           Name(found->second) + " was sent as of " + FormatRfc3339(job->stamp.accepted) + ", not of " +
               (time ? FormatRfc3339(*time) : ""));
    Demand(job->stamp.accepted > FromUnixMs(kLongAfter1970Ms), Name(found->second) + " was sent as of 1970");
  }
}

Charges::Standing Ledger::StandingAtDeath(const Record& record) const {
  return record.at_death ? *record.at_death : StandingOf(record.job.connection, Timestamp::max());
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

// By the API's own word, by a foreign one while another job was delivered and the probe was good, or because
// it was refused alike so often while others were delivered.
bool Ledger::IsTrulyRejected(const Record& record) const {
  if (!record.last || *record.last == Meaning::kRejected) return record.last.has_value();
  const Charges::Standing standing = StandingAtDeath(record);
  if (!standing.probe_was_good) return false;
  if (*record.last == Meaning::kNotTrackApi)
    return record.last_status / 100 == 4 && standing.deliveries > record.deliveries_at_sent;
  const auto alike = record.refusals.find(*record.last);
  if (alike == record.refusals.end() || alike->second.count < kRefusalsMin) return false;
  const Charges::Standing& first = alike->second.at_first;
  const bool is_long = !rules_.clock_is_steady || standing.now - first.now >= kRefusedFor;
  return is_long && standing.deliveries > first.deliveries + 1;
}

bool Ledger::IsTrulyExhausted(const Record& record) const {
  if (record.redriven) return true;
  const std::uint32_t most =
      record.job.own_retry ? record.job.own_retry->max_retries + 1 : rules_.max_attempts;
  return record.charges.Most(StandingAtDeath(record)) >= most;
}

// `recorded_ms`: its age by the times of its row.
bool Ledger::IsTrulyExpired(const Record& record, std::int64_t recorded_ms) const {
  const Milliseconds most =
      std::chrono::seconds(record.job.max_age_s > 0 ? record.job.max_age_s : rules_.max_age_s);
  if (rules_.clock_is_steady && recorded_ms <= most.count()) return false;
  if (record.redriven || !record.accepted || !record.at_death) return true;
  return record.age_at_death && *record.age_at_death > most - kClockTolerance;
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
  const bool is_true = death == "rejected"    ? IsTrulyRejected(record)
                       : death == "exhausted" ? IsTrulyExhausted(record)
                       : death == "expired"   ? IsTrulyExpired(record, row->Int(1))
                                              : record.cancelled;
  Demand(is_true, name + " is dead as " + death + ", which is not true");
}

Ledger::Waiting Ledger::CountWaiting(Database& database) const {
  std::set<std::string> held;
  std::size_t before = 0;
  Waiting waiting;
  do {
    before = held.size();
    waiting = CountWaiting(database, held);
  } while (held.size() > before);
  return waiting;
}

// Lanes in `held` wait for a frail job, as those behind one do. A redriven job may stand before any other of
// its lanes, and behind any: its lanes join them.
Ledger::Waiting Ledger::CountWaiting(Database& database, std::set<std::string>& held) const {
  Waiting waiting;
  std::set<std::string> held_now = held;
  Result<Statement> rows =
      database.Prepare("SELECT line, redriven_ms IS NOT NULL AS late FROM outbox ORDER BY late, seq");
  Demand(rows.has_value(), "the outbox cannot be read");
  for (Result<bool> row = rows->Step(); row && *row; row = rows->Step()) {
    const ProducedJob& job = records_.at(NumberIn(rows->Text(0))).job;
    std::vector<std::string> lanes;
    for (const std::string& customer : job.customers) lanes.push_back(job.connection + " " + customer);
    const bool is_held = std::any_of(lanes.begin(), lanes.end(),
                                     [&](const std::string& lane) { return held_now.contains(lane); });
    waiting.frail += job.is_frail ? 1 : 0;
    if (!job.is_frail && !is_held) {
      ++waiting.healthy;
      waiting.a_healthy_one = job.number;
      continue;
    }
    held_now.insert(lanes.begin(), lanes.end());
    if (rows->Int(1) != 0) held.insert(lanes.begin(), lanes.end());
  }
  return waiting;
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
