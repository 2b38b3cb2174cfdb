#include "daemon/intake/lost_answers.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/ascii.h"
#include "daemon/base/http_message.h"
#include "daemon/base/mutex.h"

namespace outboxd {

void LostAnswers::Keep(std::string_view connection, const HttpRequestView& request, HttpResponse answer,
                       Time now) {
  MutexLock lock(mutex_);
  lost_.push_back({std::hash<std::string_view>()(request.body), std::string(connection),
                   std::string(request.method), std::string(request.target), std::string(request.body),
                   std::move(answer), now});
  bytes_ += lost_.back().bytes();
  DropOld(now);
}

std::optional<HttpResponse> LostAnswers::Take(std::string_view connection, const HttpRequestView& repeat,
                                              Time now) {
  const std::size_t hash = std::hash<std::string_view>()(repeat.body);
  MutexLock lock(mutex_);
  DropOld(now);
  const auto found = std::find_if(lost_.begin(), lost_.end(), [&](const Lost& lost) {
    return lost.hash == hash && lost.connection == connection && lost.method == repeat.method &&
           lost.target == repeat.target && lost.body == repeat.body;
  });
  if (found == lost_.end()) return std::nullopt;
  HttpResponse answer = std::move(found->answer);
  bytes_ -= found->bytes();
  lost_.erase(found);
  has_any_ = !lost_.empty();
  return answer;
}

void LostAnswers::Forget(Time now) {
  if (!HasAny()) return;
  MutexLock lock(mutex_);
  DropOld(now);
}

void LostAnswers::DropOld(Time now) {
  while (!lost_.empty() &&
         (now - lost_.front().at > kAgeMax || lost_.size() > kCountMax || bytes_ > kBytesMax)) {
    bytes_ -= lost_.front().bytes();
    lost_.pop_front();
  }
  has_any_ = !lost_.empty();
}

bool IsRepeat(const HttpRequestView& request) {
  constexpr std::size_t kDigitsMax = 6;
  const std::string_view count = request.Header("X-Retry-Count").value_or(std::string_view());
  return !count.empty() && count.size() <= kDigitsMax && std::all_of(count.begin(), count.end(), IsDigit) &&
         count.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace outboxd
