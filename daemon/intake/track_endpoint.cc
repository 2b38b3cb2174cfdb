#include "daemon/intake/track_endpoint.h"

#include <algorithm>

#include "core/ascii.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/object_scan.h"
#include "core/refusal.h"
#include "core/request.h"
#include "core/track_body.h"
#include "core/track_call.h"
#include "daemon/base/stopping.h"

namespace outboxd {
namespace {

constexpr std::string_view kWhatThisIs =
    "outboxd: a durable outbox in front of Customer.io's Track API; point a Customer.io library here\n";
constexpr std::string_view kDefaultConnection = "default";
// In the header of an answer, which clients bound: Node.js takes 16 kB of headers.
constexpr std::size_t kJobIdsShown = 256;
constexpr std::chrono::seconds kRereadInterval{1};

HttpResponse JsonAnswer(unsigned status, std::string body) {
  return {status, kJsonType, std::move(body), {}};
}

// {"meta":{"error":…}}: the first version's shape.
std::string MetaError(std::string_view message) {
  return JsonWriter()
      .Object()
      .Key("meta")
      .Object()
      .Key("error")
      .String(message)
      .EndObject()
      .EndObject()
      .Text();
}

struct EntityError {
  std::optional<std::size_t> batch_index;
  std::string reason, field, message;
};

// {"errors":[…]}: the second version's.
std::string EntityErrors(const std::vector<EntityError>& errors) {
  JsonWriter writer;
  writer.Object().Key("errors").Array();
  for (const EntityError& error : errors) {
    writer.Object();
    if (error.batch_index) writer.Key("batch_index").Int(static_cast<std::int64_t>(*error.batch_index));
    writer.Key("reason")
        .String(error.reason)
        .Key("field")
        .String(error.field)
        .Key("message")
        .String(error.message)
        .EndObject();
  }
  return writer.EndArray().EndObject().Text();
}

std::string_view ReasonOf(const Error& error) {
  return error.message == "is required" ? "required" : "invalid";
}

std::string Sentence(const Error& error) {
  return error.field.empty() ? "the request " + error.message : error.field + " " + error.message;
}

// Takes the same time wherever the two differ.
bool SameSecret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const char byte = i < given.size() ? given[i] : '\0';
    difference |= static_cast<unsigned>(Byte(byte) ^ Byte(secret[i]));
  }
  return difference == 0;
}

std::optional<std::string> BasicCredentials(const HttpRequestView& request) {
  constexpr std::string_view kBasic = "Basic ";
  const std::optional<std::string_view> header = request.Header("Authorization");
  if (!header || !EqualsIgnoringCase(header->substr(0, kBasic.size()), kBasic)) return std::nullopt;
  std::string_view token = header->substr(kBasic.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  while (token.ends_with(' ')) token.remove_suffix(1);
  return Base64Decode(token);
}

// What no request line may hold is encoded; everything else stays as it came.
std::string CleanTarget(std::string_view target) {
  std::string clean;
  clean.reserve(target.size());
  for (const char byte : target) {
    if (IsTargetByte(byte)) {
      clean += byte;
    } else {
      AppendEscaped(clean, byte);
    }
  }
  return clean;
}

// The job of one request or of one item of a batch. kFull: too large for a line.
Result<std::unique_ptr<QueuedJob>> MakeJob(const TrackRoute& route, std::string_view connection,
                                           std::string_view method, std::string_view target,
                                           const TrackBody& body, std::size_t line_bytes_max) {
  ASSIGN_OR_RETURN(Job job, MakeTrackCallJob(route, connection, method, target, body));
  if (job.line.size() > line_bytes_max)
    return Fail(ErrorKind::kFull, "is too large for one job (limits.line_bytes)");
  auto queued = std::make_unique<QueuedJob>();
  queued->job = std::move(job);
  return queued;
}

}  // namespace

// What a request's head says.
struct TrackEndpoint::Admission {
  TrackRoute route;
  std::shared_ptr<const Settings> settings;
  const Account* account = nullptr;  // of the settings
  bool has_credentials = false;
};

// A request that is about to become jobs.
struct TrackEndpoint::Call {
  const HttpRequestView& request;
  const TrackRoute& route;
  const TrackBody& body;
  const Settings& settings;
  const Account& account;
};

struct TrackEndpoint::Pending final : Submission {
  using Submission::Submission;
  HttpExchange* exchange = nullptr;
  std::optional<HttpResponse> partial;  // some items of the batch were bad
};

TrackEndpoint::TrackEndpoint(const Endpoints& endpoints, std::size_t line_bytes_max, Metrics& metrics,
                             Submit submit)
    : metrics_(metrics), submit_(std::move(submit)), settings_(MakeSettings(endpoints, line_bytes_max)) {}

std::shared_ptr<const TrackEndpoint::Settings> TrackEndpoint::MakeSettings(const Endpoints& endpoints,
                                                                           std::size_t line_bytes_max) {
  auto settings = std::make_shared<Settings>();
  settings->endpoints = endpoints;
  settings->line_bytes_max = line_bytes_max;
  for (const auto& [name, endpoint] : endpoints) {
    ConnectionConfig by_region = endpoint->config;
    by_region.base_url.reset();
    settings->accounts.push_back({name, endpoint->credentials.site_id + ":" + endpoint->credentials.api_key,
                                  std::string(RegionName(endpoint->config.region)),
                                  by_region.BaseUrl(std::nullopt)});
  }
  return settings;
}

void TrackEndpoint::Configure(const Endpoints& endpoints, std::size_t line_bytes_max) {
  MutexLock lock(mutex_);
  settings_ = MakeSettings(endpoints, line_bytes_max);
}

const TrackEndpoint::Account* TrackEndpoint::FindAccount(const Settings& settings,
                                                         std::string_view credentials) {
  const Account* account = nullptr;
  for (const Account& candidate : settings.accounts) {
    if (SameSecret(credentials, candidate.credentials) && account == nullptr) account = &candidate;
  }
  return account;
}

std::shared_ptr<const TrackEndpoint::Settings> TrackEndpoint::CurrentSettings() {
  MutexLock lock(mutex_);
  return settings_;
}

// The operator may have put new credentials where the config points to. What cannot be read stays as it was.
std::shared_ptr<const TrackEndpoint::Settings> TrackEndpoint::RereadCredentials() {
  std::shared_ptr<const Settings> known;
  {
    MutexLock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now < reread_ + kRereadInterval) return settings_;
    reread_ = now;
    known = settings_;
  }
  Endpoints endpoints = known->endpoints;
  for (auto& [name, endpoint] : endpoints) {
    Result<Credentials> credentials = ReadCredentials(endpoint->config);
    if (credentials)
      endpoint = std::make_shared<const Endpoint>(Endpoint{endpoint->config, std::move(*credentials)});
  }
  std::shared_ptr<const Settings> fresh = MakeSettings(endpoints, known->line_bytes_max);
  MutexLock lock(mutex_);
  if (settings_ == known) settings_ = std::move(fresh);  // a reload meanwhile knows better
  return settings_;
}

HttpResponse TrackEndpoint::TooLarge() {
  return JsonAnswer(413, MetaError("the request is larger than this outbox takes (limits.line_bytes)"));
}
HttpResponse TrackEndpoint::Forbidden() {
  return JsonAnswer(403, MetaError("this user may not produce here (listen.track, users)"));
}
HttpResponse TrackEndpoint::Overloaded() {
  HttpResponse answer = JsonAnswer(503, MetaError("too much is under way; try again"));
  answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

HttpResponse TrackEndpoint::Unavailable(const Error& error) const {
  const Refusal refusal = RefusalOf(error.kind);
  metrics_.Refused(refusal, 1);
  HttpResponse answer = JsonAnswer(503, MetaError(error.message));
  answer.headers.emplace_back("Retry-After", refusal == Refusal::kSpoolFull ? "5" : "1");
  return answer;
}

HttpResponse TrackEndpoint::Stopping() const {
  return Unavailable(StoppingError());
}

HttpResponse TrackEndpoint::Refuse(unsigned status, Refusal refusal, const TrackRoute& route,
                                   const Error& error) const {
  metrics_.Refused(refusal, 1);
  if (!IsSecondVersion(route.operation)) return JsonAnswer(status, MetaError(Sentence(error)));
  return JsonAnswer(
      status, EntityErrors({{std::nullopt, std::string(ReasonOf(error)), error.field, Sentence(error)}}));
}

std::optional<HttpResponse> TrackEndpoint::Admit(const HttpRequestView& request, Admission& admission) {
  if (request.path == "/" && request.method == "GET")
    return HttpResponse{200, kTextType, std::string(kWhatThisIs), {}};
  const Result<TrackRoute> route = FindTrackRoute(request.method, request.path);
  if (!route) {
    HttpResponse answer =
        JsonAnswer(route.error().kind == ErrorKind::kConflict ? 405 : 404, MetaError(route.error().message));
    if (answer.status == 405) answer.headers.emplace_back("Allow", route.error().field);
    return answer;
  }
  admission.route = *route;
  admission.settings = CurrentSettings();
  const Account*& account = admission.account;
  if (const std::optional<std::string> given = BasicCredentials(request)) {
    admission.has_credentials = true;
    account = FindAccount(*admission.settings, *given);
    if (account == nullptr) {
      admission.settings = RereadCredentials();
      account = FindAccount(*admission.settings, *given);
    }
  } else if (IsOpenToAll(route->operation) && !request.Header("Authorization")) {
    for (const Account& candidate : admission.settings->accounts) {
      if (admission.settings->accounts.size() == 1 || candidate.name == kDefaultConnection)
        account = &candidate;
    }
  }
  if (account == nullptr) {
    metrics_.Refused(Refusal::kUnknownConnection, 1);
    return JsonAnswer(401, MetaError("Unauthorized"));
  }
  if (route->operation == TrackOperation::kRegion) {
    return JsonAnswer(200, JsonWriter()
                               .Object()
                               .Key("url")
                               .String(account->base_url)
                               .Key("region")
                               .String(account->region)
                               .EndObject()
                               .Text());
  }
  if (stopping_) return Stopping();
  return std::nullopt;
}

HeadVerdict TrackEndpoint::CheckHead(const HttpRequestView& request) {
  Admission admission;
  HeadVerdict verdict;
  verdict.refusal = Admit(request, admission);
  if (!admission.has_credentials) verdict.body_bytes_max = limits::kOpenBodyBytes;
  return verdict;
}

std::optional<HttpResponse> TrackEndpoint::Handle(const HttpRequestView& request, HttpExchange& exchange) {
  Admission admission;
  if (std::optional<HttpResponse> answer = Admit(request, admission)) return answer;
  const TrackRoute& route = admission.route;
  if (route.operation == TrackOperation::kBatch && request.body.size() > limits::kBatchBytes) {
    return Refuse(
        413, Refusal::kTooLarge, route,
        {ErrorKind::kFull, "is larger than " + std::to_string(limits::kBatchBytes) + " bytes", "batch"});
  }
  const Result<TrackBody> body = TrackBody::Read(request.body);
  if (!body)
    return Refuse(400,
                  body.error().kind == ErrorKind::kInvalid ? Refusal::kInvalidJson : Refusal::kInvalidJob,
                  route, body.error());
  const Call call{request, route, *body, *admission.settings, *admission.account};
  return route.operation == TrackOperation::kBatch ? TakeBatch(call, exchange) : TakeOne(call, exchange);
}

std::optional<HttpResponse> TrackEndpoint::TakeOne(const Call& call, HttpExchange& exchange) {
  auto job = MakeJob(call.route, call.account.name, call.request.method, CleanTarget(call.request.target),
                     call.body, call.settings.line_bytes_max);
  if (!job && job.error().kind == ErrorKind::kFull)
    return Refuse(413, Refusal::kTooLarge, call.route, job.error());
  if (!job) return Refuse(400, Refusal::kInvalidJob, call.route, job.error());
  (*job)->uid = call.request.uid;
  auto pending = std::make_unique<Pending>(*this);
  pending->jobs.push_back(std::move(*job));
  return Hand(std::move(pending), exchange);
}

// Each item is a job by itself. The good ones are kept, all of them or, without room, none: a library would
// send the batch again.
std::optional<HttpResponse> TrackEndpoint::TakeBatch(const Call& call, HttpExchange& exchange) {
  const auto bad = [&](std::string message) {
    return Refuse(400, Refusal::kInvalidJob, call.route,
                  Error{ErrorKind::kInvalid, std::move(message), "batch"});
  };
  const Member* batch = call.body.Find("batch");
  if (batch == nullptr || batch->kind != ValueKind::kArray) return bad("must be an array");
  const std::string array(call.body.Raw(*batch));
  std::vector<Member> items;
  static_cast<void>(
      ScanMembers(array, items));  // the body as a whole was scanned: a part of it is valid JSON
  if (items.empty()) return bad("is required");
  if (items.size() > limits::kTrackBatchItems)
    return bad("has more than " + std::to_string(limits::kTrackBatchItems) + " items");
  const TrackRoute entity{TrackOperation::kEntity, {}, {}, {}};
  auto pending = std::make_unique<Pending>(*this);
  pending->all_or_none = true;
  std::vector<EntityError> errors;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Result<TrackBody> item =
        TrackBody::Read(std::string_view(array).substr(items[i].raw.offset, items[i].raw.length));
    auto job = item ? MakeJob(entity, call.account.name, "POST", "/api/v2/entity", *item,
                              call.settings.line_bytes_max)
                    : Failure(item.error());
    if (job) {
      (*job)->uid = call.request.uid;
      pending->jobs.push_back(std::move(*job));
    } else {
      errors.push_back({i, std::string(ReasonOf(job.error())), job.error().field, Sentence(job.error())});
    }
  }
  if (!errors.empty()) {
    metrics_.Refused(Refusal::kInvalidJob, errors.size());
    pending->partial = JsonAnswer(207, EntityErrors(errors));
    if (pending->jobs.empty()) return std::move(pending->partial);
  }
  return Hand(std::move(pending), exchange);
}

std::optional<HttpResponse> TrackEndpoint::Hand(std::unique_ptr<Pending> pending, HttpExchange& exchange) {
  pending->exchange = &exchange;
  if (!exchange.Defer()) return Stopping();
  submit_(std::move(pending));
  return std::nullopt;
}

void TrackEndpoint::OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) {
  std::vector<std::pair<HttpExchange*, HttpResponse>> answers;
  answers.reserve(submissions.size());
  for (const std::unique_ptr<Submission>& submission : submissions) {
    auto& pending = static_cast<Pending&>(*submission);
    if (pending.refused) {
      answers.emplace_back(pending.exchange, Unavailable(*pending.refused));
      continue;
    }
    HttpResponse answer = pending.partial ? std::move(*pending.partial) : JsonAnswer(200, "{}");
    std::string ids;
    for (std::size_t i = 0; i < std::min(pending.ids.size(), kJobIdsShown); ++i) {
      if (i > 0) ids += ',';
      ids += pending.ids[i].ToText();
    }
    answer.headers.emplace_back("X-Outbox-Job", std::move(ids));
    answers.emplace_back(pending.exchange, std::move(answer));
  }
  HttpExchange::Answer(std::move(answers));
}

}  // namespace outboxd
