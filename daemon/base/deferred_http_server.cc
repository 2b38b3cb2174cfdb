#include "daemon/base/deferred_http_server.h"

#include <poll.h>
#include <sys/poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/result.h"
#include "daemon/base/http_message.h"
#include "daemon/base/mhd_connections.h"
#include "daemon/base/mhd_daemon.h"
#include "daemon/base/mhd_request.h"
#include "daemon/base/mutex.h"

namespace outboxd {
namespace {

constexpr std::size_t kSmallBodyBytes = 4096;
// Of the room for bodies, what small ones may take before their heads are looked at too.
constexpr std::size_t kUncheckedPart = 4;
// How long a stop waits until deferred answers are sent.
constexpr auto kLastAnswerPatience = std::chrono::seconds(2);

// How long a stop waits for requests that have begun, or whose client has just connected: on a busy host a
// handshake takes its time, and what is cut off is a failed call of a library.
constexpr auto kLastRequestPatience = std::chrono::seconds(3);
// As long as something comes from the client.
constexpr auto kLastRequestSilence = std::chrono::seconds(1);
constexpr auto kLastRequestPoll = std::chrono::milliseconds(5);

// No client gives up sooner.
constexpr auto kLongWait = std::chrono::milliseconds(100);

struct Exchange;

// The answers that are to come.
class Deferrals {
 public:
  // False: the server ends, nothing is deferred any more.
  bool Add() EXCLUDES(mutex_);
  // Of this server; one at least.
  void Answered(std::span<Exchange* const> exchanges) EXCLUDES(mutex_);
  // On the server's thread.
  void WakeAnswered() EXCLUDES(mutex_);
  void Sent() EXCLUDES(mutex_);
  // Everyone who deferred an answer gives it; then a moment for the answers to leave.
  void End() EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  Condition changed_;
  bool ends_ GUARDED_BY(mutex_) = false;
  // Until their connections are woken: libmicrohttpd aborts if one sleeps when it stops.
  std::size_t asleep_ GUARDED_BY(mutex_) = 0;
  std::size_t unsent_ GUARDED_BY(mutex_) = 0;
  // Their connections still sleep but for the first one's, which wakes the server's thread to wake the
  // others: a commit answers many, and each waking from another thread costs a system call.
  std::vector<Exchange*> answered_ GUARDED_BY(mutex_);
  // Whether there are any. Written under the lock: most answers of a commit are sent when there are none.
  std::atomic<bool> has_answered_{false};
};

struct Exchange final : MhdRequest, HttpExchange {
  using MhdRequest::MhdRequest;

  MHD_Connection* connection = nullptr;
  const char* method = "";  // libmicrohttpd's
  Deferrals* deferrals = nullptr;
  std::optional<HttpResponse> head_refusal;
  std::size_t charged_bytes = 0;    // of the server's bodies
  std::size_t unchecked_bytes = 0;  // announced, of a body whose head was not looked at
  bool is_deferred = false;
  std::optional<HttpResponse> answer;  // of a deferred one
};

bool Deferrals::Add() {
  MutexLock lock(mutex_);
  if (ends_) return false;
  ++asleep_;
  ++unsent_;
  return true;
}

void Deferrals::Answered(std::span<Exchange* const> exchanges) {
  MutexLock lock(mutex_);  // until the end: without one asleep the server may end
  const bool is_first = answered_.empty();
  answered_.insert(answered_.end(), exchanges.begin(), exchanges.end());
  has_answered_ = true;
  if (!is_first) return;
  MHD_resume_connection(answered_.front()->connection);
  --asleep_;
  changed_.NotifyAll();
}

void Deferrals::WakeAnswered() {
  if (!has_answered_) return;
  std::vector<Exchange*> waking;
  {
    MutexLock lock(mutex_);
    waking.swap(answered_);
    has_answered_ = false;
  }
  if (waking.size() < 2) return;
  for (std::size_t i = 1; i < waking.size(); ++i) MHD_resume_connection(waking[i]->connection);
  MutexLock lock(mutex_);
  asleep_ -= waking.size() - 1;
  changed_.NotifyAll();
}

void Deferrals::Sent() {
  MutexLock lock(mutex_);
  --unsent_;
  changed_.NotifyAll();
}

void Deferrals::End() {
  MutexLock lock(mutex_);
  ends_ = true;
  while (asleep_ > 0) changed_.Wait(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + kLastAnswerPatience;
  while (unsent_ > 0 && changed_.WaitUntil(mutex_, deadline)) {
  }
}

}  // namespace

class DeferredHttpServer::Impl {
 public:
  Impl(DeferredHttpServerOptions options, Handler handler)
      : options_(std::move(options)),
        handler_(std::move(handler)),
        small_body_bytes_(
            std::min<std::size_t>(kSmallBodyBytes, options_.bodies_bytes_max / options_.connections_max)),
        daemon_(options_.thread_name) {
    CloseAfter(options_.too_large);
    CloseAfter(options_.malformed);
    CloseAfter(options_.overloaded);
  }
  ~Impl() {
    daemon_.Retire();
    AwaitRequests();
    deferrals_.End();
    daemon_.Stop();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> Start(int listening) {
    return daemon_.Start(
        listening, options_, MhdDaemon::Threads::kOne,
        {.self = this, .on_first_line = &OnFirstLine, .on_request = &OnRequest, .on_end = &OnEnd});
  }
  void EndWithAnswers() { daemon_.EndWithAnswers(); }
  std::size_t ConnectionCount() const { return daemon_.connections().Count(); }
  void Retire() { daemon_.Retire(); }
  void CloseOverdue() { daemon_.CloseOverdue(); }

 private:
  void AwaitRequests() const {
    const auto deadline = std::chrono::steady_clock::now() + kLastRequestPatience;
    while (daemon_.connections().CountBusy(kLastRequestSilence) > 0 &&
           std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(kLastRequestPoll);
  }

  static void* OnFirstLine(void*, const char* target, MHD_Connection* connection) {
    return new Exchange(target, MhdClient::Of(connection));
  }

  static void OnEnd(void* self, MHD_Connection* connection, void** request, MHD_RequestTerminationCode how) {
    const std::unique_ptr<Exchange> exchange(static_cast<Exchange*>(*request));
    *request = nullptr;
    if (!exchange) return;
    exchange->client().Enter(MhdClient::Turn::kIdle);
    auto& server = *static_cast<Impl*>(self);
    server.body_bytes_ -= exchange->charged_bytes;
    server.unchecked_bytes_ -= exchange->unchecked_bytes;
    if (!exchange->is_deferred) return;
    // It may have been the first, and never been sent.
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK) server.deferrals_.WakeAnswered();
    server.deferrals_.Sent();
    if (server.options_.on_lost && exchange->answer && server.IsLost(*exchange, how))
      server.options_.on_lost(exchange->View(connection, exchange->method), *std::move(exchange->answer));
  }

  // The kernel takes the first bytes for a TCP client that has closed. By then it has said so; asked is only
  // where the client had reason to go.
  static bool IsLost(const Exchange& exchange, MHD_RequestTerminationCode how) {
    if (how == MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN) return false;
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK) return true;
    if (std::chrono::steady_clock::now() - exchange.began() < kLongWait) return false;
    pollfd state{exchange.client().socket(), 0, 0};
    return poll(&state, 1, 0) == 1 && (state.revents & (POLLERR | POLLHUP)) != 0;
  }

  // Called once when the head is there, then for each piece of the body, then once more with none; and again
  // when a deferred answer came.
  static MHD_Result OnRequest(void* self, MHD_Connection* connection, const char* url, const char* method,
                              const char* version, const char* piece, std::size_t* piece_bytes,
                              void** request) {
    auto* exchange = static_cast<Exchange*>(*request);
    if (exchange == nullptr) return MHD_NO;
    auto& server = *static_cast<Impl*>(self);
    if (exchange->answer) {
      server.deferrals_.WakeAnswered();
      return server.daemon_.Send(connection, *exchange->answer);
    }
    if (!exchange->HasBegun()) return server.Begin(connection, {url, method, version}, *exchange);
    if (*piece_bytes > 0) {
      const std::string_view bytes(piece, std::exchange(*piece_bytes, 0));
      return server.Collect(*exchange, bytes) ? MHD_YES : MHD_NO;
    }
    return server.Answer(connection, {url, method, version}, *exchange);
  }

  struct FirstLine {
    const char* url;
    const char* method;
    const char* version;
  };

  MHD_Result Begin(MHD_Connection* connection, const FirstLine& line, Exchange& exchange) {
    exchange.connection = connection;
    exchange.method = line.method;
    exchange.deferrals = &deferrals_;
    daemon_.NameThread();
    if (const HttpResponse* answer = exchange.Begin(connection, options_))
      return daemon_.Send(connection, *answer);
    const std::uint64_t announced = exchange.announced();
    if (options_.check_head) {
      if (announced > small_body_bytes_ || exchange.is_chunked() ||
          unchecked_bytes_ + announced > options_.bodies_bytes_max / kUncheckedPart) {
        CheckHead(connection, line, exchange);
      } else {
        exchange.unchecked_bytes = static_cast<std::size_t>(announced);
        unchecked_bytes_ += exchange.unchecked_bytes;
      }
    }
    exchange.CheckAnnounced(options_);
    return exchange.IsRefusedAtOnce(connection, options_) ? SendRefusal(connection, line, exchange) : MHD_YES;
  }

  void CheckHead(MHD_Connection* connection, const FirstLine& line, Exchange& exchange) const {
    const HttpRequestView view = exchange.View(connection, line.method);
    if (!exchange.IsUnambiguous(view, line.url, line.version)) return exchange.Refuse(&options_.malformed);
    HeadVerdict verdict = options_.check_head(view);
    exchange.Limit(verdict.body_bytes_max);
    if (!verdict.refusal) return;
    CloseAfter(*verdict.refusal);
    exchange.head_refusal = std::move(verdict.refusal);
    exchange.Refuse(&*exchange.head_refusal);
  }

  bool Collect(Exchange& exchange, std::string_view bytes) {
    if (!exchange.IsInTime(options_)) return false;
    if (exchange.refusal() == nullptr) exchange.Refuse(Take(exchange, bytes));
    if (exchange.refusal() == nullptr) return true;
    body_bytes_ -= std::exchange(exchange.charged_bytes, 0);
    return exchange.Discard(bytes, options_);
  }

  // The answer when there is no room for them.
  const HttpResponse* Take(Exchange& exchange, std::string_view bytes) {
    if (!exchange.Fits(bytes)) return &options_.too_large;
    exchange.charged_bytes += bytes.size();
    body_bytes_ += bytes.size();
    if (body_bytes_ > options_.bodies_bytes_max) return &options_.overloaded;
    exchange.Append(bytes);
    return nullptr;
  }

  MHD_Result SendRefusal(MHD_Connection* connection, const FirstLine& line, const Exchange& exchange) const {
    if (exchange.refusal() != &options_.too_large || !options_.refuse_too_large)
      return daemon_.Send(connection, *exchange.refusal());
    HttpResponse answer = options_.refuse_too_large(exchange.View(connection, line.method));
    CloseAfter(answer);
    return daemon_.Send(connection, answer);
  }

  MHD_Result Answer(MHD_Connection* connection, const FirstLine& line, Exchange& exchange) {
    unchecked_bytes_ -= std::exchange(exchange.unchecked_bytes, 0);
    if (exchange.refusal() != nullptr) return SendRefusal(connection, line, exchange);
    const HttpRequestView view = exchange.View(connection, line.method);
    if (!exchange.IsUnambiguous(view, line.url, line.version))
      return daemon_.Send(connection, options_.malformed);
    exchange.client().Enter(MhdClient::Turn::kOurs);
    const std::optional<HttpResponse> answer = handler_(view, exchange);
    return answer ? daemon_.Send(connection, *answer) : MHD_YES;
  }

  DeferredHttpServerOptions options_;
  const Handler handler_;
  const std::size_t small_body_bytes_;  // such bodies of all connections together are within bodies_bytes_max
  // Of all bodies, and of those that are not there yet and whose heads were not looked at. The server's
  // thread's.
  std::size_t body_bytes_ = 0;
  std::size_t unchecked_bytes_ = 0;
  Deferrals deferrals_;
  MhdDaemon daemon_;
};

bool HttpExchange::Defer() {
  auto& exchange = static_cast<Exchange&>(*this);
  exchange.is_deferred = exchange.deferrals->Add();
  if (exchange.is_deferred) MHD_suspend_connection(exchange.connection);
  return exchange.is_deferred;
}

void HttpExchange::Trust() {
  static_cast<Exchange&>(*this).client().Trust();
}

void HttpExchange::Answer(std::vector<std::pair<HttpExchange*, HttpResponse>> answers) {
  std::vector<Exchange*> of_one_server;
  for (auto& [http_exchange, response] : answers) {
    auto& exchange = static_cast<Exchange&>(*http_exchange);
    exchange.answer = std::move(response);
    if (!of_one_server.empty() && of_one_server.front()->deferrals != exchange.deferrals) {
      of_one_server.front()->deferrals->Answered(of_one_server);
      of_one_server.clear();
    }
    of_one_server.push_back(&exchange);
  }
  if (!of_one_server.empty()) of_one_server.front()->deferrals->Answered(of_one_server);
}

DeferredHttpServer::DeferredHttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DeferredHttpServer::~DeferredHttpServer() = default;
void DeferredHttpServer::EndWithAnswers() {
  impl_->EndWithAnswers();
}
std::size_t DeferredHttpServer::ConnectionCount() const {
  return impl_->ConnectionCount();
}
void DeferredHttpServer::Retire() {
  impl_->Retire();
}
void DeferredHttpServer::CloseOverdue() {
  impl_->CloseOverdue();
}

Result<std::unique_ptr<DeferredHttpServer>> DeferredHttpServer::Start(int listening,
                                                                      DeferredHttpServerOptions options,
                                                                      Handler handler) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler));
  RETURN_IF_ERROR(impl->Start(listening));
  return std::unique_ptr<DeferredHttpServer>(new DeferredHttpServer(std::move(impl)));
}

}  // namespace outboxd
