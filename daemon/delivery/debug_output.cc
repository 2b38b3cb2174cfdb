#include "daemon/delivery/debug_output.h"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "core/user_shares.h"
#include "daemon/base/mutex.h"

namespace outboxd {
namespace {

constexpr std::string_view kCut = "... (cut)";

}  // namespace

void DebugOutput::Write(User user, std::string line, Time now) {
  if (line.size() > kLineBytes) line.replace(kLineBytes - kCut.size(), std::string::npos, kCut);
  LeftOutByUser ended;
  bool is_taken = false;
  {
    MutexLock lock(mutex_);
    ended = BeginMinute(now);
    is_taken = written_.Allows(user, line.size());
    if (is_taken) {
      written_.Take(user, line.size());
    } else {
      LeftOut& left_out = left_out_[user];
      ++left_out.lines;
      left_out.bytes += line.size();
    }
  }
  Tell(ended);
  if (is_taken) sink_.line(line);
}

void DebugOutput::Tick(Time now) {
  LeftOutByUser ended;
  {
    MutexLock lock(mutex_);
    ended = BeginMinute(now);
  }
  Tell(ended);
}

DebugOutput::LeftOutByUser DebugOutput::BeginMinute(Time now) {
  if (minute_ && now < *minute_ + std::chrono::minutes(1)) return {};
  minute_ = now;
  written_ = UserShares(kBytesAMinute);
  return std::exchange(left_out_, {});
}

void DebugOutput::Tell(const LeftOutByUser& left_out) const {
  for (const auto& [user, amount] : left_out) sink_.left_out(user, amount);
}

}  // namespace outboxd
