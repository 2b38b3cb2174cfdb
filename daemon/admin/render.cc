#include "daemon/admin/render.h"

#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/gate.h"
#include "core/job.h"
#include "core/json.h"
#include "core/names.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/base/http_message.h"
#include "daemon/base/status.h"
#include "storage/history_pack.h"
#include "storage/inspection.h"

namespace outboxd {

namespace {

struct KindAnswer {
  ErrorKind shown;
  unsigned status;
};

KindAnswer AnswerOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
    case ErrorKind::kMissing:
      return {ErrorKind::kInvalid, 400};
    case ErrorKind::kNotFound:
      return {kind, 404};
    case ErrorKind::kConflict:
      return {kind, 409};
    case ErrorKind::kBusy:
      return {kind, 503};
    case ErrorKind::kFull:
      return {kind, 507};
    case ErrorKind::kUnavailable:
      return {kind, 502};
    case ErrorKind::kCorrupt:
    case ErrorKind::kIo:
    case ErrorKind::kInternal:
      break;
  }
  return {ErrorKind::kInternal, 500};
}

void WriteErrorObject(JsonWriter& writer, std::string_view kind, const Error& error) {
  writer.Object().Key("error").Object().Key("kind").String(kind);
  WriteText(writer, "field", error.field);
  writer.Key("message").String(error.message).EndObject().EndObject();
}

void WriteStatusOf(JsonWriter& writer, const std::optional<std::int64_t>& status) {
  if (status) writer.Key("status").Int(*status);
}

struct StateSums {
  std::uint64_t jobs = 0, ready = 0, in_flight = 0, deferred = 0, blocked = 0, dead = 0;
};

StateSums SumsOf(const DaemonStatus& status) {
  StateSums sums;
  for (const ConnectionStatus& connection : status.connections) {
    sums.jobs += connection.jobs;
    sums.ready += connection.Ready();
    sums.in_flight += connection.in_flight;
    sums.deferred += connection.deferred;
    sums.blocked += connection.blocked;
    sums.dead += connection.dead;
  }
  return sums;
}

void WriteOutbox(JsonWriter& writer, const DaemonStatus& status, const StateSums& sums) {
  writer.Key("outbox").Object().Key("path").String(status.outbox_path.string());
  WriteCount(writer, "jobs", sums.jobs);
  WriteCount(writer, "max_jobs", status.max_jobs);
  WriteCount(writer, "bytes", status.bytes);
  WriteCount(writer, "max_bytes", status.max_bytes);
  WriteCount(writer, "wal_held_bytes", status.wal_held_bytes);
  if (status.wal_held_since) writer.Key("wal_held_since_ms").Int(ToUnixMs(*status.wal_held_since));
  WriteCount(writer, "disk_free_bytes", status.disk_free_bytes);
  WriteCount(writer, "attempts", status.attempts_rows);
  WriteCount(writer, "dead", sums.dead);
  writer.EndObject();
}

void WriteStates(JsonWriter& writer, const StateSums& sums) {
  writer.Key("states").Object();
  WriteCount(writer, "ready", sums.ready);
  WriteCount(writer, "in_flight", sums.in_flight);
  WriteCount(writer, "deferred", sums.deferred);
  WriteCount(writer, "blocked", sums.blocked);
  WriteCount(writer, "dead", sums.dead);
  writer.EndObject();
}

void WriteRates(JsonWriter& writer, const Rates& rates) {
  writer.Key("rates").Object();
  writer.Key("accepted_per_s").Number(rates.accepted).Key("attempts_per_s").Number(rates.attempts);
  writer.Key("delivered_per_s").Number(rates.delivered).Key("dead_per_s").Number(rates.dead).EndObject();
}

void WriteTotals(JsonWriter& writer, const Totals& totals) {
  writer.Key("totals").Object();
  WriteCount(writer, "accepted", totals.accepted);
  WriteCount(writer, "refused", totals.refused);
  WriteCount(writer, "attempts", totals.attempts);
  WriteCount(writer, "delivered", totals.delivered);
  WriteCount(writer, "dead", totals.dead);
  writer.EndObject();
}

// A row may be damaged; its line is then no JSON, perhaps not even text.
void WriteLine(JsonWriter& writer, const std::string& line) {
  if (line.empty()) return;
  writer.Key("line");
  if (JsonValue::Parse(line)) {
    writer.Raw(line);
  } else {
    writer.String(line).Key("line_damaged").Bool(true);
  }
}

}  // namespace

HttpResponse JsonAnswer(JsonWriter& writer, unsigned status) {
  return HttpResponse{status, kJsonType, writer.Take() + "\n", {}};
}

HttpResponse ErrorAnswer(const Error& error) {
  const KindAnswer answer = AnswerOf(error.kind);
  JsonWriter writer;
  WriteErrorObject(writer, NameOf(answer.shown), error);
  return JsonAnswer(writer, answer.status);
}

HttpResponse MethodNotAllowed(std::string_view allowed) {
  JsonWriter writer;
  WriteErrorObject(writer, "invalid",
                   Error{ErrorKind::kInvalid, "this path answers " + std::string(allowed) + " only", {}});
  HttpResponse answer = JsonAnswer(writer, 405);
  answer.headers.emplace_back("Allow", allowed);
  return answer;
}

HttpResponse ForbiddenAnswer() {
  JsonWriter writer;
  WriteErrorObject(writer, "forbidden",
                   Error{ErrorKind::kInvalid, "this user may not ask here (listen.admin.users)", {}});
  return JsonAnswer(writer, 403);
}

JobState StateOf(const JobRow& row, const std::optional<JobPlace>& place) {
  if (place) return place->state;
  if (row.due) return JobState::kDeferred;
  return row.parked ? JobState::kBlocked : JobState::kReady;
}

void WriteText(JsonWriter& writer, std::string_view key, std::string_view text) {
  if (!text.empty()) writer.Key(key).String(text);
}

void WriteTime(JsonWriter& writer, std::string_view key, const std::optional<Timestamp>& at) {
  if (at) writer.Key(key).Int(ToUnixMs(*at));
}

void WriteCount(JsonWriter& writer, std::string_view key, std::uint64_t count) {
  writer.Key(key).Int(static_cast<std::int64_t>(count));
}

void WriteSuspicion(JsonWriter& writer, const JobRow& row) {
  if (row.suspicion == Suspicion::kNone) return;
  writer.Key("suspicion").String(SuspicionName(row.suspicion));
  WriteCount(writer, "refusals", row.refusals);
  WriteTime(writer, "counted_ms", row.counted);
}

void WriteStatus(JsonWriter& writer, const DaemonStatus& status) {
  const StateSums sums = SumsOf(status);
  writer.Object().Key("version").String(OUTBOXD_VERSION).Key("pid").Int(getpid());
  WriteTime(writer, "started_ms", status.started);
  WriteTime(writer, "now_ms", status.now);
  writer.Key("accepting")
      .Bool(!status.health.not_accepting)
      .Key("accepting_reason")
      .String(status.health.not_accepting.value_or(""))
      .Key("delivering")
      .Bool(!status.health.not_delivering)
      .Key("delivering_reason")
      .String(status.health.not_delivering.value_or(""));
  WriteOutbox(writer, status, sums);
  WriteStates(writer, sums);
  WriteRates(writer, status.rates);
  WriteTotals(writer, status.totals);
  writer.Key("connections").Array();
  for (const ConnectionStatus& connection : status.connections) WriteConnection(writer, connection);
  writer.EndArray().Key("listeners").Array();
  for (const ListenerStatus& listener : status.listeners) {
    writer.Object().Key("key").String(listener.key).Key("address").String(listener.address);
    writer.Key("listening").Bool(listener.problem.empty());
    WriteText(writer, "problem", listener.problem);
    writer.EndObject();
  }
  writer.EndArray().EndObject();
}

void WriteConnection(JsonWriter& writer, const ConnectionStatus& connection) {
  const GateSnapshot& gate = connection.gate;
  writer.Object()
      .Key("name")
      .String(connection.name)
      .Key("base_url")
      .String(connection.base_url)
      .Key("region")
      .String(connection.region);
  writer.Key("state")
      .String(GateStateName(gate.state))
      .Key("pause")
      .String(PauseReasonName(gate.pause))
      .Key("detail")
      .String(gate.detail);
  WriteTime(writer, "since_ms", gate.since);
  WriteTime(writer, "reopen_ms", gate.state == GateState::kThrottled ? gate.reopen_at : std::nullopt);
  WriteCount(writer, "failures", gate.failures);
  WriteCount(writer, "requests", connection.requests);
  WriteCount(writer, "limit", connection.limit);
  WriteCount(writer, "max_in_flight", connection.max_in_flight);
  writer.Key("rate_limit").Number(connection.rate_limit);
  writer.Key("batch").Object().Key("mode").String(NameOf(connection.batch_mode));
  writer.Key("use").String(NameOf(connection.batch_use));
  WriteCount(writer, "items", connection.batch_items);
  writer.EndObject();
  WriteCount(writer, "jobs", connection.jobs);
  WriteCount(writer, "ready", connection.Ready());
  WriteCount(writer, "in_flight", connection.in_flight);
  WriteCount(writer, "deferred", connection.deferred);
  WriteCount(writer, "blocked", connection.blocked);
  WriteCount(writer, "dead", connection.dead);
  WriteCount(writer, "suspects", connection.suspects);
  WriteTime(writer, "oldest_ms", connection.oldest);
  writer.EndObject();
}

void WriteJob(JsonWriter& writer, const JobRow& row, JobState state) {
  writer.Object();
  WriteCount(writer, "seq", ToNumber(row.sequence));
  writer.Key("job").String(row.job).Key("connection").String(row.connection).Key("type").String(row.type);
  WriteText(writer, "customer", row.customer);
  writer.Key("state").String(JobStateName(state));
  WriteTime(writer, "accepted_ms", row.accepted);
  WriteTime(writer, "redriven_ms", row.redriven);
  WriteCount(writer, "attempts", row.attempts);
  WriteCount(writer, "failures", row.failures);
  WriteSuspicion(writer, row);
  WriteTime(writer, "due_ms", row.due);
  WriteText(writer, "reason", row.reason);
  if (row.ref) writer.Key("ref").String(*row.ref);
  if (row.uid) writer.Key("uid").Int(*row.uid);
  WriteCount(writer, "bytes", row.bytes);
  WriteLine(writer, row.line);
  writer.EndObject();
}

void WriteAttempt(JsonWriter& writer, const AttemptRow& row) {
  writer.Object();
  WriteCount(writer, "seq", ToNumber(row.sequence));
  WriteCount(writer, "attempt", row.attempt);
  writer.Key("job").String(row.job).Key("connection").String(row.connection).Key("type").String(row.type);
  WriteText(writer, "customer", row.customer);
  WriteTime(writer, "sent_ms", row.sent);
  writer.Key("duration_ms").Int(row.duration.count()).Key("result").String(row.result);
  WriteStatusOf(writer, row.status);
  WriteText(writer, "error", row.error);
  WriteText(writer, "answer", row.answer);
  WriteText(writer, "name", row.name);
  WriteText(writer, "ref", row.ref);
  if (row.uid) writer.Key("uid").Int(*row.uid);
  WriteTime(writer, "accepted_ms", row.accepted);
  writer.EndObject();
}

void WriteDead(JsonWriter& writer, const DeadRow& row) {
  writer.Object();
  WriteCount(writer, "seq", ToNumber(row.sequence));
  writer.Key("job").String(row.job).Key("connection").String(row.connection).Key("type").String(row.type);
  WriteText(writer, "customer", row.customer);
  WriteTime(writer, "accepted_ms", row.accepted);
  WriteTime(writer, "dead_ms", row.dead);
  writer.Key("death").String(row.death);
  WriteStatusOf(writer, row.status);
  writer.Key("reason").String(row.reason).Key("cause").String(row.cause);
  WriteCount(writer, "attempts", row.attempts);
  if (row.ref) writer.Key("ref").String(*row.ref);
  if (row.uid) writer.Key("uid").Int(*row.uid);
  WriteText(writer, "answer", row.answer);
  WriteLine(writer, row.line);
  writer.EndObject();
}

void WriteGroup(JsonWriter& writer, const DeadGroup& group) {
  writer.Object().Key("cause").String(group.cause).Key("death").String(group.death);
  WriteStatusOf(writer, group.status);
  WriteCount(writer, "count", group.count);
  WriteTime(writer, "first_ms", group.first);
  WriteTime(writer, "last_ms", group.last);
  writer.Key("example").String(group.example).EndObject();
}

void WriteProbe(JsonWriter& writer, std::string_view connection, const ProbeReport& report,
                const std::vector<std::string>& warnings) {
  writer.Object().Key("connection").String(connection).Key("ok").Bool(report.ok);
  if (report.status != 0) writer.Key("status").Int(report.status);
  WriteText(writer, "region", report.region);
  if (report.environment_id != 0) writer.Key("environment_id").Int(report.environment_id);
  writer.Key("duration_ms").Int(report.duration.count());
  WriteText(writer, "message", report.message);
  writer.Key("warnings").Array();
  for (const std::string& warning : warnings) writer.String(warning);
  writer.EndArray().EndObject();
}

}  // namespace outboxd
