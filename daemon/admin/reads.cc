#include "daemon/admin/reads.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/verdict.h"
#include "daemon/admin/control.h"
#include "daemon/admin/explain.h"
#include "daemon/admin/filter.h"
#include "daemon/admin/render.h"
#include "daemon/base/http_message.h"
#include "daemon/base/status.h"
#include "storage/filter.h"
#include "storage/history_pack.h"
#include "storage/inspection.h"

namespace outboxd {

namespace {

// Jobs looked at in one go while a list is filtered by state.
constexpr std::size_t kStateChunk = 1000;
// In search of a customer's oldest job, which is near the outbox's oldest: a few milliseconds.
constexpr std::size_t kLookedAtForOldest = 20'000;

struct ListedJobs {
  std::vector<JobRow> rows;
  std::vector<JobState> states;  // of the row at the same place
  std::optional<Sequence> next;
};

Result<std::vector<JobState>> StatesOf(Control& control, const std::vector<JobRow>& rows) {
  std::vector<Sequence> sequences;
  sequences.reserve(rows.size());
  for (const JobRow& row : rows) sequences.push_back(row.sequence);
  ASSIGN_OR_RETURN(const std::vector<std::optional<JobPlace>> places, control.Places(sequences));
  std::vector<JobState> states;
  states.reserve(rows.size());
  for (std::size_t index = 0; index < rows.size(); ++index)
    states.push_back(StateOf(rows[index], places.at(index)));
  return states;
}

Result<JobState> StateNow(Control& control, const JobRow& row) {
  ASSIGN_OR_RETURN(const std::vector<JobState> states, StatesOf(control, {row}));
  return states.front();
}

// Moves the rows of `state` from `page` to `listed`, until that is full.
Result<void> KeepState(Control& control, Page<JobRow> page, JobState state, std::size_t rows_max,
                       ListedJobs& listed) {
  ASSIGN_OR_RETURN(const std::vector<JobState> states, StatesOf(control, page.rows));
  listed.next = page.next;
  for (std::size_t index = 0; index < page.rows.size(); ++index) {
    if (states[index] != state) continue;
    listed.rows.push_back(std::move(page.rows[index]));
    listed.states.push_back(state);
    if (listed.rows.size() < rows_max) continue;
    if (index + 1 < page.rows.size()) listed.next = listed.rows.back().sequence;
    break;
  }
  return {};
}

// Who is in flight is known in memory only, and these are few.
Result<ListedJobs> JobsInFlight(Control& control, Inspection& inspection, const JobsQuery& query) {
  ASSIGN_OR_RETURN(std::vector<Sequence> sequences, control.InFlight());
  std::sort(sequences.begin(), sequences.end());
  ListedJobs listed;
  for (const Sequence sequence : sequences) {
    if (sequence <= query.page.after) continue;
    if (query.filter.sequence && *query.filter.sequence != sequence) continue;
    if (listed.rows.size() == query.page.rows_max) {
      listed.next = listed.rows.back().sequence;
      break;
    }
    JobFilter filter = query.filter;
    filter.sequence = sequence;
    ASSIGN_OR_RETURN(Page<JobRow> page, inspection.Jobs(filter, PageRequest{}));
    if (page.rows.empty()) continue;
    listed.rows.push_back(std::move(page.rows.front()));
    listed.states.push_back(JobState::kInFlight);
  }
  return listed;
}

Result<ListedJobs> JobsOfState(Control& control, Inspection& inspection, const JobsQuery& query,
                               JobState state) {
  JobFilter filter = query.filter;
  filter.deferred_only = state == JobState::kDeferred;
  PageRequest chunk = query.page;
  chunk.rows_max = kStateChunk;
  ListedJobs listed;
  for (;;) {
    ASSIGN_OR_RETURN(Page<JobRow> page, inspection.Jobs(filter, chunk));
    const std::size_t examined = page.examined;
    const std::optional<Sequence> next = page.next;
    RETURN_IF_ERROR(KeepState(control, std::move(page), state, query.page.rows_max, listed));
    chunk.examined_max -= std::min(chunk.examined_max, examined);
    if (listed.rows.size() >= query.page.rows_max || !next || chunk.examined_max == 0) return listed;
    chunk.after = *next;
  }
}

Result<ListedJobs> JobsOf(Control& control, Inspection& inspection, const JobsQuery& query) {
  if (query.state == JobState::kInFlight) return JobsInFlight(control, inspection, query);
  if (query.state) return JobsOfState(control, inspection, query, *query.state);
  ASSIGN_OR_RETURN(Page<JobRow> page, inspection.Jobs(query.filter, query.page));
  ListedJobs listed;
  ASSIGN_OR_RETURN(listed.states, StatesOf(control, page.rows));
  listed.rows = std::move(page.rows);
  listed.next = page.next;
  return listed;
}

void WriteNext(JsonWriter& writer, const std::optional<Sequence>& next) {
  if (next) WriteCount(writer, "next", ToNumber(*next));
}

template <typename Row>
HttpResponse PageAnswer(const Page<Row>& page, void (*write)(JsonWriter&, const Row&)) {
  JsonWriter writer;
  writer.Object().Key("rows").Array();
  for (const Row& row : page.rows) write(writer, row);
  writer.EndArray();
  WriteNext(writer, page.next);
  writer.EndObject();
  return JsonAnswer(writer);
}

Failure Unknown(const Ulid& job) {
  return Fail(ErrorKind::kNotFound, "no such job: " + job.ToText(), "job");
}

// Everything the outbox has of one job.
struct Traces {
  std::optional<JobRow> waiting;
  std::optional<DeadRow> dead;
  std::vector<AttemptRow> attempts;
};

Result<Traces> FindTraces(Inspection& inspection, const Ulid& job) {
  Traces traces;
  const std::string id = job.ToText();
  ASSIGN_OR_RETURN(auto waiting, inspection.Job(job.SequencePart()));
  if (waiting && waiting->job == id) traces.waiting = std::move(waiting);
  ASSIGN_OR_RETURN(auto dead, inspection.Dead(job.SequencePart()));
  if (dead && dead->job == id) traces.dead = std::move(dead);
  ASSIGN_OR_RETURN(auto attempts, inspection.Attempts(job));
  traces.attempts = std::move(attempts);
  if (!traces.waiting && !traces.dead && traces.attempts.empty()) return Unknown(job);
  return traces;
}

// The in-flight job of the same customer before `row`.
Result<std::optional<JobRow>> InFlightBefore(Control& control, Inspection& inspection, const JobRow& row) {
  ASSIGN_OR_RETURN(const std::vector<Sequence> in_flight, control.InFlight());
  for (const Sequence sequence : in_flight) {
    if (sequence >= row.sequence) continue;
    ASSIGN_OR_RETURN(std::optional<JobRow> other, inspection.Job(sequence));
    if (other && other->customer == row.customer && other->connection == row.connection) return other;
  }
  return std::optional<JobRow>();
}

Result<std::optional<JobRow>> FindBlocker(Control& control, Inspection& inspection, const JobRow& row,
                                          const std::optional<JobPlace>& place) {
  if (place && place->blocked_by) return inspection.Job(*place->blocked_by);
  Result<std::optional<JobRow>> found = inspection.DeferredBefore(row.connection, row.customer, row.sequence);
  if (!found || *found) return found;
  found = InFlightBefore(control, inspection, row);
  if (!found || *found || !row.parked) return found;
  return inspection.ParkedBefore(*row.parked, row.sequence);
}

// The oldest waiting job of its customer, unless that is `row` itself or too far from the oldest job of all.
Result<std::optional<std::string>> FindAhead(Inspection& inspection, const JobRow& row) {
  JobFilter filter;
  filter.connection = row.connection;
  filter.customer = row.customer;
  PageRequest first;
  first.rows_max = 1;
  first.examined_max = kLookedAtForOldest;
  ASSIGN_OR_RETURN(const Page<JobRow> page, inspection.Jobs(filter, first));
  if (page.rows.empty() || page.rows.front().sequence >= row.sequence) return std::optional<std::string>();
  return page.rows.front().job;
}

std::optional<ConnectionStatus> ConnectionOf(const DaemonStatus& status, const std::string& name) {
  for (const ConnectionStatus& connection : status.connections) {
    if (connection.name == name) return connection;
  }
  return std::nullopt;
}

Result<WaitingJob> LookAt(Control& control, Inspection& inspection, const DaemonStatus& status, JobRow row) {
  const std::array sequences = {row.sequence};
  ASSIGN_OR_RETURN(const std::vector<std::optional<JobPlace>> places, control.Places(sequences));
  const std::optional<JobPlace>& place = places.at(0);
  WaitingJob job;
  job.state = StateOf(row, place);
  job.connection = ConnectionOf(status, row.connection);
  if (job.state == JobState::kBlocked) {
    ASSIGN_OR_RETURN(std::optional<JobRow> blocker, FindBlocker(control, inspection, row, place));
    if (blocker) {
      ASSIGN_OR_RETURN(job.blocker_state, StateNow(control, *blocker));
    }
    job.blocker = std::move(blocker);
  } else if (job.state == JobState::kReady && !place) {
    job.is_on_disk = job.connection.has_value();
    if (!row.customer.empty()) {
      ASSIGN_OR_RETURN(job.ahead, FindAhead(inspection, row));
    }
  }
  job.row = std::move(row);
  return job;
}

HttpResponse WaitingAnswer(const WaitingJob& job, Timestamp now) {
  JsonWriter writer;
  writer.Object().Key("job").String(job.row.job).Key("state").String(JobStateName(job.state));
  writer.Key("explanation").String(ExplainWaiting(job, now));
  if (job.blocker) writer.Key("blocked_by").String(job.blocker->job);
  WriteCount(writer, "failures", job.row.failures);
  WriteSuspicion(writer, job.row);
  WriteTime(writer, "due_ms", job.row.due);
  if (job.connection) {
    writer.Key("gate");
    WriteConnection(writer, *job.connection);
  }
  WriteText(writer, "last_reason", job.row.reason);
  writer.EndObject();
  return JsonAnswer(writer);
}

HttpResponse SettledAnswer(const Ulid& job, std::string_view state, const std::string& explanation,
                           std::string_view last_reason) {
  JsonWriter writer;
  writer.Object().Key("job").String(job.ToText());
  WriteText(writer, "state", state);
  writer.Key("explanation").String(explanation);
  WriteText(writer, "last_reason", last_reason);
  writer.EndObject();
  return JsonAnswer(writer);
}

}  // namespace

HttpResponse ListJobs(Control& control, Inspection& inspection, const JobsQuery& query) {
  const Result<ListedJobs> listed = JobsOf(control, inspection, query);
  if (!listed) return ErrorAnswer(listed.error());
  JsonWriter writer;
  writer.Object().Key("rows").Array();
  for (std::size_t index = 0; index < listed->rows.size(); ++index)
    WriteJob(writer, listed->rows[index], listed->states[index]);
  writer.EndArray();
  WriteNext(writer, listed->next);
  writer.EndObject();
  return JsonAnswer(writer);
}

HttpResponse ShowJob(Control& control, Inspection& inspection, const Ulid& job) {
  const Result<Traces> traces = FindTraces(inspection, job);
  if (!traces) return ErrorAnswer(traces.error());
  JsonWriter writer;
  writer.Object();
  if (traces->waiting) {
    const Result<JobState> state = StateNow(control, *traces->waiting);
    if (!state) return ErrorAnswer(state.error());
    writer.Key("job");
    WriteJob(writer, *traces->waiting, *state);
  }
  if (traces->dead) {
    writer.Key("dead");
    WriteDead(writer, *traces->dead);
  }
  writer.Key("attempts").Array();
  for (const AttemptRow& attempt : traces->attempts) WriteAttempt(writer, attempt);
  writer.EndArray().EndObject();
  return JsonAnswer(writer);
}

HttpResponse ExplainJob(Control& control, Inspection& inspection, const Ulid& job) {
  Result<Traces> traces = FindTraces(inspection, job);
  if (!traces) return ErrorAnswer(traces.error());
  if (traces->waiting) {
    const Result<DaemonStatus> status = control.Status();
    if (!status) return ErrorAnswer(status.error());
    const Result<WaitingJob> waiting = LookAt(control, inspection, *status, std::move(*traces->waiting));
    return waiting ? WaitingAnswer(*waiting, status->now) : ErrorAnswer(waiting.error());
  }
  if (traces->dead) return SettledAnswer(job, "dead", ExplainDead(*traces->dead), traces->dead->reason);
  const AttemptRow& last = traces->attempts.back();
  const bool is_delivered = last.result == FateName(Fate::kDelivered);
  return SettledAnswer(job, is_delivered ? last.result : "", ExplainGone(last), last.error);
}

HttpResponse ListHistory(Inspection& inspection, const HistoryQuery& query) {
  if (!query.job) {
    const Result<Page<AttemptRow>> page = inspection.Attempts(query.filter, query.page);
    return page ? PageAnswer<AttemptRow>(*page, &WriteAttempt) : ErrorAnswer(page.error());
  }
  Result<std::vector<AttemptRow>> rows = inspection.Attempts(*query.job);
  if (!rows) return ErrorAnswer(rows.error());
  return PageAnswer<AttemptRow>(Page<AttemptRow>{std::move(*rows), std::nullopt, 0}, &WriteAttempt);
}

HttpResponse ListDead(Inspection& inspection, const DeadQuery& query) {
  const Result<Page<DeadRow>> page = inspection.DeadRows(query.filter, query.page, query.detail);
  return page ? PageAnswer<DeadRow>(*page, &WriteDead) : ErrorAnswer(page.error());
}

HttpResponse ShowDead(Inspection& inspection, const Ulid& job) {
  const Result<std::optional<DeadRow>> row = inspection.Dead(job.SequencePart());
  if (!row) return ErrorAnswer(row.error());
  if (!*row || (*row)->job != job.ToText()) {
    return ErrorAnswer(Error{ErrorKind::kNotFound, "no such dead letter: " + job.ToText(), "job"});
  }
  JsonWriter writer;
  WriteDead(writer, **row);
  return JsonAnswer(writer);
}

HttpResponse ListDeadGroups(Inspection& inspection) {
  const Result<std::vector<DeadGroup>> groups = inspection.DeadGroups();
  if (!groups) return ErrorAnswer(groups.error());
  JsonWriter writer;
  writer.Object().Key("groups").Array();
  for (const DeadGroup& group : *groups) WriteGroup(writer, group);
  writer.EndArray().EndObject();
  return JsonAnswer(writer);
}

Result<JobRow> FindWaiting(Inspection& inspection, const Ulid& job) {
  ASSIGN_OR_RETURN(Traces traces, FindTraces(inspection, job));
  if (traces.waiting) return std::move(*traces.waiting);
  const std::string what = traces.dead ? "it is a dead letter already" : "it waits no longer";
  return Fail(ErrorKind::kConflict, job.ToText() + ": " + what, "job");
}

}  // namespace outboxd
