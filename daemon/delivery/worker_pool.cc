#include "daemon/delivery/worker_pool.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "daemon/delivery/debug_text.h"
#include "daemon/delivery/transfer.h"
#include "daemon/delivery/worker.h"

namespace outboxd {

std::vector<std::vector<Transfer>> ShareOut(std::vector<Transfer> transfers, std::span<std::size_t> loads) {
  CHECK(!loads.empty());
  std::vector<std::vector<Transfer>> shares(loads.size());
  for (Transfer& transfer : transfers) {
    const auto least = static_cast<std::size_t>(std::min_element(loads.begin(), loads.end()) - loads.begin());
    ++loads[least];
    shares[least].push_back(std::move(transfer));
  }
  return shares;
}

WorkerPool::Member::Member(const std::string& name, const Worker::Sink& sink, const DebugLog& debug_log)
    : worker(
          name,
          [this, sink](std::vector<Finished> finished) {
            under_way.fetch_sub(finished.size(), std::memory_order_relaxed);
            sink(std::move(finished));
          },
          debug_log) {}

WorkerPool::WorkerPool(std::size_t count, const Worker::Sink& sink, const DebugLog& debug_log)
    : members_([&] {
        std::vector<std::unique_ptr<Member>> members;
        members.reserve(count);
        for (std::size_t i = 0; i < count; ++i)
          members.push_back(std::make_unique<Member>("outboxd-net-" + std::to_string(i), sink, debug_log));
        return members;
      }()) {}

void WorkerPool::Send(std::vector<Transfer> transfers) {
  std::vector<std::size_t> loads = Loads();
  std::vector<std::vector<Transfer>> shares = ShareOut(std::move(transfers), loads);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (shares[i].empty()) continue;
    members_[i]->under_way.fetch_add(shares[i].size(), std::memory_order_relaxed);
    members_[i]->worker.Send(std::move(shares[i]));
  }
}

std::vector<std::size_t> WorkerPool::Loads() const {
  std::vector<std::size_t> loads;
  loads.reserve(members_.size());
  for (const auto& member : members_) loads.push_back(member->under_way.load(std::memory_order_relaxed));
  return loads;
}

void WorkerPool::Stop() {
  for (const auto& member : members_) member->worker.Stop();
}

}  // namespace outboxd
