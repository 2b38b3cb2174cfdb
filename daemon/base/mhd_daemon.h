// daemon/base/mhd_daemon.h — a libmicrohttpd daemon on a listening socket: what both HTTP servers start,
// retire and stop.
#pragma once

#include <microhttpd.h>  // IWYU pragma: export
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "core/result.h"
#include "daemon/base/http_message.h"
#include "daemon/base/http_server.h"
#include "daemon/base/mhd_connections.h"

namespace outboxd {

// The connection is closed after this answer.
void CloseAfter(HttpResponse& answer);

class MhdDaemon {
 public:
  enum class Threads : std::uint8_t { kOneForEachConnection, kOne };  // kOne: connections may be suspended
  struct Callbacks {
    void* self = nullptr;  // given to each of them
    // Returns the request's context, which on_end frees. The target is as it came: libmicrohttpd's own path
    // and arguments are decoded and cannot be split safely any more.
    void* (*on_first_line)(void* self, const char* target, MHD_Connection*) = nullptr;
    MHD_AccessHandlerCallback on_request = nullptr;
    MHD_RequestCompletedCallback on_end = nullptr;
  };

  // `thread_name`: at most 15 bytes.
  explicit MhdDaemon(std::string thread_name)
      : thread_name_(std::move(thread_name)), connections_(thread_name_) {}
  ~MhdDaemon() { Stop(); }
  MhdDaemon(const MhdDaemon&) = delete;
  MhdDaemon& operator=(const MhdDaemon&) = delete;

  // Takes ownership of `listening`, also when it fails.
  Result<void> Start(int listening, const HttpServerOptions& options, Threads threads,
                     const Callbacks& callbacks);
  // From now on each connection ends with its next answer.
  void EndWithAnswers() { ends_with_answers_ = true; }
  // The same, and accepts nothing more.
  void Retire();
  // Closes connections that took too long. Any thread; to be called about once a second.
  void CloseOverdue() { connections_.CloseOverdue(); }
  const MhdConnections& connections() const { return connections_; }
  // Waits for the handlers that run and closes everything. No connection may be suspended.
  void Stop();

  // In a callback: queues the answer.
  MHD_Result Send(MHD_Connection* connection, const HttpResponse& answer) const;
  // In a callback: gives the thread its name, if it has none of this daemon's.
  void NameThread() const;

 private:
  static MHD_Result OnAccept(void* self, const sockaddr* address, socklen_t length);

  const std::string thread_name_;
  std::string keep_alive_;  // what Keep-Alive says; constant after Start()
  MhdConnections connections_;
  std::atomic<bool> ends_with_answers_{false}, is_retired_{false};
  MHD_socket listening_ = MHD_INVALID_SOCKET;  // of a retired one
  MHD_Daemon* daemon_ = nullptr;
};

}  // namespace outboxd
