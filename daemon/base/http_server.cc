#include "daemon/base/http_server.h"

#include <microhttpd.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>

#include "config/system_user.h"
#include "core/ascii.h"
#include "daemon/base/mutex.h"

namespace outboxd {

namespace {

constexpr std::size_t kHeadersUsual = 8;
constexpr std::size_t kBodyReserve = 4096;  // a body that is only announced takes no more
constexpr auto kLastAnswerPatience =
    std::chrono::seconds(2);  // how long a stop waits until deferred answers are sent

struct Exchange;

// What the requests of a deferred server share.
struct Load {
  Mutex mutex;
  Condition changed;
  bool ends GUARDED_BY(mutex) = false;  // defers nothing any more
  std::size_t asleep GUARDED_BY(mutex) =
      0;  // deferred, until its connection is woken: libmicrohttpd aborts if one sleeps when it stops
  std::size_t unsent GUARDED_BY(mutex) = 0;  // deferred, until the answer is sent
  // Answered, and their connections still asleep but for the first one's, which wakes the server's thread to
  // wake the others: a commit answers many, and each waking from another thread costs a system call.
  std::vector<Exchange*> answered GUARDED_BY(mutex);
  std::atomic<std::size_t> body_bytes{0};

  bool Add() {
    MutexLock lock(mutex);
    if (ends) return false;
    ++asleep;
    ++unsent;
    return true;
  }
  void Sent() {
    MutexLock lock(mutex);
    --unsent;
    changed.NotifyAll();
  }
  // Of this server; one at least.
  void Answered(std::span<Exchange* const> exchanges);
  // On the server's thread.
  void WakeAnswered();
};

// One request on its way in. Born when its first line was read, gone when the answer was sent or the
// connection broke.
struct Exchange : HttpExchange {
  std::string target;
  std::string body;
  bool started = false;
  std::chrono::steady_clock::time_point began;
  HeadVerdict verdict;
  const HttpResponse* refusal = nullptr;  // the answer that is known before the body is there
  std::size_t discarded_bytes = 0;
  std::size_t charged_bytes = 0;  // in load->body_bytes
  MHD_Connection* connection = nullptr;
  Load* load = nullptr;
  bool deferred = false;
  std::optional<HttpResponse> answer;  // of a deferred one

  bool Charge(std::size_t bytes, std::size_t bytes_max) {
    charged_bytes += bytes;
    return load->body_bytes.fetch_add(bytes) + bytes <= bytes_max;
  }
  void DropBody() {
    body = {};
    load->body_bytes -= std::exchange(charged_bytes, 0);
  }
};

void Load::Answered(std::span<Exchange* const> exchanges) {
  MutexLock lock(mutex);  // until the end: without one asleep the server may end
  const bool is_first = answered.empty();
  answered.insert(answered.end(), exchanges.begin(), exchanges.end());
  if (!is_first) return;
  MHD_resume_connection(answered.front()->connection);
  --asleep;
  changed.NotifyAll();
}

void Load::WakeAnswered() {
  std::vector<Exchange*> waking;
  {
    MutexLock lock(mutex);
    waking.swap(answered);
  }
  if (waking.size() < 2) return;
  for (std::size_t i = 1; i < waking.size(); ++i) MHD_resume_connection(waking[i]->connection);
  MutexLock lock(mutex);
  asleep -= waking.size() - 1;
  changed.NotifyAll();
}

MHD_Result CollectHeader(void* view, MHD_ValueKind, const char* name, const char* value) {
  static_cast<HttpRequestView*>(view)->headers.emplace_back(name, value != nullptr ? value : "");
  return MHD_YES;
}

// The target as it came: libmicrohttpd's own path and arguments are decoded and cannot be split safely any
// more.
void* BeginExchange(void*, const char* target, MHD_Connection*) {
  auto exchange = std::make_unique<Exchange>();
  exchange->target = target;
  return exchange.release();
}

void EndExchange(void*, MHD_Connection*, void** request, MHD_RequestTerminationCode how) {
  const std::unique_ptr<Exchange> exchange(static_cast<Exchange*>(*request));
  *request = nullptr;
  if (!exchange || exchange->load == nullptr) return;
  exchange->load->body_bytes -= exchange->charged_bytes;
  if (!exchange->deferred) return;
  if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
    exchange->load->WakeAnswered();  // it may have been the first, and never been sent
  exchange->load->Sent();
}

// What is known of a connection: the context of its socket.
struct Peer {
  std::optional<std::uint32_t> uid;
};

void OnConnection(void*, MHD_Connection* connection, void** context, MHD_ConnectionNotificationCode code) {
  const std::unique_ptr<Peer> gone(code == MHD_CONNECTION_NOTIFY_CLOSED ? static_cast<Peer*>(*context)
                                                                        : nullptr);
  if (code != MHD_CONNECTION_NOTIFY_STARTED) return;
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info != nullptr) *context = std::make_unique<Peer>(PeerUser(info->connect_fd)).release();
}

std::optional<std::uint32_t> UserOf(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info != nullptr && info->socket_context != nullptr
             ? static_cast<const Peer*>(info->socket_context)->uid
             : std::nullopt;
}

std::size_t LeaveEncoded(void*, MHD_Connection*, char* text) {
  return std::strlen(text);
}

bool IsListening(int descriptor) {
  int listening = 0;
  socklen_t length = sizeof listening;
  return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

bool IsChunked(MHD_Connection* connection) {
  return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) !=
         nullptr;
}

// The length of the body that the head announces, 0 without one.
std::uint64_t Announced(MHD_Connection* connection) {
  const char* length =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
  // libmicrohttpd has refused anything but digits already; too many of them overflow to ULLONG_MAX.
  return length != nullptr ? std::strtoull(length, nullptr, 10) : 0;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, DeferredHandler handler, bool has_own_threads)
      : options_(std::move(options)),
        handler_(std::move(handler)),
        has_own_threads_(has_own_threads),
        small_body_bytes_(
            std::min<std::size_t>(kBodyReserve, options_.bodies_bytes_max / options_.connections_max)) {
    options_.too_large.headers.emplace_back(MHD_HTTP_HEADER_CONNECTION, "close");
    options_.overloaded.headers.emplace_back(MHD_HTTP_HEADER_CONNECTION, "close");
  }

  ~Impl() {
    if (daemon_ == nullptr) return;
    Retire();
    AwaitDeferred();
    MHD_stop_daemon(daemon_);
    close(listening_);
  }

  void Retire() {
    if (is_retired_.exchange(true)) return;
    // Taken back before the stop, so that a socket shared with systemd is closed in the end but not shut down
    // for everyone.
    listening_ = MHD_quiesce_daemon(daemon_);
  }

  Result<void> Start(int listening) {
    if (!IsListening(listening)) {
      close(listening);
      return Fail(ErrorKind::kInvalid, options_.thread_name + ": the socket is not listening");
    }
    unsigned flags =
        MHD_USE_ITC |
        (has_own_threads_ ? MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL
                          : MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME);
    std::vector<MHD_OptionItem> more;
    if (options_.tls) {
      flags |= MHD_USE_TLS;
      more.push_back({MHD_OPTION_HTTPS_MEM_CERT, 0, options_.tls->certificate.data()});
      more.push_back({MHD_OPTION_HTTPS_MEM_KEY, 0, options_.tls->key.data()});
    }
    more.push_back({MHD_OPTION_END, 0, nullptr});
    daemon_ = MHD_start_daemon(
        flags, 0, &Impl::OnAccept, this, &Impl::OnRequest, this, MHD_OPTION_LISTEN_SOCKET, listening,
        MHD_OPTION_URI_LOG_CALLBACK, &BeginExchange, nullptr, MHD_OPTION_NOTIFY_COMPLETED, &EndExchange,
        nullptr, MHD_OPTION_UNESCAPE_CALLBACK, &LeaveEncoded, nullptr, MHD_OPTION_NOTIFY_CONNECTION,
        &OnConnection, nullptr, MHD_OPTION_CONNECTION_LIMIT, options_.connections_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, options_.head_bytes_max, MHD_OPTION_CONNECTION_TIMEOUT,
        static_cast<unsigned>(options_.idle_timeout.count()), MHD_OPTION_ARRAY, more.data(), MHD_OPTION_END);
    if (daemon_ != nullptr) return {};
    const int why = errno;
    close(listening);
    return Fail(ErrorKind::kInternal, options_.thread_name + ": cannot start the HTTP server: " +
                                          (options_.tls ? "is the certificate PEM, and the key its own?"
                                                        : std::generic_category().message(why)));
  }

 private:
  // The one callback on the listening thread.
  static MHD_Result OnAccept(void* self, const sockaddr*, socklen_t) {
    static_cast<Impl*>(self)->NameThread();
    return MHD_YES;
  }

  // Called once when the head is there, then for each piece of the body, then once more with none; and again
  // when a deferred answer came.
  static MHD_Result OnRequest(void* self, MHD_Connection* connection, const char*, const char* method,
                              const char*, const char* piece, std::size_t* piece_bytes, void** request) {
    auto* exchange = static_cast<Exchange*>(*request);
    if (exchange == nullptr) return MHD_NO;
    auto& server = *static_cast<Impl*>(self);
    if (exchange->answer) {
      server.load_.WakeAnswered();
      return server.Send(connection, *exchange->answer);
    }
    if (!exchange->started) return server.Begin(connection, method, *exchange);
    if (*piece_bytes > 0) {
      const std::string_view bytes(piece, *piece_bytes);
      *piece_bytes = 0;
      return server.Collect(*exchange, bytes) ? MHD_YES : MHD_NO;
    }
    return server.Answer(connection, method, *exchange);
  }

  MHD_Result Send(MHD_Connection* connection, const HttpResponse& answer) const {
    // MHD_RESPMEM_MUST_COPY: the bytes are only read.
    void* bytes = const_cast<char*>(answer.body.data());
    MHD_Response* response =
        MHD_create_response_from_buffer(answer.body.size(), bytes, MHD_RESPMEM_MUST_COPY);
    if (response == nullptr) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.content_type);
    for (const auto& [name, value] : answer.headers)
      MHD_add_response_header(response, name.c_str(), value.c_str());
    if (is_retired_) MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    const MHD_Result queued = MHD_queue_response(connection, answer.status, response);
    MHD_destroy_response(response);
    return queued;
  }

  MHD_Result Begin(MHD_Connection* connection, const char* method, Exchange& exchange) {
    exchange.started = true;
    exchange.began = std::chrono::steady_clock::now();
    exchange.connection = connection;
    exchange.load = &load_;
    NameThread();
    if (!MayAsk(connection)) return Send(connection, options_.forbidden);
    const std::uint64_t announced = Announced(connection);
    if (announced > options_.body_bytes_max + DiscardedMax()) return Send(connection, options_.too_large);
    exchange.verdict.body_bytes_max = options_.body_bytes_max;
    if (announced <= options_.body_bytes_max && options_.check_head &&
        (announced > small_body_bytes_ || IsChunked(connection))) {
      CheckHead(connection, method, exchange);
    }
    if (exchange.refusal == nullptr && announced > exchange.verdict.body_bytes_max)
      exchange.refusal = &options_.too_large;
    if (exchange.refusal == nullptr) exchange.body.reserve(std::min<std::size_t>(announced, kBodyReserve));
    return MHD_YES;
  }

  void CheckHead(MHD_Connection* connection, const char* method, Exchange& exchange) const {
    HeadVerdict& verdict = exchange.verdict;
    verdict = options_.check_head(ViewOf(connection, method, exchange));
    verdict.body_bytes_max = std::min(verdict.body_bytes_max, options_.body_bytes_max);
    if (!verdict.refusal) return;
    verdict.refusal->headers.emplace_back(MHD_HTTP_HEADER_CONNECTION, "close");
    exchange.refusal = &*verdict.refusal;
  }

  bool MayAsk(MHD_Connection* connection) const {
    return options_.users.empty() || IsAllowed(UserOf(connection), options_.users);
  }

  // What is not taken is thrown away: a client that is still sending when its connection is closed never sees
  // the answer. Not without end.
  std::size_t DiscardedMax() const { return options_.body_bytes_max; }
  bool Collect(Exchange& exchange, std::string_view bytes) const {
    if (std::chrono::steady_clock::now() - exchange.began > options_.body_patience) return false;
    if (exchange.refusal == nullptr) exchange.refusal = Take(exchange, bytes);
    if (exchange.refusal == nullptr) return true;
    exchange.DropBody();
    exchange.discarded_bytes += bytes.size();
    return exchange.discarded_bytes <= options_.body_bytes_max + DiscardedMax();
  }

  // The answer when there is no room for them.
  const HttpResponse* Take(Exchange& exchange, std::string_view bytes) const {
    if (exchange.body.size() + bytes.size() > exchange.verdict.body_bytes_max) return &options_.too_large;
    if (!exchange.Charge(bytes.size(), options_.bodies_bytes_max)) return &options_.overloaded;
    exchange.body.append(bytes);
    return nullptr;
  }

  static HttpRequestView ViewOf(MHD_Connection* connection, const char* method, const Exchange& exchange) {
    HttpRequestView view;
    view.method = method;
    const std::string_view target = exchange.target;
    const std::size_t question_mark = target.find('?');
    view.target = target;
    view.path = target.substr(0, question_mark);
    if (question_mark != std::string_view::npos) view.query = target.substr(question_mark + 1);
    view.headers.reserve(kHeadersUsual);
    MHD_get_connection_values(connection, MHD_HEADER_KIND, &CollectHeader, &view);
    view.body = exchange.body;
    view.uid = UserOf(connection);
    return view;
  }

  MHD_Result Answer(MHD_Connection* connection, const char* method, Exchange& exchange) const {
    if (exchange.refusal != nullptr) return Send(connection, *exchange.refusal);
    const std::optional<HttpResponse> answer = handler_(ViewOf(connection, method, exchange), exchange);
    return answer ? Send(connection, *answer) : MHD_YES;
  }

  // Everyone who deferred an answer gives it; then a moment for the answers to leave.
  void AwaitDeferred() {
    MutexLock lock(load_.mutex);
    load_.ends = true;
    while (load_.asleep > 0) load_.changed.Wait(load_.mutex);
    const auto deadline = std::chrono::steady_clock::now() + kLastAnswerPatience;
    while (load_.unsent > 0 && load_.changed.WaitUntil(load_.mutex, deadline)) {
    }
  }

  void NameThread() const {
    thread_local const Impl* named_by = nullptr;
    if (named_by == this) return;
    named_by = this;
    pthread_setname_np(pthread_self(), options_.thread_name.c_str());
  }

  HttpServerOptions options_;
  DeferredHandler handler_;
  const bool has_own_threads_;
  const std::size_t small_body_bytes_;  // such bodies of all connections together are within bodies_bytes_max
  Load load_;
  std::atomic<bool> is_retired_{false};
  MHD_socket listening_ = MHD_INVALID_SOCKET;  // of a retired one
  MHD_Daemon* daemon_ = nullptr;
};

bool HttpExchange::Defer() {
  auto& exchange = static_cast<Exchange&>(*this);
  exchange.deferred = exchange.load->Add();
  if (exchange.deferred) MHD_suspend_connection(exchange.connection);
  return exchange.deferred;
}

void HttpExchange::Answer(std::vector<std::pair<HttpExchange*, HttpResponse>> answers) {
  std::vector<Exchange*> of_one_server;
  for (auto& [http_exchange, response] : answers) {
    auto& exchange = static_cast<Exchange&>(*http_exchange);
    exchange.answer = std::move(response);
    if (!of_one_server.empty() && of_one_server.front()->load != exchange.load) {
      of_one_server.front()->load->Answered(of_one_server);
      of_one_server.clear();
    }
    of_one_server.push_back(&exchange);
  }
  if (!of_one_server.empty()) of_one_server.front()->load->Answered(of_one_server);
}

std::optional<std::string_view> HttpRequestView::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoringCase(key, name)) return value;
  }
  return std::nullopt;
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
void HttpServer::Retire() {
  impl_->Retire();
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(int listening, HttpServerOptions options,
                                                      Handler handler) {
  auto at_once = [handler = std::move(handler)](const HttpRequestView& request, HttpExchange&) {
    return std::optional(handler(request));
  };
  return Start(listening, std::make_unique<Impl>(std::move(options), std::move(at_once), true));
}

Result<std::unique_ptr<HttpServer>> HttpServer::StartDeferred(int listening, HttpServerOptions options,
                                                              DeferredHandler handler) {
  return Start(listening, std::make_unique<Impl>(std::move(options), std::move(handler), false));
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(int listening, std::unique_ptr<Impl> impl) {
  RETURN_IF_ERROR(impl->Start(listening));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace outboxd
