#include "daemon/intake/track_endpoint.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ascii.h"
#include "core/encoding.h"
#include "core/job.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/member_values.h"
#include "core/object_scan.h"
#include "core/refusal.h"
#include "core/result.h"
#include "core/track_body.h"
#include "core/track_call.h"
#include "core/track_route.h"
#include "daemon/base/counted_warning.h"
#include "daemon/base/deferred_http_server.h"
#include "daemon/base/environments.h"
#include "daemon/base/http_message.h"
#include "daemon/base/log_limit.h"
#include "daemon/base/metrics.h"
#include "daemon/base/stopping.h"
#include "daemon/base/tcp_socket.h"
#include "daemon/base/web_guard.h"
#include "daemon/clerk/submission.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/intake/lost_answers.h"
#include "daemon/intake/track_accounts.h"
#include "daemon/intake/track_answers.h"

namespace outboxd {
namespace {

using track_answers::EntityError;

constexpr std::string_view kWhatThisIs =
    "outboxd: a durable outbox in front of Customer.io's Track API; point a Customer.io library here\n";

constexpr std::string_view kNiceCredentials = R"({"meta":{"message":"nice credentials."}})";

// Of a request that is told to the log.
constexpr std::size_t kMethodShown = 20;
constexpr std::size_t kPathShown = 200;

std::optional<std::string> BasicCredentials(const HttpRequestView& request) {
  constexpr std::string_view kBasic = "Basic ";
  const std::optional<std::string_view> header = request.Header("Authorization");
  if (!header || !EqualsIgnoringCase(header->substr(0, kBasic.size()), kBasic)) return std::nullopt;
  std::string_view token = header->substr(kBasic.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  while (token.ends_with(' ')) token.remove_suffix(1);
  return Base64Decode(token);
}

// What no request line may hold is encoded, in `clean`; everything else stays as it came.
std::string_view CleanTarget(std::string_view target, std::string& clean) {
  if (AreTargetBytes(target)) return target;
  clean.reserve(target.size());
  for (const char byte : target) {
    if (IsTargetByte(byte)) {
      clean += byte;
    } else {
      AppendPercentEscape(clean, byte);
    }
  }
  return clean;
}

// The job of one request or of one item of a batch. kFull: too large for a line.
Result<std::unique_ptr<QueuedJob>> MakeJob(const TrackRoute& route, std::string_view connection,
                                           std::string_view method, std::string_view target,
                                           const TrackBody& body, CallCredentials credentials,
                                           std::size_t line_bytes_max, std::string_view content_type = {}) {
  Result<Job> job = MakeTrackCallJob(route, connection, method, target, body, credentials, content_type);
  if (!job) return Failure(std::move(job).error());
  if (job->line.size() > line_bytes_max)
    return Fail(ErrorKind::kFull, "is too large for one job (limits.line_bytes)");
  auto queued = std::make_unique<QueuedJob>();
  queued->job = std::move(*job);
  return queued;
}

// Of a request without a body.
std::string_view ContentTypeAlone(const HttpRequestView& request) {
  return request.body.empty() ? request.Header("Content-Type").value_or(std::string_view())
                              : std::string_view();
}

bool IsEncoded(const HttpRequestView& request) {
  const std::optional<std::string_view> encoding = request.Header("Content-Encoding");
  return encoding && !encoding->empty() && !EqualsIgnoringCase(*encoding, "identity");
}

// "404 POST /v1/send/email"
std::string StrayRequest(unsigned status, const HttpRequestView& request) {
  std::string text = std::to_string(status);
  text.append(" ").append(request.method.substr(0, kMethodShown));
  return text.append(" ").append(request.path.substr(0, kPathShown));
}

// They may be those that the request has: not to be called wrong.
Error CredentialsAwaited() {
  return {ErrorKind::kBusy, "the credentials of a connection are not there yet", {}};
}

}  // namespace

// What a request's head says.
struct TrackEndpoint::Admission {
  TrackRoute route;
  std::shared_ptr<const TrackAccount> account;
  bool has_credentials = false;
  bool must_wait = false;  // nobody's credentials, and those of a connection are not there yet
};

// A request that is about to become jobs.
struct TrackEndpoint::Call {
  const HttpRequestView& request;
  const TrackRoute& route;
  const TrackBody& body;
  const TrackAccount& account;
  CallCredentials credentials;
  std::size_t line_bytes_max;
};

struct TrackEndpoint::Pending final : Submission {
  using Submission::Submission;
  HttpExchange* exchange = nullptr;
  bool is_form = false;                 // which the API answers without a body
  std::optional<HttpResponse> partial;  // some items of the batch were bad
};

TrackEndpoint::TrackEndpoint(const Endpoints& endpoints, const Environments& environments,
                             std::size_t line_bytes_max, Metrics& metrics, Submit submit)
    : environments_(environments),
      metrics_(metrics),
      submit_(std::move(submit)),
      accounts_(endpoints),
      line_bytes_max_(line_bytes_max) {}

void TrackEndpoint::Configure(const Endpoints& endpoints, std::size_t line_bytes_max) {
  accounts_.Configure(endpoints);
  line_bytes_max_ = line_bytes_max;
}

HttpResponse TrackEndpoint::RegionAnswer(const TrackAccount& account) const {
  JsonWriter writer;
  writer.Object().Key("url").String(account.base_url).Key("region").String(account.region);
  if (const std::optional<std::int64_t> id = environments_.Of(account.name))
    writer.Key("environment_id").Int(*id);
  return track_answers::Json(200, writer.EndObject().Text());
}

HttpResponse TrackEndpoint::Unavailable(const Error& error) const {
  const Refusal refusal = RefusalOf(error.kind);
  metrics_.Refused(refusal, 1);
  return track_answers::Unavailable(refusal, error.message);
}

HttpResponse TrackEndpoint::Stopping() const {
  return Unavailable(StoppingError());
}

HttpResponse TrackEndpoint::Refuse(unsigned status, Refusal refusal, const TrackRoute& route,
                                   const Error& error) const {
  metrics_.Refused(refusal, 1);
  return track_answers::Refused(status, route, error);
}

HttpResponse TrackEndpoint::TurnAway(unsigned status, Refusal refusal, std::string_view message) const {
  metrics_.Refused(refusal, 1);
  return track_answers::MetaError(status, message);
}

void TrackEndpoint::CountWrongCredentials(const HttpRequestView& request) {
  metrics_.CredentialsRefused();
  wrong_credentials_.Happened(request.uid ? "uid " + std::to_string(*request.uid)
                                          : PeerAddress(request.socket));
}

void TrackEndpoint::Tick(LogLimit::Time now) {
  wrong_credentials_.Tick(now);
  stray_requests_.Tick(now);
  lost_answers_.Forget(now);
}

// Whose credentials they are, and whether a browser may be behind the request.
std::optional<HttpResponse> TrackEndpoint::Identify(const HttpRequestView& request, const TrackDoor& door,
                                                    Admission& admission) {
  const bool is_tcp = door.kind != TrackDoor::Kind::kUnix;
  if (is_tcp && IsFromForeignPage(request, door.kind == TrackDoor::Kind::kHttps ? "https" : "http"))
    return TurnAway(403, Refusal::kForbidden, "web pages may not ask here");
  if (const std::optional<std::string> given = BasicCredentials(request)) {
    admission.account = accounts_.Find(*given);
    admission.has_credentials = true;
    admission.must_wait = !admission.account && accounts_.AreSomeAwaited();
    if (!admission.account && !admission.must_wait) CountWrongCredentials(request);
  }
  if (is_tcp && !admission.account && !IsForThisHost(request, door.allowed_hosts))
    return TurnAway(421, Refusal::kForbidden, "this host has no such name (listen.track, allowed_hosts)");
  return std::nullopt;
}

std::optional<HttpResponse> TrackEndpoint::Admit(const HttpRequestView& request, const TrackDoor& door,
                                                 Admission& admission) {
  if (std::optional<HttpResponse> refusal = Identify(request, door, admission)) return refusal;
  if (request.path == "/" && request.method == "GET")
    return HttpResponse{200, kTextType, std::string(kWhatThisIs), {}};
  const Result<TrackRoute> route = FindTrackRoute(request.method, request.path);
  if (!route) return NoSuchRequest(request, route.error());
  admission.route = *route;
  if (door.open_paths && route->access == TrackAccess::kOpen && !request.Header("Authorization"))
    admission.account = accounts_.WithoutCredentials();
  if (admission.must_wait) return Unavailable(CredentialsAwaited());
  if (!admission.account) return TurnAway(401, Refusal::kUnknownConnection, "Unauthorized");
  if (route->kind == TrackKind::kRegion) return RegionAnswer(*admission.account);
  if (route->kind == TrackKind::kCredentials) return track_answers::Json(200, std::string(kNiceCredentials));
  return IsEncoded(request) ? std::optional(EncodedBody(*route)) : std::nullopt;
}

HttpResponse TrackEndpoint::EncodedBody(const TrackRoute& route) const {
  HttpResponse answer = Refuse(415, Refusal::kInvalidJob, route,
                               {ErrorKind::kInvalid, "has a Content-Encoding; send its body as it is", {}});
  answer.headers.emplace_back("Accept-Encoding", "identity");
  return answer;
}

HttpResponse TrackEndpoint::NoSuchRequest(const HttpRequestView& request, const Error& error) {
  const bool is_method = error.kind == ErrorKind::kConflict;
  const unsigned status = is_method ? 405 : 404;
  stray_requests_.Happened(StrayRequest(status, request));
  HttpResponse answer = TurnAway(status, Refusal::kInvalidJob, error.message);
  if (is_method) answer.headers.emplace_back("Allow", error.field);
  return answer;
}

HeadVerdict TrackEndpoint::CheckHead(const HttpRequestView& request, const TrackDoor& door) {
  Admission admission;
  HeadVerdict verdict;
  verdict.refusal = Admit(request, door, admission);
  if (!admission.has_credentials) verdict.body_bytes_max = limits::kOpenBodyBytes;
  return verdict;
}

HttpResponse TrackEndpoint::TooLarge(const HttpRequestView& request) {
  stray_requests_.Happened(StrayRequest(413, request));
  const TrackRoute route = FindTrackRoute(request.method, request.path).value_or(TrackRoute());
  return Refuse(413, Refusal::kTooLarge, route,
                {ErrorKind::kFull, "is larger than this outbox takes (limits.line_bytes)", {}});
}

std::optional<HttpResponse> TrackEndpoint::Handle(const HttpRequestView& request, HttpExchange& exchange,
                                                  const TrackDoor& door) {
  Admission admission;
  std::optional<HttpResponse> answer = Admit(request, door, admission);
  if (admission.account && admission.has_credentials) exchange.Trust();
  if (answer) return answer;
  if (lost_answers_.HasAny() && admission.has_credentials && IsRepeat(request)) {
    if (answer = lost_answers_.Take(admission.account->name, request, std::chrono::steady_clock::now());
        answer)
      return answer;
  }
  const TrackRoute& route = admission.route;
  if (route.kind == TrackKind::kBatch && request.body.size() > limits::kBatchBytes) {
    return Refuse(
        413, Refusal::kTooLarge, route,
        {ErrorKind::kFull, "is larger than " + std::to_string(limits::kBatchBytes) + " bytes", "batch"});
  }
  const Result<TrackBody> body = TrackBody::Read(request.body);
  if (!body)
    return Refuse(400,
                  body.error().kind == ErrorKind::kInvalid ? Refusal::kInvalidJson : Refusal::kInvalidJob,
                  route, body.error());
  const auto credentials =
      admission.has_credentials ? CallCredentials::kOfConnection : CallCredentials::kNone;
  const Call call{request, route, *body, *admission.account, credentials, line_bytes_max_};
  return route.kind == TrackKind::kBatch ? TakeBatch(call, exchange) : TakeOne(call, exchange);
}

void TrackEndpoint::Lost(const HttpRequestView& request, HttpResponse answer) {
  if (answer.status != 200 && answer.status != 204) return;
  const std::optional<std::string> credentials = BasicCredentials(request);
  if (!credentials) return;
  if (const auto account = accounts_.Find(*credentials))
    lost_answers_.Keep(account->name, request, std::move(answer), std::chrono::steady_clock::now());
}

std::optional<HttpResponse> TrackEndpoint::TakeOne(const Call& call, HttpExchange& exchange) {
  std::string clean;
  auto job =
      MakeJob(call.route, call.account.name, call.request.method, CleanTarget(call.request.target, clean),
              call.body, call.credentials, call.line_bytes_max, ContentTypeAlone(call.request));
  if (!job && job.error().kind == ErrorKind::kFull)
    return Refuse(413, Refusal::kTooLarge, call.route, job.error());
  if (!job) return Refuse(400, Refusal::kInvalidJob, call.route, job.error());
  (*job)->uid = call.request.uid;
  auto pending = std::make_unique<Pending>(*this);
  pending->jobs.push_back(std::move(*job));
  pending->is_form = call.route.type == JobType::kForm;
  return Hand(std::move(pending), exchange);
}

// Each item is a job by itself. The good ones are kept, all of them or, without room, none: a library would
// send the batch again.
std::optional<HttpResponse> TrackEndpoint::TakeBatch(const Call& call, HttpExchange& exchange) {
  const auto bad = [&](std::string message, ErrorKind kind = ErrorKind::kInvalid) {
    return Refuse(400, Refusal::kInvalidJob, call.route, Error{kind, std::move(message), "batch"});
  };
  const Member* batch = call.body.Find("batch");
  if (batch == nullptr || batch->kind != ValueKind::kArray) return bad("must be an array");
  const std::string array(call.body.Raw(*batch));
  const std::vector<Member> items = members::Inside(array);
  if (items.empty()) return bad("is required", ErrorKind::kMissing);
  if (items.size() > limits::kTrackBatchItems)
    return bad("has more than " + std::to_string(limits::kTrackBatchItems) + " items");
  const TrackRoute entity = EntityRoute();
  auto pending = std::make_unique<Pending>(*this);
  pending->all_or_none = true;
  std::vector<EntityError> errors;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Result<TrackBody> item =
        TrackBody::Read(std::string_view(array).substr(items[i].raw.offset, items[i].raw.length));
    auto job = item ? MakeJob(entity, call.account.name, "POST", "/api/v2/entity", *item, call.credentials,
                              call.line_bytes_max)
                    : Failure(item.error());
    if (job) {
      (*job)->uid = call.request.uid;
      pending->jobs.push_back(std::move(*job));
    } else {
      errors.push_back(track_answers::EntityErrorOf(job.error(), i));
    }
  }
  if (!errors.empty()) {
    metrics_.Refused(Refusal::kInvalidJob, errors.size());
    pending->partial = track_answers::EntityErrors(207, errors);
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
    HttpResponse answer = pending.partial   ? std::move(*pending.partial)
                          : pending.is_form ? track_answers::Json(204, {})
                                            : track_answers::Json(200, "{}");
    answers.emplace_back(pending.exchange, track_answers::Stored(std::move(answer), pending.ids));
  }
  HttpExchange::Answer(std::move(answers));
}

}  // namespace outboxd
