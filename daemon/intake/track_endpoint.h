// daemon/intake/track_endpoint.h — the Track-compatible endpoint: a request as Customer.io's own libraries
// send it → jobs → the API's answer (docs/libraries.md).
//
// The credentials of a request select its connection. The answer is given when the jobs are on stable
// storage: 200 and {}, with their ids in X-Outbox-Job. By TCP no web page is answered, and only who has
// credentials may call this host by any name.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/refusal.h"
#include "core/result.h"
#include "core/track_route.h"
#include "daemon/base/counted_warning.h"
#include "daemon/base/deferred_http_server.h"
#include "daemon/base/environments.h"
#include "daemon/base/http_message.h"
#include "daemon/base/log_limit.h"
#include "daemon/base/metrics.h"
#include "daemon/clerk/submission.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/intake/lost_answers.h"
#include "daemon/intake/track_accounts.h"

namespace outboxd {

// The socket that a request came by.
struct TrackDoor {
  enum class Kind : std::uint8_t { kUnix, kHttp, kHttps };  // the latter two by TCP, where browsers come
  Kind kind = Kind::kUnix;
  std::vector<std::string> allowed_hosts;
  bool open_paths = false;
};

class TrackEndpoint final : public SubmissionOrigin {
 public:
  // `environments` and `metrics` outlive it.
  TrackEndpoint(const Endpoints& endpoints, const Environments& environments, std::size_t line_bytes_max,
                Metrics& metrics, Submit submit);

  // Any thread.
  void Configure(const Endpoints& endpoints, std::size_t line_bytes_max);
  // About once a second: tells the log of what was refused since it was told last.
  void Tick(LogLimit::Time now);
  // Refuses what Handle() would refuse whatever the body; without credentials the body has to be a short one.
  HeadVerdict CheckHead(const HttpRequestView& request, const TrackDoor& door);
  // The answer to a body that is larger than a line may be.
  HttpResponse TooLarge(const HttpRequestView& request);
  // As a DeferredHttpServer::Handler.
  std::optional<HttpResponse> Handle(const HttpRequestView& request, HttpExchange& exchange,
                                     const TrackDoor& door);
  // The answer to a request that was taken could not be given: kept for its repeat.
  void Lost(const HttpRequestView& request, HttpResponse answer);
  // On the clerk's thread.
  void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) override;

 private:
  struct Admission;
  struct Call;
  struct Pending;

  std::optional<HttpResponse> Admit(const HttpRequestView& request, const TrackDoor& door,
                                    Admission& admission);
  std::optional<HttpResponse> Identify(const HttpRequestView& request, const TrackDoor& door,
                                       Admission& admission);
  void CountWrongCredentials(const HttpRequestView& request);
  HttpResponse RegionAnswer(const TrackAccount& account) const;
  HttpResponse EncodedBody(const TrackRoute& route) const;
  HttpResponse NoSuchRequest(const HttpRequestView& request, const Error& error);
  HttpResponse TurnAway(unsigned status, Refusal refusal, std::string_view message) const;
  HttpResponse Refuse(unsigned status, Refusal refusal, const TrackRoute& route, const Error& error) const;
  HttpResponse Unavailable(const Error& error) const;
  HttpResponse Stopping() const;
  std::optional<HttpResponse> TakeOne(const Call& call, HttpExchange& exchange);
  std::optional<HttpResponse> TakeBatch(const Call& call, HttpExchange& exchange);
  std::optional<HttpResponse> Hand(std::unique_ptr<Pending> pending, HttpExchange& exchange);

  const Environments& environments_;
  Metrics& metrics_;
  const Submit submit_;
  TrackAccounts accounts_;
  LostAnswers lost_answers_;
  std::atomic<std::size_t> line_bytes_max_;
  CountedWarning wrong_credentials_{"wrong credentials", "last_from"};
  // That were no jobs: another API's, or far too large.
  CountedWarning stray_requests_{"requests refused", "last"};
};

}  // namespace outboxd
