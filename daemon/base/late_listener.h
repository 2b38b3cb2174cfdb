// daemon/base/late_listener.h — listening on a TCP port that somebody else may have at the moment: it is
// told, tried again, and the rest of the daemon runs meanwhile.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "daemon/base/mutex.h"
#include "daemon/base/status.h"
#include "daemon/base/tcp_socket.h"

namespace outboxd {

// Every TCP address of the config, and which of them are not listened on. Any thread.
class ListenerStates {
 public:
  // `problem`: why not; empty when it is.
  void Set(const std::string& key, const std::string& address, std::string problem) EXCLUDES(mutex_);
  std::vector<ListenerStatus> All() const EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::vector<ListenerStatus> states_ GUARDED_BY(mutex_);
};

// One thread at a time.
class LateListener {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `key` of the config, for people. `states` outlives this object.
  LateListener(std::string key, std::string address, ListenerStates& states,
               Reach reach = Reach::kThisMachine)
      : key_(std::move(key)), address_(std::move(address)), reach_(reach), states_(&states) {}

  // The socket, once; nullopt: not yet. Tries at the first call, then after one second, and waits twice as
  // long each time, up to a minute. kInvalid: an address that cannot be listened on at all.
  Result<std::optional<TcpListener>> Try(Time now);
  // It listens already, by somebody else's doing.
  void Given() { states_->Set(key_, address_, {}); }
  // It came, but could not be served and was closed: as if the port were taken.
  void Failed(Time now, const std::string& problem);

 private:
  std::string key_;
  std::string address_;
  Reach reach_;
  ListenerStates* states_;
  std::string problem_;  // as it was told last
  std::optional<Time> next_;
  std::chrono::seconds delay_{1};
};

}  // namespace outboxd
