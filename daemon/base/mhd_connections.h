// daemon/base/mhd_connections.h — who is connected to one HTTP server, and who makes room for others.
//
// Most of the time a connection waits for its client: for a request, the rest of it, or that the answer is
// taken. At the limit one is closed for a newcomer: those first whose client has shown no credentials, then
// those that are idle, then the one that has waited longest; so neither idle connections nor heads that drip
// in keep anyone out. Users share the limit (core/user_shares.h); everybody who comes by TCP is one user, and
// makes room for its own.
//
// An idle connection is closed for reading only: a request that comes just then is still read where it is
// there whole, and answered.
#pragma once

#include <microhttpd.h>  // IWYU pragma: export

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/user_shares.h"
#include "daemon/base/http_server.h"
#include "daemon/base/log_limit.h"
#include "daemon/base/mutex.h"

namespace outboxd {

// One connection: the context of its socket. Its thread is the one that libmicrohttpd calls back on.
class MhdClient {
 public:
  enum class Turn : std::uint8_t {
    kNew,     // nothing of its first request was read, or not the whole head
    kIdle,    // between two requests
    kHead,    // a later request's first line is there
    kBody,    // the head is there
    kOurs,    // the request is there, and the answer is to come
    kAnswer,  // is being taken
  };

  MhdClient(int socket, User user);
  static MhdClient& Of(MHD_Connection* connection);

  User user() const { return user_; }
  int socket() const { return socket_; }
  void HeadBegins() {
    if (turn() == Turn::kIdle) Enter(Turn::kHead);
  }
  void Enter(Turn turn);
  // The answer to the present request closes the connection.
  void EndWithThis() { ends_with_this_ = true; }
  bool ends_with_this() const { return ends_with_this_ || is_closing_.load(std::memory_order_relaxed); }
  // Its client has valid credentials.
  void Trust() { is_trusted_.store(true, std::memory_order_relaxed); }

 private:
  friend class MhdConnections;

  Turn turn() const { return turn_.load(std::memory_order_relaxed); }
  std::chrono::milliseconds Waiting() const;  // since its turn began

  const int socket_;
  const User user_;
  std::atomic<Turn> turn_{Turn::kNew};
  std::atomic<std::int64_t> since_ms_;
  std::atomic<bool> is_trusted_{false};
  std::atomic<bool> is_closing_{false};  // written under MhdConnections' lock
  bool ends_with_this_ = false;          // its thread's
  // Guarded by MhdConnections' lock.
  std::size_t place_ = 0;
  std::optional<std::chrono::steady_clock::time_point> drips_since_, closing_since_;
};

class MhdConnections {
 public:
  explicit MhdConnections(std::string server) : server_(std::move(server)) {}

  // Before the first connection.
  void SetLimits(const HttpServerOptions& options) EXCLUDES(mutex_);
  // What libmicrohttpd has to be told as its own limit: those that are being closed count there too.
  static unsigned LimitOfDaemon(const HttpServerOptions& options);

  // A MHD_NotifyConnectionCallback; `self` is a MhdConnections.
  static void Notify(void* self, MHD_Connection* connection, void** context,
                     MHD_ConnectionNotificationCode code);

  // Closes those that took too long for what they had to do. Any thread; to be called about once a second.
  void CloseOverdue() EXCLUDES(mutex_);
  std::size_t Count() const EXCLUDES(mutex_);
  // Those with a request that is on its way to us or to be answered. One that waits for its client is not
  // among them when nothing has come for longer than `silence`.
  std::size_t CountBusy(std::chrono::milliseconds silence) const EXCLUDES(mutex_);

 private:
  void Begun(MhdClient& client) EXCLUDES(mutex_);
  void Gone(MhdClient& client) EXCLUDES(mutex_);
  MhdClient* LongestWaiting(User newcomer) REQUIRES(mutex_);
  bool IsOverdue(MhdClient& client) REQUIRES(mutex_);
  static bool IsBusy(const MhdClient& client, std::chrono::milliseconds silence);
  void Close(MhdClient& client) REQUIRES(mutex_);
  void LogCrowd(std::uint64_t closed) const;

  const std::string server_;
  mutable Mutex mutex_;
  std::chrono::milliseconds idle_ GUARDED_BY(mutex_){0};
  std::chrono::milliseconds head_ GUARDED_BY(mutex_){0};
  std::chrono::milliseconds body_ GUARDED_BY(mutex_){0};
  UserShares shares_ GUARDED_BY(mutex_){0};
  std::vector<MhdClient*> clients_ GUARDED_BY(mutex_);
  LogLimit crowded_ GUARDED_BY(mutex_);
};

}  // namespace outboxd
