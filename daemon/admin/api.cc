#include "daemon/admin/api.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/encoding.h"
#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/admin/amended.h"
#include "daemon/admin/body.h"
#include "daemon/admin/control.h"
#include "daemon/admin/filter.h"
#include "daemon/admin/inspection_pool.h"
#include "daemon/admin/reads.h"
#include "daemon/admin/render.h"
#include "daemon/base/http_message.h"
#include "daemon/base/metrics.h"
#include "daemon/base/status.h"
#include "storage/filter.h"
#include "storage/inspection.h"

namespace outboxd {
namespace {

HttpResponse TextAnswer(const std::string& text, unsigned status = 200) {
  return HttpResponse{status, kTextType, text + "\n", {}};
}

HttpResponse HealthAnswer(const std::optional<std::string>& trouble) {
  return trouble ? TextAnswer(*trouble, 503) : TextAnswer("ok");
}

// True when `path` has the shape of `pattern`; the segment at "{}" is decoded into `argument`. Segments are
// split before they are decoded, so that an encoded "/" stays inside its segment.
bool Matches(std::string_view pattern, std::string_view path, std::string& argument) {
  for (;;) {
    const std::string_view expected = pattern.substr(0, pattern.find('/'));
    const std::string_view segment = path.substr(0, path.find('/'));
    if (expected == "{}") {
      if (segment.empty()) return false;
      argument = PercentDecode(segment);
    } else if (expected != segment) {
      return false;
    }
    const bool pattern_ends = expected.size() == pattern.size();
    const bool path_ends = segment.size() == path.size();
    if (pattern_ends || path_ends) return pattern_ends && path_ends;
    pattern.remove_prefix(expected.size() + 1);
    path.remove_prefix(segment.size() + 1);
  }
}

bool IsAllowed(std::string_view method, std::string_view wanted) {
  return method == wanted || (wanted == "GET" && method == "HEAD");
}

HttpResponse ConnectionAnswer(const Result<ConnectionStatus>& connection) {
  if (!connection) return ErrorAnswer(connection.error());
  JsonWriter writer;
  writer.Object().Key("connection");
  WriteConnection(writer, *connection);
  writer.EndObject();
  return JsonAnswer(writer);
}

// A request with the decoded segment that stands at its route's "{}", and all that an answer may need.
struct Call {
  const HttpRequestView& request;
  Control& control;
  const Metrics& metrics;
  InspectionPool& pool;
  Timestamp now;
  std::string argument;
};

// Runs `use` on an Inspection that is its alone meanwhile.
template <typename Use>
HttpResponse Read(const Call& call, Use use) {
  Result<std::unique_ptr<Inspection>> inspection = call.pool.Take();
  if (!inspection) return ErrorAnswer(inspection.error());
  HttpResponse answer = use(**inspection);
  call.pool.GiveBack(std::move(*inspection));
  return answer;
}

// The same with the job id in the path.
template <typename Use>
HttpResponse ReadJob(const Call& call, Use use) {
  const std::optional<Ulid> job = Ulid::Parse(call.argument);
  if (!job) return ErrorAnswer(Error{ErrorKind::kInvalid, "is not a job id (26 letters and digits)", "job"});
  return Read(call, [&](Inspection& inspection) { return use(inspection, *job); });
}

HttpResponse AnswerRoot(const Call&) {
  return TextAnswer(
      "outboxd " OUTBOXD_VERSION
      ": durable event queue in front of Customer.io's Track API; ask outboxctl, or GET /v1/status");
}

HttpResponse AnswerHealthz(const Call& call) {
  const Health health = call.control.CheckHealth();
  return HealthAnswer(health.not_healthy ? health.not_healthy : health.not_delivering);
}

HttpResponse AnswerReadyz(const Call& call) {
  return HealthAnswer(call.control.CheckHealth().not_accepting);
}

HttpResponse AnswerMetrics(const Call& call) {
  const Result<DaemonStatus> status = call.control.Status();
  if (!status) return ErrorAnswer(status.error());
  return HttpResponse{200, "text/plain; version=0.0.4; charset=utf-8", call.metrics.Render(*status), {}};
}

HttpResponse AnswerStatus(const Call& call) {
  const Result<DaemonStatus> status = call.control.Status();
  if (!status) return ErrorAnswer(status.error());
  JsonWriter writer;
  WriteStatus(writer, *status);
  return JsonAnswer(writer);
}

HttpResponse AnswerJobs(const Call& call) {
  const Result<JobsQuery> query = ParseJobsQuery(ParseQuery(call.request.query), call.now);
  if (!query) return ErrorAnswer(query.error());
  return Read(call, [&](Inspection& inspection) { return ListJobs(call.control, inspection, *query); });
}

HttpResponse AnswerJob(const Call& call) {
  return ReadJob(
      call, [&](Inspection& inspection, const Ulid& job) { return ShowJob(call.control, inspection, job); });
}

HttpResponse AnswerExplain(const Call& call) {
  return ReadJob(call, [&](Inspection& inspection, const Ulid& job) {
    return ExplainJob(call.control, inspection, job);
  });
}

HttpResponse AnswerCancel(const Call& call) {
  return ReadJob(call, [&](Inspection& inspection, const Ulid& job) {
    const Result<JobRow> row = FindWaiting(inspection, job);
    if (!row) return ErrorAnswer(row.error());
    const Result<void> cancelled = call.control.Cancel(row->sequence);
    if (!cancelled) return ErrorAnswer(cancelled.error());
    JsonWriter writer;
    writer.Object().Key("cancelled").Int(1).EndObject();
    return JsonAnswer(writer);
  });
}

HttpResponse AnswerHistory(const Call& call) {
  const Result<HistoryQuery> query = ParseHistoryQuery(ParseQuery(call.request.query));
  if (!query) return ErrorAnswer(query.error());
  return Read(call, [&](Inspection& inspection) { return ListHistory(inspection, *query); });
}

HttpResponse AnswerDeadRows(const Call& call) {
  const Result<DeadQuery> query = ParseDeadQuery(ParseQuery(call.request.query), call.now);
  if (!query) return ErrorAnswer(query.error());
  return Read(call, [&](Inspection& inspection) { return ListDead(inspection, *query); });
}

HttpResponse AnswerDeadGroups(const Call& call) {
  return Read(call, &ListDeadGroups);
}

HttpResponse AnswerDead(const Call& call) {
  return ReadJob(call, &ShowDead);
}

using ChangeDead = Result<std::uint64_t> (Control::*)(const DeadFilter&);

HttpResponse Change(const Call& call, ChangeDead change, std::string_view changed) {
  const Result<DeadScope> scope = ParseDeadScope(call.request.body, call.now);
  if (!scope) return ErrorAnswer(scope.error());
  const bool is_dry = scope->extent == Extent::kCountOnly;
  const Result<std::uint64_t> count =
      is_dry ? call.control.CountDead(scope->filter) : (call.control.*change)(scope->filter);
  if (!count) return ErrorAnswer(count.error());
  JsonWriter writer;
  writer.Object();
  WriteCount(writer, "matched", *count);
  WriteCount(writer, changed, is_dry ? 0 : *count);
  writer.EndObject();
  return JsonAnswer(writer);
}

HttpResponse AnswerRedrive(const Call& call) {
  return Change(call, &Control::Redrive, "redriven");
}

HttpResponse AnswerDrop(const Call& call) {
  return Change(call, &Control::Drop, "dropped");
}

HttpResponse AnswerAmend(const Call& call) {
  const Result<AmendScope> scope = ParseAmendScope(call.request.body);
  if (!scope) return ErrorAnswer(scope.error());
  return ReadJob(call, [&](Inspection& inspection, const Ulid& job) {
    const Result<Amended> amended = ReadAmended(inspection, job, *scope, call.now);
    if (!amended) return ErrorAnswer(amended.error());
    const Result<void> done = call.control.Amend(amended->amendment, amended->max_age);
    if (!done) return ErrorAnswer(done.error());
    JsonWriter writer;
    writer.Object().Key("amended").Int(1).Key("job").String(job.ToText());
    WriteText(writer, "event_id", amended->event_id);
    writer.EndObject();
    return JsonAnswer(writer);
  });
}

HttpResponse AnswerPause(const Call& call) {
  return ConnectionAnswer(call.control.Pause(call.argument));
}

HttpResponse AnswerResume(const Call& call) {
  return ConnectionAnswer(call.control.Resume(call.argument));
}

HttpResponse AnswerProbe(const Call& call) {
  const Result<ProbeReport> report = call.control.Probe(call.argument);
  if (!report) return ErrorAnswer(report.error());
  JsonWriter writer;
  WriteProbe(writer, call.argument, *report, call.control.WarningsOf(call.argument));
  return JsonAnswer(writer);
}

HttpResponse AnswerBackup(const Call& call) {
  const Result<std::filesystem::path> file = ParseBackupPath(call.request.body);
  if (!file) return ErrorAnswer(file.error());
  const Result<std::uint64_t> bytes = call.control.Backup(*file);
  if (!bytes) return ErrorAnswer(bytes.error());
  JsonWriter writer;
  writer.Object().Key("path").String(file->string());
  WriteCount(writer, "bytes", *bytes);
  writer.EndObject();
  return JsonAnswer(writer);
}

HttpResponse AnswerForget(const Call& call) {
  const Result<ForgetScope> scope = ParseForgetScope(call.request.body);
  if (!scope) return ErrorAnswer(scope.error());
  const Result<ForgetCount> count = call.control.Forget(scope->customer, scope->connection);
  if (!count) return ErrorAnswer(count.error());
  JsonWriter writer;
  writer.Object();
  WriteCount(writer, "jobs", count->jobs);
  WriteCount(writer, "dead", count->dead);
  WriteCount(writer, "attempts", count->attempts);
  writer.EndObject();
  return JsonAnswer(writer);
}

HttpResponse AnswerReload(const Call& call) {
  const Result<std::string> needs_restart = call.control.Reload();
  if (!needs_restart) return ErrorAnswer(needs_restart.error());
  JsonWriter writer;
  writer.Object().Key("reloaded").Bool(true);
  WriteText(writer, "needs_restart", *needs_restart);
  writer.EndObject();
  return JsonAnswer(writer);
}

struct ApiRoute {
  std::string_view method;  // GET changes nothing, POST does
  std::string_view pattern;
  HttpResponse (*answer)(const Call&);
};

// Each path has one method; the first pattern that fits counts, so words stand before "{}".
const ApiRoute* FindRoute(std::string_view path, std::string& argument) {
  static constexpr ApiRoute kRoutes[] = {
      {"GET", "/", &AnswerRoot},
      {"GET", "/healthz", &AnswerHealthz},
      {"GET", "/readyz", &AnswerReadyz},
      {"GET", "/metrics", &AnswerMetrics},
      {"GET", "/v1/status", &AnswerStatus},
      {"GET", "/v1/jobs", &AnswerJobs},
      {"GET", "/v1/jobs/{}", &AnswerJob},
      {"GET", "/v1/jobs/{}/explain", &AnswerExplain},
      {"POST", "/v1/jobs/{}/cancel", &AnswerCancel},
      {"GET", "/v1/history", &AnswerHistory},
      {"GET", "/v1/dead", &AnswerDeadRows},
      {"GET", "/v1/dead/groups", &AnswerDeadGroups},
      {"POST", "/v1/dead/redrive", &AnswerRedrive},
      {"POST", "/v1/dead/drop", &AnswerDrop},
      {"GET", "/v1/dead/{}", &AnswerDead},
      {"POST", "/v1/dead/{}/amend", &AnswerAmend},
      {"POST", "/v1/connections/{}/pause", &AnswerPause},
      {"POST", "/v1/connections/{}/resume", &AnswerResume},
      {"POST", "/v1/connections/{}/probe", &AnswerProbe},
      {"POST", "/v1/backup", &AnswerBackup},
      {"POST", "/v1/forget", &AnswerForget},
      {"POST", "/v1/reload", &AnswerReload},
  };
  const auto* found = std::find_if(std::begin(kRoutes), std::end(kRoutes), [&](const ApiRoute& route) {
    return Matches(route.pattern, path, argument);
  });
  return found == std::end(kRoutes) ? nullptr : found;
}

}  // namespace

AdminApi::AdminApi(std::filesystem::path outbox, Control& control, const Metrics& metrics, Clock clock)
    : control_(control), metrics_(metrics), clock_(std::move(clock)), pool_(std::move(outbox)) {}

HttpResponse AdminApi::Handle(const HttpRequestView& request) {
  Call call{request, control_, metrics_, pool_, clock_(), {}};
  const ApiRoute* const route = FindRoute(request.path, call.argument);
  if (route == nullptr)
    return ErrorAnswer(Error{ErrorKind::kNotFound, "no such path: " + std::string(request.path), {}});
  if (!IsAllowed(request.method, route->method)) return MethodNotAllowed(route->method);
  return route->answer(call);
}

HttpResponse AdminApi::HandleMetrics(const HttpRequestView& request) {
  const auto answer = request.path == "/metrics"   ? &AnswerMetrics
                      : request.path == "/healthz" ? &AnswerHealthz
                      : request.path == "/readyz"  ? &AnswerReadyz
                                                   : nullptr;
  if (answer == nullptr) return TextAnswer("only /metrics, /healthz and /readyz are here", 404);
  if (!IsAllowed(request.method, "GET")) return MethodNotAllowed("GET");
  return answer(Call{request, control_, metrics_, pool_, clock_(), {}});
}

}  // namespace outboxd
