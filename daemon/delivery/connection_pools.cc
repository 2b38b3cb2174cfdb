#include "daemon/delivery/connection_pools.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/time.h"
#include "daemon/delivery/curl_multi.h"
#include "daemon/delivery/curl_request.h"
#include "daemon/delivery/socket_watch.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {
namespace {

constexpr auto kTidyEvery = std::chrono::seconds(10);

// Four to six fifths, so that the generations of many workers and hosts do not all begin anew at once.
SteadyTime::duration Lifetime(Milliseconds configured, double random) {
  return std::chrono::duration_cast<SteadyTime::duration>(configured * (0.8 + 0.4 * random));
}

}  // namespace

ConnectionPools::Generation::Generation(SocketWatch* watch, const Transfer& transfer)
    : multi(watch), endpoint(transfer.endpoint), route(transfer.route) {}

ConnectionPools::ConnectionPools(SocketWatch* watch, std::function<double()> random)
    : watch_(watch), random_(std::move(random)) {}

CurlMulti* ConnectionPools::For(const Transfer& transfer, SteadyTime now) {
  Generation* newest = last_;
  if (newest == nullptr || newest->endpoint != transfer.endpoint || newest->route != transfer.route)
    newest = Newest(transfer);
  if (newest == nullptr || IsDue(*newest, transfer, now)) {
    last_ = &Renew(transfer, now);
    return &last_->multi;
  }
  last_ = newest;
  newest->last_used = now;
  if (!IsComingUp(*newest, now)) return &newest->multi;
  if (newest->before != nullptr) return &newest->before->multi;
  const bool shares =
      newest->route == Route::kPooled && multiplexing_.contains(newest->endpoint->config.name);
  return shares ? nullptr : &newest->multi;
}

bool ConnectionPools::IsComingUp(const Generation& newest, SteadyTime now) {
  return !newest.multi.IsUp() && newest.multi.UnderWay() != 0 && now < newest.takes_over;
}

ConnectionPools::Generation* ConnectionPools::Newest(const Transfer& transfer) {
  const std::string& name = transfer.endpoint->config.name;
  for (const auto& generation : generations_) {
    if (!generation->is_retired && generation->route == transfer.route &&
        generation->endpoint->config.name == name)
      return generation.get();
  }
  return nullptr;
}

bool ConnectionPools::IsDue(const Generation& newest, const Transfer& transfer, SteadyTime now) const {
  if (newest.endpoint == transfer.endpoint && now < newest.retires) return false;
  const auto old = std::count_if(generations_.begin(), generations_.end(), [&](const auto& one) {
    return one->is_retired && one->route == newest.route &&
           one->endpoint->config.name == newest.endpoint->config.name;
  });
  return static_cast<std::size_t>(old) < kOldGenerations;
}

ConnectionPools::Generation& ConnectionPools::Renew(const Transfer& transfer, SteadyTime now) {
  Generation* const before = Newest(transfer);
  if (before != nullptr) Retire(*before);
  if (generations_.empty()) next_tidy_ = now + kTidyEvery;
  generations_.push_back(std::make_unique<Generation>(watch_, transfer));
  Generation& fresh = *generations_.back();
  const ConnectionConfig& config = transfer.endpoint->config;
  fresh.last_used = now;
  fresh.retires = now + Lifetime(config.connection_lifetime, random_());
  fresh.takes_over = now + config.connect_timeout;
  if (before != nullptr && before->endpoint == transfer.endpoint) fresh.before = before;
  return fresh;
}

void ConnectionPools::Retire(Generation& generation) {
  generation.is_retired = true;
  has_retired_ = true;
  Remember(generation);
  if (last_ == &generation) last_ = nullptr;
}

void ConnectionPools::Remember(const Generation& generation) {
  const std::optional<bool> multiplexes = generation.multi.Multiplexes();
  if (!multiplexes) return;
  const std::string& name = generation.endpoint->config.name;
  if (*multiplexes) {
    multiplexing_.insert(name);
  } else {
    multiplexing_.erase(name);
  }
}

void ConnectionPools::Retire(const CurlMulti& multi) {
  for (const auto& generation : generations_) {
    if (&generation->multi == &multi) Retire(*generation);
    if (generation->before != nullptr && &generation->before->multi == &multi) generation->before = nullptr;
  }
}

std::optional<SteadyTime> ConnectionPools::NextTimer() const {
  if (generations_.empty()) return std::nullopt;
  SteadyTime next = next_tidy_;
  for (const auto& generation : generations_) {
    if (generation->multi.Timer()) next = std::min(next, *generation->multi.Timer());
  }
  return next;
}

void ConnectionPools::RunTimers(SteadyTime now) {
  for (const auto& generation : generations_) generation->multi.RunTimer(now);
}

void ConnectionPools::TakeEnded(std::vector<EndedRequest>& ended) {
  for (const auto& generation : generations_) generation->multi.TakeEnded(ended);
}

void ConnectionPools::Tidy(SteadyTime now) {
  if (!has_retired_ && (generations_.empty() || now < next_tidy_)) return;
  next_tidy_ = now + kTidyEvery;
  std::vector<const Generation*> go_on;
  for (const auto& generation : generations_) {
    if (!IsComingUp(*generation, now)) generation->before = nullptr;
    go_on.push_back(generation->before);
  }
  std::erase_if(generations_, [&](const auto& generation) {
    const bool is_idle = now - generation->last_used >= kIdleConnection;
    const bool goes_on = std::find(go_on.begin(), go_on.end(), generation.get()) != go_on.end();
    if (generation->multi.UnderWay() != 0 || goes_on || !(generation->is_retired || is_idle)) return false;
    Remember(*generation);
    if (last_ == generation.get()) last_ = nullptr;
    return true;
  });
  has_retired_ = std::any_of(generations_.begin(), generations_.end(),
                             [](const auto& generation) { return generation->is_retired; });
}

}  // namespace outboxd
