#include "daemon/delivery/worker.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/time.h"
#include "daemon/base/crash_record.h"
#include "daemon/base/mutex.h"
#include "daemon/base/require.h"
#include "daemon/base/wall_clock.h"
#include "daemon/delivery/curl_request.h"
#include "daemon/delivery/debug_text.h"
#include "daemon/delivery/socket_watch.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// More than any connection's max_in_flight as a rule, so that idle connections are kept and not churned.
constexpr long kConnectionCache = 2048;

// Transfers on their way to the worker's thread.
class TransferInbox {
 public:
  explicit TransferInbox(const SocketWatch& watch) : watch_(watch) {}

  // Any thread. Dropped after Close().
  void Add(std::vector<Transfer> transfers) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (closed_) return;
    if (transfers_.empty()) {
      transfers_ = std::move(transfers);
    } else {
      std::move(transfers.begin(), transfers.end(), std::back_inserter(transfers_));
    }
    if (std::exchange(waiting_, false)) watch_.Wake();
  }

  void Close() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    closed_ = true;
    watch_.Wake();
  }

  // On the worker's thread. `out` is empty before. False once closed, with what came before the end in `out`.
  bool TakeAll(std::vector<Transfer>& out) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    out.swap(transfers_);
    waiting_ = out.empty();
    return !closed_;
  }

 private:
  const SocketWatch& watch_;
  Mutex mutex_;
  std::vector<Transfer> transfers_ GUARDED_BY(mutex_);
  bool waiting_ GUARDED_BY(mutex_) = false;  // the thread is about to wait: new transfers must wake it
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace

class Worker::Impl {
 public:
  Impl(const std::string& name, Sink sink, DebugLog debug_log);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void Send(std::vector<Transfer> transfers) { inbox_.Add(std::move(transfers)); }
  void Stop();

 private:
  void Run();
  void Start(Transfer transfer);
  void RunTimer();
  int WaitMs() const;
  void OnReady(const epoll_event& event);
  void TakeFinished();
  void Release(CurlRequest& request, Finished finished);
  void Deliver();
  void AbortAll();
  static int OnSocket(CURL* easy, curl_socket_t fd, int what, void* self, void* socket);
  static int OnTimer(CURLM* multi, long timeout_ms, void* self);

  const Sink sink_;
  const DebugLog debug_log_;
  SocketWatch watch_;

  // The worker thread's own.
  CURLM* const multi_;
  std::vector<std::unique_ptr<CurlRequest>> requests_;
  std::vector<CurlRequest*> free_;
  std::vector<Transfer> incoming_;
  std::vector<std::pair<CURL*, CURLcode>> done_;
  std::vector<Finished> finished_;
  std::optional<SteadyTime> timer_;
  bool timer_was_set_ = false;

  TransferInbox inbox_{watch_};
  std::thread thread_;
};

namespace {

// The thread inherits a mask that blocks every signal but those of a crash: they belong to the main thread.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    for (const int number : kCrashSignals) sigdelset(&all, number);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

CURLM* NewMulti() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  Require(ready == CURLE_OK, "outboxd: curl_global_init");
  CURLM* multi = curl_multi_init();
  Require(multi != nullptr, "outboxd: curl_multi_init");
  return multi;
}

}  // namespace

Worker::Impl::Impl(const std::string& name, Sink sink, DebugLog debug_log)
    : sink_(std::move(sink)), debug_log_(std::move(debug_log)), multi_(NewMulti()) {
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Impl::OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Impl::OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kConnectionCache);
  const BlockedSignals blocked;
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

Worker::Impl::~Impl() {
  Stop();
  curl_multi_cleanup(multi_);  // before the requests and the watch: it closes connections through them
}

void Worker::Impl::Stop() {
  inbox_.Close();
  if (thread_.joinable()) thread_.join();
}

void Worker::Impl::Run() {
  while (inbox_.TakeAll(incoming_)) {
    for (Transfer& transfer : incoming_) Start(std::move(transfer));
    incoming_.clear();
    RunTimer();
    TakeFinished();
    for (const epoll_event& event : watch_.Wait(finished_.empty() ? WaitMs() : 0)) OnReady(event);
    TakeFinished();
    Deliver();
  }
  AbortAll();
}

void Worker::Impl::Start(Transfer transfer) {
  if (free_.empty()) {
    requests_.push_back(std::make_unique<CurlRequest>(&watch_));
    free_.push_back(requests_.back().get());
  }
  CurlRequest& request = *free_.back();
  free_.pop_back();
  request.Begin(std::move(transfer), debug_log_);
  const CURLMcode code = curl_multi_add_handle(multi_, request.Handle());
  if (code != CURLM_OK)
    Release(request, request.Fail(std::string("transport: ") + curl_multi_strerror(code)));
}

void Worker::Impl::RunTimer() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (!timer_ || *timer_ > now) return;
  timer_was_set_ = false;
  int running = 0;
  curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  // libcurl cuts its times to whole milliseconds, so the timer may come a little early; then it is not set
  // again by itself.
  if (!timer_was_set_) timer_ = now + Milliseconds(1);
}

int Worker::Impl::WaitMs() const {
  if (!timer_) return -1;
  const auto left = std::chrono::ceil<Milliseconds>(*timer_ - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

void Worker::Impl::OnReady(const epoll_event& event) {
  if (!watch_.IsWanted(event)) return;
  int action = 0;
  if ((event.events & EPOLLIN) != 0) action |= CURL_CSELECT_IN;
  if ((event.events & EPOLLOUT) != 0) action |= CURL_CSELECT_OUT;
  if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) action |= CURL_CSELECT_ERR;
  int running = 0;
  curl_multi_socket_action(multi_, event.data.fd, action, &running);
}

void Worker::Impl::TakeFinished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) done_.emplace_back(message->easy_handle, message->data.result);
  }
  // Only now: removing a handle searches all messages not yet read.
  for (const auto& [easy, code] : done_) {
    curl_multi_remove_handle(multi_, easy);
    CurlRequest& request = CurlRequest::Of(easy);
    Release(request, request.End(code, debug_log_));
  }
  done_.clear();
}

void Worker::Impl::Release(CurlRequest& request, Finished finished) {
  finished_.push_back(std::move(finished));
  free_.push_back(&request);
}

void Worker::Impl::Deliver() {
  if (!finished_.empty()) sink_(std::exchange(finished_, {}));
}

void Worker::Impl::AbortAll() {
  for (const std::unique_ptr<CurlRequest>& request : requests_) {
    if (!request->IsActive()) continue;
    curl_multi_remove_handle(multi_, request->Handle());
    finished_.push_back(request->Abort());
  }
  for (Transfer& transfer : incoming_) {
    finished_.push_back(Finished{.transfer = std::move(transfer),
                                 .ending = Ending::kAborted,
                                 .answer = AbortedAnswer(),
                                 .sent = WallClockNow()});
  }
  incoming_.clear();
  Deliver();
}

int Worker::Impl::OnSocket(CURL*, curl_socket_t fd, int what, void* self, void*) {
  std::uint32_t events = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= EPOLLIN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= EPOLLOUT;
  static_cast<Impl*>(self)->watch_.Want(fd, events);
  return 0;
}

int Worker::Impl::OnTimer(CURLM*, long timeout_ms, void* self) {
  Impl& impl = *static_cast<Impl*>(self);
  impl.timer_was_set_ = true;
  impl.timer_.reset();
  if (timeout_ms >= 0) impl.timer_ = std::chrono::steady_clock::now() + Milliseconds(timeout_ms);
  return 0;
}

Worker::Worker(const std::string& name, Sink sink, DebugLog debug_log)
    : impl_(std::make_unique<Impl>(name, std::move(sink), std::move(debug_log))) {}

Worker::~Worker() = default;

void Worker::Send(std::vector<Transfer> transfers) {
  impl_->Send(std::move(transfers));
}

void Worker::Stop() {
  impl_->Stop();
}

}  // namespace outboxd
