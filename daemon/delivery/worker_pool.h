// daemon/delivery/worker_pool.h — the daemon's workers; a transfer goes to the one with the least under way.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daemon/delivery/debug_text.h"
#include "daemon/delivery/transfer.h"
#include "daemon/delivery/worker.h"

namespace outboxd {

// Each transfer in turn to the worker with the lowest load, which grows by one; the first of equals. What
// each worker gets, by its index. `loads` holds the new loads afterwards. At least one worker.
std::vector<std::vector<Transfer>> ShareOut(std::vector<Transfer> transfers, std::span<std::size_t> loads);

class WorkerPool {
 public:
  // Starts `count` workers (at least 1) with the thread names outboxd-net-0 and so on. `sink` and `debug_log`
  // are called on their threads, on several at once; see Worker.
  WorkerPool(std::size_t count, const Worker::Sink& sink, const DebugLog& debug_log = {});
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // The dispatcher's thread. Never waits. After Stop() the transfers are dropped: the outbox holds them.
  void Send(std::vector<Transfer> transfers);
  // Transfers under way, by worker. Any thread.
  std::vector<std::size_t> Loads() const;
  // As Worker::Stop(), one worker after the other.
  void Stop();

 private:
  struct Member {
    Member(const std::string& name, const Worker::Sink& sink, const DebugLog& debug_log);
    std::atomic<std::size_t> under_way{0};
    Worker worker;
  };
  const std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace outboxd
