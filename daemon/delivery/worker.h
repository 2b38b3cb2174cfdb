// daemon/delivery/worker.h — a thread that drives many Track API requests at once over one libcurl multi
// handle.
//
// Takes Transfers, builds each request, sends it, and hands a Finished to the sink. Keep-alive connections
// are reused; redirects are never followed. A request leaves once: libcurl's silent repeat on a connection
// that broke is refused, because every attempt is to be recorded.
//
// Answers:  the body is kept up to limits::kAnswerBytes; more is read and dropped up to kDroppedAnswerBytes,
// then the connection is cut and
//           the status counts. An answer that breaks off before its end is not an answer: whether the request
//           took effect is not known. Nor is one with more than kAnswerHeadBytes of headers, for libcurl
//           keeps them all.
// Proxies:  http_proxy, https_proxy, all_proxy and no_proxy of the environment, as libcurl reads them.
// Secrets:  the Authorization header is built by libcurl from Endpoint and appears in no log, error or dump.
// SIGPIPE:  every signal is blocked in the worker's thread, so a peer that goes away is an error and nothing
// more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/request.h"
#include "core/verdict.h"
#include "daemon/delivery/endpoint.h"

namespace outboxd {

// Answer::error of a transfer that Stop() aborted.
inline constexpr std::string_view kStoppedError = "stopped";
inline constexpr std::size_t kDroppedAnswerBytes = 1024UL * 1024;
// Of all headers of an answer: those of interim answers before it and the trailers behind it as well.
inline constexpr std::size_t kAnswerHeadBytes = 64UL * 1024;

enum class TransferKind : std::uint8_t { kJob, kBatch, kProbe };

// One request. The worker owns its jobs until they come back in Finished.
struct Transfer {
  TransferKind kind = TransferKind::kJob;
  std::string connection;
  std::shared_ptr<const Endpoint> endpoint;
  std::unique_ptr<QueuedJob> job;                 // kJob
  std::vector<std::unique_ptr<QueuedJob>> batch;  // kBatch: two or more, each fit for it (core/batch.h)

  std::span<const std::unique_ptr<QueuedJob>> Jobs() const {
    return job ? std::span(&job, 1) : std::span(batch);
  }
};

struct Finished {
  Transfer transfer;
  Answer answer;
  Timestamp sent{};          // wall clock when the worker began with it, so connecting counts
  Milliseconds duration{0};  // monotonic
};

class Worker {
 public:
  // Called on the worker's thread with all transfers that ended in one round; must not block, may call
  // Send().
  using Sink = std::function<void(std::vector<Finished>)>;
  // Takes one line about a raw job with `debug`: its request, later its answer. Called on the worker's
  // thread.
  using DebugLog = std::function<void(std::string)>;

  // `name` is the thread's ("outboxd-net-0", at most 15 bytes). Ends the process when the kernel gives no
  // descriptor to begin with.
  Worker(const std::string& name, Sink sink, DebugLog debug_log = {});
  ~Worker();  // as Stop()

  // Any thread. The dispatcher bounds how many are out, so this never waits. After Stop() the transfers are
  // dropped: the outbox holds them.
  void Send(std::vector<Transfer> transfers);

  // Aborts what is still under way (each comes back through the sink with error "stopped") and joins the
  // thread. Not from the sink.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace outboxd
