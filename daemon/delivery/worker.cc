#include "daemon/delivery/worker.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/time.h"
#include "daemon/base/crash_record.h"
#include "daemon/base/mutex.h"
#include "daemon/base/wall_clock.h"
#include "daemon/delivery/connection_pools.h"
#include "daemon/delivery/curl_multi.h"
#include "daemon/delivery/curl_request.h"
#include "daemon/delivery/debug_text.h"
#include "daemon/delivery/socket_watch.h"
#include "daemon/delivery/tcp_ends.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {
namespace {

constexpr Milliseconds kOverdueEvery(200);

// Transfers on their way to the worker's thread.
class TransferInbox {
 public:
  explicit TransferInbox(const SocketWatch& watch) : watch_(watch) {}

  // Any thread. Dropped after Close().
  void Add(std::vector<Transfer> transfers) EXCLUDES(mutex_) {
    if (Append(std::move(transfers))) watch_.Wake();  // not under the lock: the thread would wait for that
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
  // Whether the thread must be woken.
  bool Append(std::vector<Transfer> transfers) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (closed_) return false;
    if (transfers_.empty()) {
      transfers_ = std::move(transfers);
    } else {
      std::move(transfers.begin(), transfers.end(), std::back_inserter(transfers_));
    }
    return std::exchange(waiting_, false);
  }

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
  void StartAll(SteadyTime now);
  void Start(Transfer transfer, SteadyTime now);
  int WaitMs() const;
  void OnReady(const epoll_event& event);
  void TakeEnded(SteadyTime now);
  void TakeOverdue(SteadyTime now);
  void LeaveConnection(std::size_t at, std::size_t first);
  bool IsSilent(const CurlRequest& hung);
  void Release(CurlRequest& request, Finished finished);
  void DropLarge();
  void Deliver();
  void AbortAll();

  const Sink sink_;
  const DebugLog debug_log_;
  SocketWatch watch_;

  // The worker thread's own.
  std::vector<std::unique_ptr<CurlRequest>> requests_;
  ConnectionPools pools_;
  std::vector<CurlRequest*> free_;
  bool has_large_ = false;  // some of free_ are not to be used again
  std::vector<Transfer> incoming_;
  std::vector<Transfer> waiting_;  // for the first connection of a generation
  std::vector<EndedRequest> ended_;
  std::vector<Finished> finished_;
  SteadyTime overdue_check_{};

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

std::function<double()> Random() {
  return [engine = std::minstd_rand(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0, 1)(engine);
  };
}

}  // namespace

Worker::Impl::Impl(const std::string& name, Sink sink, DebugLog debug_log)
    : sink_(std::move(sink)), debug_log_(std::move(debug_log)), pools_(&watch_, Random()) {
  InitCurl();
  const BlockedSignals blocked;
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

Worker::Impl::~Impl() {
  Stop();
}

void Worker::Impl::Stop() {
  inbox_.Close();
  if (thread_.joinable()) thread_.join();
}

void Worker::Impl::Run() {
  while (inbox_.TakeAll(incoming_)) {
    const SteadyTime now = std::chrono::steady_clock::now();
    StartAll(now);
    pools_.RunTimers(now);
    TakeEnded(now);
    if (!waiting_.empty()) StartAll(now);
    for (const epoll_event& event : watch_.Wait(finished_.empty() ? WaitMs() : 0)) OnReady(event);
    TakeEnded(now);
    pools_.Tidy(now);
    if (has_large_) DropLarge();
    Deliver();
  }
  AbortAll();
}

void Worker::Impl::StartAll(SteadyTime now) {
  if (!waiting_.empty()) {
    std::vector<Transfer> again;
    again.swap(waiting_);
    for (Transfer& transfer : again) Start(std::move(transfer), now);
  }
  for (Transfer& transfer : incoming_) Start(std::move(transfer), now);
  incoming_.clear();
}

void Worker::Impl::Start(Transfer transfer, SteadyTime now) {
  CurlMulti* const multi = pools_.For(transfer, now);
  if (multi == nullptr) {
    waiting_.push_back(std::move(transfer));
    return;
  }
  if (free_.empty()) {
    requests_.push_back(std::make_unique<CurlRequest>(&watch_));
    free_.push_back(requests_.back().get());
  }
  CurlRequest& request = *free_.back();
  free_.pop_back();
  request.Begin(std::move(transfer), debug_log_);
  const CURLMcode code = multi->Add(request);
  if (code != CURLM_OK) Release(request, request.Fail(UntakenAnswer(curl_multi_strerror(code))));
}

int Worker::Impl::WaitMs() const {
  std::optional<SteadyTime> timer = pools_.NextTimer();
  if (!timer) return -1;
  if (free_.size() != requests_.size()) timer = std::min(*timer, overdue_check_);
  const auto left = std::chrono::ceil<Milliseconds>(*timer - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

void Worker::Impl::OnReady(const epoll_event& event) {
  if (!watch_.IsWanted(event)) return;
  watch_.OwnerOf(event.data.fd)->OnReady(event.data.fd, event.events);
}

void Worker::Impl::TakeEnded(SteadyTime now) {
  pools_.TakeEnded(ended_);
  if (now >= overdue_check_) TakeOverdue(now);
  const std::size_t first = finished_.size();
  bool has_hung = false;
  for (const auto& [request, code] : ended_) {
    Release(*request, request->End(code, debug_log_));
    has_hung = has_hung || request->Events().has_hung;
  }
  // Only now: who else is on the connection is known when all that have ended have been released.
  for (std::size_t i = 0; has_hung && i < ended_.size(); ++i) {
    if (ended_[i].request->Events().has_hung) LeaveConnection(i, first);
  }
  ended_.clear();
}

// libcurl 7.88 forgets a timeout that falls into the millisecond after another timer of the same request;
// then the request would wait for ever.
void Worker::Impl::TakeOverdue(SteadyTime now) {
  overdue_check_ = now + kOverdueEvery;
  for (const std::unique_ptr<CurlRequest>& request : requests_) {
    const auto is_this = [&](const EndedRequest& ended) { return ended.request == request.get(); };
    if (!request->IsOverdue(now) || std::any_of(ended_.begin(), ended_.end(), is_this)) continue;
    request->Multi()->Remove(*request);
    ended_.push_back({request.get(), CURLE_OPERATION_TIMEDOUT});
  }
}

// A request of ended_ has hung: its generation takes nothing new. If nothing came in on the connection either
// since it was sent, the connection is dead: the others on it need not wait for their own timeouts, and those
// that met them in the same moment are like the others. finished_[first] is what ended_[0] has become.
void Worker::Impl::LeaveConnection(std::size_t at, std::size_t first) {
  const CurlRequest& hung = *ended_[at].request;
  CurlMulti& multi = *hung.Multi();
  pools_.Retire(multi);
  const TcpEnds ends = hung.Ends();
  const auto is_beside = [&](const CurlRequest& other) {
    return other.Multi() == &multi && other.Events().was_sent && other.Ends() == ends;
  };
  std::vector<CurlRequest*> others;
  for (const std::unique_ptr<CurlRequest>& request : requests_) {
    if (request->IsActive() && is_beside(*request)) others.push_back(request.get());
  }
  std::vector<std::size_t> alike;
  for (std::size_t i = at + 1; i < ended_.size(); ++i) {
    if (ended_[i].request->Events().has_hung && is_beside(*ended_[i].request)) alike.push_back(i);
  }
  if ((others.empty() && alike.empty()) || !IsSilent(hung)) return;
  for (CurlRequest* request : others) {
    multi.Remove(*request);
    Release(*request, request->Fail(DeadAnswer(request->Events())));
  }
  for (const std::size_t i : alike) finished_[first + i].answer = DeadAnswer(ended_[i].request->Events());
}

bool Worker::Impl::IsSilent(const CurlRequest& hung) {
  constexpr Milliseconds kKernelClock(10);
  for (const int socket : watch_.SocketsOf(hung.Multi())) {
    if (EndsOf(socket) == hung.Ends())
      return SilenceOf(socket).value_or(Milliseconds(0)) + kKernelClock >= hung.SinceSent();
  }
  return false;
}

void Worker::Impl::Release(CurlRequest& request, Finished finished) {
  finished_.push_back(std::move(finished));
  free_.push_back(&request);
  has_large_ = has_large_ || request.HasBeenLarge();
}

// Idle ones: what they keep would add up.
void Worker::Impl::DropLarge() {
  has_large_ = false;
  std::erase_if(free_, [](const CurlRequest* request) { return request->HasBeenLarge(); });
  std::erase_if(requests_, [](const std::unique_ptr<CurlRequest>& request) {
    return !request->IsActive() && request->HasBeenLarge();
  });
}

void Worker::Impl::Deliver() {
  if (!finished_.empty()) sink_(std::exchange(finished_, {}));
}

void Worker::Impl::AbortAll() {
  for (const std::unique_ptr<CurlRequest>& request : requests_) {
    if (!request->IsActive()) continue;
    request->Multi()->Remove(*request);
    finished_.push_back(request->Abort());
  }
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(incoming_));
  waiting_.clear();
  for (Transfer& transfer : incoming_) {
    finished_.push_back(Finished{.transfer = std::move(transfer),
                                 .ending = Ending::kAborted,
                                 .answer = AbortedAnswer(),
                                 .sent = WallClockNow()});
  }
  incoming_.clear();
  Deliver();
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
