#include "daemon/admin/api.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>

#include "core/json.h"
#include "core/request.h"
#include "daemon/admin/filter.h"
#include "daemon/admin/reads.h"
#include "daemon/admin/render.h"

namespace outboxd {

namespace {

HttpResponse TextAnswer(const std::string& text, unsigned status = 200) {
  return HttpResponse{status, kTextType, text + "\n", {}};
}

HttpResponse HealthAnswer(const std::string& trouble) {
  return trouble.empty() ? TextAnswer("ok") : TextAnswer(trouble, 503);
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

// A body's object; no body is an empty one. Unknown members are errors: a misspelt one must not change what a
// command means.
Result<JsonValue> ParseBody(std::string_view body, std::initializer_list<std::string_view> known) {
  Result<JsonValue> object = JsonValue::Parse(body.empty() ? "{}" : body);
  if (!object) return Invalid({}, "the body is not JSON: " + object.error().message);
  if (!object->IsObject()) return Invalid({}, "the body must be a JSON object");
  for (const auto& [name, value] : object->Members()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) return Invalid(name, "is unknown here");
  }
  return object;
}

Result<std::string> TextMember(const JsonValue& object, std::string_view name) {
  const JsonValue value = object[name];
  if (!value.IsString() || value.String().empty()) return Invalid(name, "must be text");
  return value.String();
}

Result<bool> FlagMember(const JsonValue& object, std::string_view name) {
  if (!object.Has(name)) return false;
  if (!object[name].IsBool()) return Invalid(name, "must be true or false");
  return object[name].Bool();
}

struct DeadScope {
  DeadFilter filter;
  bool dry_run = false;
};

Result<DeadScope> ParseScope(std::string_view body, Timestamp now) {
  ASSIGN_OR_RETURN(const JsonValue object, ParseBody(body, {"filter", "all", "dry_run"}));
  ASSIGN_OR_RETURN(const bool all, FlagMember(object, "all"));
  ASSIGN_OR_RETURN(const bool dry_run, FlagMember(object, "dry_run"));
  ASSIGN_OR_RETURN(const NamedValues values, ParseFilterObject((object)["filter"]));
  ASSIGN_OR_RETURN(DeadFilter filter, ParseDeadFilter(values, now));
  if (filter.MatchesAll() && !all)
    return Invalid("filter", "an empty filter means every dead letter: say so with \"all\":true");
  return DeadScope{std::move(filter), dry_run};
}

struct ForgetScope {
  std::string customer;
  std::optional<std::string> connection;
};

Result<ForgetScope> ParseForget(std::string_view body) {
  ASSIGN_OR_RETURN(const JsonValue object, ParseBody(body, {"customer", "connection"}));
  ASSIGN_OR_RETURN(std::string customer, TextMember(object, "customer"));
  ForgetScope scope{std::move(customer), std::nullopt};
  if (!object.Has("connection")) return scope;
  ASSIGN_OR_RETURN(std::string connection, TextMember(object, "connection"));
  scope.connection = std::move(connection);
  return scope;
}

Result<std::filesystem::path> ParseBackup(std::string_view body) {
  ASSIGN_OR_RETURN(const JsonValue object, ParseBody(body, {"path"}));
  ASSIGN_OR_RETURN(const std::string path, TextMember(object, "path"));
  if (path.front() != '/' || path.find('\0') != std::string::npos)
    return Invalid("path", "must be an absolute path");
  return std::filesystem::path(path);
}

HttpResponse ConnectionAnswer(const Result<ConnectionStatus>& connection) {
  if (!connection) return ErrorAnswer(connection.error());
  JsonWriter writer;
  writer.Object().Key("connection");
  WriteConnection(writer, *connection);
  writer.EndObject();
  return JsonAnswer(writer);
}

}  // namespace

struct AdminApi::Route {
  std::string_view method;
  std::string_view pattern;
  HttpResponse (AdminApi::*answer)(const Call&);
};

// Each path has one method; the first pattern that fits counts, so words stand before "{}".
const AdminApi::Route* AdminApi::FindRoute(std::string_view path, std::string& argument) {
  static constexpr Route kRoutes[] = {
      {"GET", "/", &AdminApi::Root},
      {"GET", "/healthz", &AdminApi::Healthz},
      {"GET", "/readyz", &AdminApi::Readyz},
      {"GET", "/metrics", &AdminApi::MetricsText},
      {"GET", "/v1/status", &AdminApi::Status},
      {"GET", "/v1/jobs", &AdminApi::Jobs},
      {"GET", "/v1/jobs/{}", &AdminApi::Job},
      {"GET", "/v1/jobs/{}/explain", &AdminApi::Explain},
      {"POST", "/v1/jobs/{}/cancel", &AdminApi::Cancel},
      {"GET", "/v1/history", &AdminApi::History},
      {"GET", "/v1/dead", &AdminApi::DeadRows},
      {"GET", "/v1/dead/groups", &AdminApi::DeadGroups},
      {"POST", "/v1/dead/redrive", &AdminApi::Redrive},
      {"POST", "/v1/dead/drop", &AdminApi::Drop},
      {"GET", "/v1/dead/{}", &AdminApi::Dead},
      {"POST", "/v1/connections/{}/pause", &AdminApi::Pause},
      {"POST", "/v1/connections/{}/resume", &AdminApi::Resume},
      {"POST", "/v1/connections/{}/probe", &AdminApi::Probe},
      {"POST", "/v1/backup", &AdminApi::Backup},
      {"POST", "/v1/forget", &AdminApi::Forget},
      {"POST", "/v1/reload", &AdminApi::Reload},
  };
  const auto* found = std::find_if(std::begin(kRoutes), std::end(kRoutes), [&](const Route& route) {
    return Matches(route.pattern, path, argument);
  });
  return found == std::end(kRoutes) ? nullptr : found;
}

AdminApi::AdminApi(std::filesystem::path outbox, Control& control, const Metrics& metrics, Clock clock)
    : control_(control), metrics_(metrics), clock_(std::move(clock)), pool_(std::move(outbox)) {}

HttpResponse AdminApi::Handle(const HttpRequestView& request) {
  Call call{request, {}};
  const Route* route = FindRoute(request.path, call.argument);
  if (route == nullptr)
    return ErrorAnswer(Error{ErrorKind::kNotFound, "no such path: " + std::string(request.path), {}});
  if (!IsAllowed(request.method, route->method)) return MethodNotAllowed(route->method);
  return (this->*route->answer)(call);
}

HttpResponse AdminApi::HandleMetrics(const HttpRequestView& request) {
  if (request.path != "/metrics") return TextAnswer("only /metrics is here", 404);
  if (!IsAllowed(request.method, "GET")) return MethodNotAllowed("GET");
  return MetricsText(Call{request, {}});
}

template <typename Use>
HttpResponse AdminApi::Read(Use use) {
  Result<std::unique_ptr<Inspection>> inspection = pool_.Take();
  if (!inspection) return ErrorAnswer(inspection.error());
  HttpResponse answer = use(**inspection);
  pool_.GiveBack(std::move(*inspection));
  return answer;
}

template <typename Use>
HttpResponse AdminApi::ReadJob(const Call& call, Use use) {
  const std::optional<Ulid> job = Ulid::Parse(call.argument);
  if (!job) return ErrorAnswer(Error{ErrorKind::kInvalid, "is not a job id (26 letters and digits)", "job"});
  return Read([&](Inspection& inspection) { return use(inspection, *job); });
}

HttpResponse AdminApi::Root(const Call&) {
  return TextAnswer(
      "outboxd " OUTBOXD_VERSION
      ": durable event queue in front of Customer.io's Track API; ask outboxctl, or GET /v1/status");
}

HttpResponse AdminApi::Healthz(const Call&) {
  return HealthAnswer(control_.Status().not_healthy);
}

HttpResponse AdminApi::Readyz(const Call&) {
  return HealthAnswer(control_.Status().not_accepting);
}

HttpResponse AdminApi::MetricsText(const Call&) {
  return HttpResponse{
      200, "text/plain; version=0.0.4; charset=utf-8", metrics_.Render(control_.Status()), {}};
}

HttpResponse AdminApi::Status(const Call&) {
  JsonWriter writer;
  WriteStatus(writer, control_.Status());
  return JsonAnswer(writer);
}

HttpResponse AdminApi::Jobs(const Call& call) {
  const Result<JobsQuery> query = ParseJobsQuery(ParseQuery(call.request.query), clock_());
  if (!query) return ErrorAnswer(query.error());
  return Read([&](Inspection& inspection) { return ListJobs(control_, inspection, *query); });
}

HttpResponse AdminApi::Job(const Call& call) {
  return ReadJob(call,
                 [&](Inspection& inspection, const Ulid& job) { return ShowJob(control_, inspection, job); });
}

HttpResponse AdminApi::Explain(const Call& call) {
  return ReadJob(
      call, [&](Inspection& inspection, const Ulid& job) { return ExplainJob(control_, inspection, job); });
}

HttpResponse AdminApi::Cancel(const Call& call) {
  return ReadJob(call, [&](Inspection& inspection, const Ulid& job) {
    const Result<JobRow> row = FindWaiting(inspection, job);
    if (!row) return ErrorAnswer(row.error());
    const Result<void> cancelled = control_.Cancel(row->sequence);
    if (!cancelled) return ErrorAnswer(cancelled.error());
    JsonWriter writer;
    writer.Object().Key("cancelled").Int(1).EndObject();
    return JsonAnswer(writer);
  });
}

HttpResponse AdminApi::History(const Call& call) {
  const Result<HistoryQuery> query = ParseHistoryQuery(ParseQuery(call.request.query));
  if (!query) return ErrorAnswer(query.error());
  return Read([&](Inspection& inspection) { return ListHistory(inspection, *query); });
}

HttpResponse AdminApi::DeadRows(const Call& call) {
  const Result<DeadQuery> query = ParseDeadQuery(ParseQuery(call.request.query), clock_());
  if (!query) return ErrorAnswer(query.error());
  return Read([&](Inspection& inspection) { return ListDead(inspection, *query); });
}

HttpResponse AdminApi::DeadGroups(const Call&) {
  return Read(&ListDeadGroups);
}

HttpResponse AdminApi::Dead(const Call& call) {
  return ReadJob(call, &ShowDead);
}

HttpResponse AdminApi::Redrive(const Call& call) {
  return Change(call, &Control::Redrive, "redriven");
}

HttpResponse AdminApi::Drop(const Call& call) {
  return Change(call, &Control::Drop, "dropped");
}

HttpResponse AdminApi::Change(const Call& call, ChangeDead change, std::string_view changed) {
  const Result<DeadScope> scope = ParseScope(call.request.body, clock_());
  if (!scope) return ErrorAnswer(scope.error());
  const Result<ChangeCount> count = (control_.*change)(scope->filter, scope->dry_run);
  if (!count) return ErrorAnswer(count.error());
  JsonWriter writer;
  writer.Object();
  WriteCount(writer, "matched", count->matched);
  WriteCount(writer, changed, count->changed);
  writer.EndObject();
  return JsonAnswer(writer);
}

HttpResponse AdminApi::Pause(const Call& call) {
  return ConnectionAnswer(control_.Pause(call.argument));
}

HttpResponse AdminApi::Resume(const Call& call) {
  return ConnectionAnswer(control_.Resume(call.argument));
}

HttpResponse AdminApi::Probe(const Call& call) {
  const Result<ProbeReport> report = control_.Probe(call.argument);
  if (!report) return ErrorAnswer(report.error());
  JsonWriter writer;
  WriteProbe(writer, call.argument, *report);
  return JsonAnswer(writer);
}

HttpResponse AdminApi::Backup(const Call& call) {
  const Result<std::filesystem::path> file = ParseBackup(call.request.body);
  if (!file) return ErrorAnswer(file.error());
  const Result<std::uint64_t> bytes = control_.Backup(*file);
  if (!bytes) return ErrorAnswer(bytes.error());
  JsonWriter writer;
  writer.Object().Key("path").String(file->string());
  WriteCount(writer, "bytes", *bytes);
  writer.EndObject();
  return JsonAnswer(writer);
}

HttpResponse AdminApi::Forget(const Call& call) {
  const Result<ForgetScope> scope = ParseForget(call.request.body);
  if (!scope) return ErrorAnswer(scope.error());
  const Result<ForgetCount> count = control_.Forget(scope->customer, scope->connection);
  if (!count) return ErrorAnswer(count.error());
  JsonWriter writer;
  writer.Object();
  WriteCount(writer, "jobs", count->jobs);
  WriteCount(writer, "dead", count->dead);
  WriteCount(writer, "attempts", count->attempts);
  writer.EndObject();
  return JsonAnswer(writer);
}

HttpResponse AdminApi::Reload(const Call&) {
  const Result<void> reloaded = control_.Reload();
  if (!reloaded) return ErrorAnswer(reloaded.error());
  JsonWriter writer;
  writer.Object().Key("reloaded").Bool(true).EndObject();
  return JsonAnswer(writer);
}

}  // namespace outboxd
