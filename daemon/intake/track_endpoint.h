// daemon/intake/track_endpoint.h — the Track-compatible endpoint: a request as Customer.io's own libraries
// send it → jobs → the API's answer (docs/libraries.md).
//
// The credentials of a request select its connection; when they are nobody's, their files are read again, at
// most once a second. The answer is given when the jobs are on stable storage: 200 and {}, with their ids in
// X-Outbox-Job. Errors have the shape that the API's version gives them; 503 has a Retry-After that every
// library can wait for.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/refusal.h"
#include "core/track_route.h"
#include "daemon/base/http_server.h"
#include "daemon/base/metrics.h"
#include "daemon/base/mutex.h"
#include "daemon/clerk/submission.h"
#include "daemon/delivery/dispatcher.h"

namespace outboxd {

class TrackEndpoint final : public SubmissionOrigin {
 public:
  // Called on the servers' threads; may wait.
  using Submit = std::function<void(std::unique_ptr<Submission>)>;

  TrackEndpoint(const Endpoints& endpoints, std::size_t line_bytes_max, Metrics& metrics, Submit submit);

  // Any thread.
  void Configure(const Endpoints& endpoints, std::size_t line_bytes_max);
  // Every further request is answered 503.
  void StopAccepting() { stopping_ = true; }
  // Refuses what Handle() would refuse whatever the body; without credentials the body has to be a short one.
  HeadVerdict CheckHead(const HttpRequestView& request);
  // A HttpServer::DeferredHandler.
  std::optional<HttpResponse> Handle(const HttpRequestView& request, HttpExchange& exchange);
  // On the clerk's thread.
  void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) override;

  // What HttpServer answers by itself.
  static HttpResponse TooLarge();
  static HttpResponse Overloaded();
  static HttpResponse Forbidden();

 private:
  struct Account {
    std::string name;
    std::string credentials;  // "site_id:api_key"
    std::string region;
    std::string base_url;
  };
  struct Settings {
    Endpoints endpoints;
    std::vector<Account> accounts;
    std::size_t line_bytes_max = 0;
  };
  struct Admission;
  struct Call;
  struct Pending;

  static std::shared_ptr<const Settings> MakeSettings(const Endpoints& endpoints, std::size_t line_bytes_max);
  static const Account* FindAccount(const Settings& settings, std::string_view credentials);
  std::shared_ptr<const Settings> CurrentSettings();
  std::shared_ptr<const Settings> RereadCredentials();
  std::optional<HttpResponse> Admit(const HttpRequestView& request, Admission& admission);
  HttpResponse Refuse(unsigned status, Refusal refusal, const TrackRoute& route, const Error& error) const;
  HttpResponse Unavailable(const Error& error) const;
  HttpResponse Stopping() const;
  std::optional<HttpResponse> TakeOne(const Call& call, HttpExchange& exchange);
  std::optional<HttpResponse> TakeBatch(const Call& call, HttpExchange& exchange);
  std::optional<HttpResponse> Hand(std::unique_ptr<Pending> pending, HttpExchange& exchange);

  Metrics& metrics_;
  Submit submit_;
  Mutex mutex_;
  std::shared_ptr<const Settings> settings_ GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point reread_ GUARDED_BY(mutex_);
  std::atomic<bool> stopping_{false};
};

}  // namespace outboxd
