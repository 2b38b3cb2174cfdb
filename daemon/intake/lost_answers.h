// daemon/intake/lost_answers.h — answers to requests that were taken but whose client had gone before it
// could be told. A library that repeats such a request (Node 5, which counts its repeats in X-Retry-Count)
// gets the answer that it missed, instead of a second job.
//
// A wrong match would be a lost job, so in any doubt there is none: the same connection and the same bytes
// only, 60 seconds at most, each answer once. Bounded: beyond, the oldest are forgotten.
//
// Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/http_message.h"
#include "daemon/base/mutex.h"

namespace outboxd {

class LostAnswers {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kAgeMax{60};
  static constexpr std::size_t kCountMax = 4096;
  static constexpr std::size_t kBytesMax = 4UL * 1024 * 1024;  // of their requests

  // `connection`: of the job. `answer`: what its client was not told.
  void Keep(std::string_view connection, const HttpRequestView& request, HttpResponse answer, Time now)
      EXCLUDES(mutex_);
  // The answer that this repeat missed, which is then forgotten; nullopt: it is a new request.
  std::optional<HttpResponse> Take(std::string_view connection, const HttpRequestView& repeat, Time now)
      EXCLUDES(mutex_);
  // About once a second.
  void Forget(Time now) EXCLUDES(mutex_);

  // Whether there is any at all; one relaxed load.
  bool HasAny() const { return has_any_.load(std::memory_order_relaxed); }

 private:
  struct Lost {
    std::size_t hash;
    std::string connection, method, target, body;
    HttpResponse answer;
    Time at;
    std::size_t bytes() const { return connection.size() + method.size() + target.size() + body.size(); }
  };

  void DropOld(Time now) REQUIRES(mutex_);

  std::atomic<bool> has_any_{false};
  Mutex mutex_;
  std::deque<Lost> lost_ GUARDED_BY(mutex_);  // the oldest first
  std::size_t bytes_ GUARDED_BY(mutex_) = 0;
};

// Whether a library says that it sends this request again.
bool IsRepeat(const HttpRequestView& request);

}  // namespace outboxd
