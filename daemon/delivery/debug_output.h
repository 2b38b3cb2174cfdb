// daemon/delivery/debug_output.h — the debug lines of jobs on their way into the log. So many bytes a minute,
// which users share (core/user_shares.h); a line that is longer than kLineBytes is cut; of what is left out
// the log gets the number, for each user once a minute.
//
// Any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/user_shares.h"
#include "daemon/base/mutex.h"

namespace outboxd {

class DebugOutput {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct LeftOut {
    std::uint64_t lines = 0, bytes = 0;
  };
  // Where it goes; called without a lock.
  struct Sink {
    std::function<void(std::string_view line)> line;
    std::function<void(User user, const LeftOut& left_out)> left_out;
  };
  static constexpr std::uint64_t kBytesAMinute = 1 << 20;
  static constexpr std::size_t kLineBytes = 32UL * 1024;

  explicit DebugOutput(Sink sink) : sink_(std::move(sink)) {}

  void Write(User user, std::string line, Time now) EXCLUDES(mutex_);
  // About once a second.
  void Tick(Time now) EXCLUDES(mutex_);

 private:
  using LeftOutByUser = std::map<User, LeftOut>;
  // What was left out of a minute that has ended.
  LeftOutByUser BeginMinute(Time now) REQUIRES(mutex_);
  void Tell(const LeftOutByUser& left_out) const;

  const Sink sink_;
  Mutex mutex_;
  std::optional<Time> minute_ GUARDED_BY(mutex_);
  UserShares written_ GUARDED_BY(mutex_){kBytesAMinute};
  LeftOutByUser left_out_ GUARDED_BY(mutex_);
};

}  // namespace outboxd
