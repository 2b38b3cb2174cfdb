#include "daemon/base/late_listener.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/log_level.h"
#include "core/result.h"
#include "daemon/base/log.h"
#include "daemon/base/mutex.h"
#include "daemon/base/status.h"
#include "daemon/base/tcp_socket.h"

namespace outboxd {
namespace {

constexpr std::chrono::seconds kLongestDelay{60};

}  // namespace

void ListenerStates::Set(const std::string& key, const std::string& address, std::string problem) {
  MutexLock lock(mutex_);
  const auto found = std::find_if(states_.begin(), states_.end(), [&](const ListenerStatus& state) {
    return state.key == key && state.address == address;
  });
  if (found != states_.end()) {
    found->problem = std::move(problem);
  } else {
    states_.push_back({key, address, std::move(problem)});
  }
}

std::vector<ListenerStatus> ListenerStates::All() const {
  MutexLock lock(mutex_);
  return states_;
}

Result<std::optional<TcpListener>> LateListener::Try(Time now) {
  if (next_ && now < *next_) return std::nullopt;
  Result<TcpListener> opened = TcpListener::Open(address_, reach_);
  if (opened) {
    states_->Set(key_, address_, {});
    if (!problem_.empty()) Log(LogLevel::kInfo, "listening at last", {{"key", key_}, {"address", address_}});
    return std::optional(std::move(*opened));
  }
  if (opened.error().kind != ErrorKind::kIo) return Failure(opened.error());
  Failed(now, opened.error().message);
  return std::nullopt;
}

void LateListener::Failed(Time now, const std::string& problem) {
  next_ = now + delay_;
  delay_ = std::min(delay_ * 2, kLongestDelay);
  states_->Set(key_, address_, problem);
  if (problem == problem_) return;
  problem_ = problem;
  Log(LogLevel::kError, "cannot listen yet", {{"key", key_}, {"reason", problem_}});
}

}  // namespace outboxd
