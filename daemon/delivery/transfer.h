// daemon/delivery/transfer.h — one request on its way to the Track API and what became of it, as they pass
// between dispatcher and worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/job.h"
#include "core/time.h"
#include "core/verdict.h"
#include "daemon/delivery/endpoint.h"

namespace outboxd {

enum class TransferKind : std::uint8_t { kJob, kBatch, kProbe };

enum class Route : std::uint8_t {
  kPooled,  // a connection that is kept, or a new one
  kOwn,     // a new connection that serves nothing else
};

// One request. The worker owns its jobs until they come back in Finished.
struct Transfer {
  TransferKind kind = TransferKind::kJob;
  Route route = Route::kPooled;
  bool is_heavy = false;
  bool is_patient = false;       // it may be out for longer than the connection's timeout
  bool is_of_troubled = false;   // its user was in trouble when it left (troubled_users.h)
  std::size_t cost = 0;          // in memory (SendCost)
  std::uint64_t deliveries = 0;  // of the connection, when it left
  std::string connection;
  std::shared_ptr<const Endpoint> endpoint;
  std::unique_ptr<QueuedJob> job;                 // kJob
  std::vector<std::unique_ptr<QueuedJob>> batch;  // kBatch: two or more, each fit for it (core/batch.h)

  std::span<const std::unique_ptr<QueuedJob>> Jobs() const {
    return job ? std::span(&job, 1) : std::span(batch);
  }
};

enum class Ending : std::uint8_t {
  kAnswered,  // Answer::status says how
  kFailed,    // no HTTP answer: Answer::error says why
  kAborted,   // by Worker::Stop(): says nothing about the job or the connection
};

inline Ending EndingOf(const Answer& answer) {
  return answer.status != 0 ? Ending::kAnswered : Ending::kFailed;
}

struct Finished {
  Transfer transfer;
  Ending ending = Ending::kFailed;
  Answer answer;
  Timestamp sent{};          // wall clock when the worker began with it, so connecting counts
  Milliseconds duration{0};  // monotonic
};

}  // namespace outboxd
