// daemon/worker.h — a thread that drives many Track API requests at once over one libcurl multi handle.
//
// Takes Transfers from its mailbox, builds the request, sends it, and hands a Finished to the sink it was given. Keep-alive connections are
// reused; redirects are never followed; the answer's body is kept up to limits::kAnswerBytes and the rest discarded.
// Secrets: the Authorization header is built per transfer from Endpoint and appears in no log, error or dump.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/request.h"
#include "core/verdict.h"
#include "daemon/config.h"
#include "daemon/mailbox.h"

namespace outboxd {

// Where and how a connection's requests go. Immutable; a reload makes a new one, transfers under way keep theirs.
struct Endpoint {
  ConnectionConfig config;
  Credentials credentials;
};

enum class TransferKind : std::uint8_t { kJob, kProbe };

struct Transfer {
  TransferKind kind = TransferKind::kJob;
  std::string connection;
  std::shared_ptr<const Endpoint> endpoint;
  std::unique_ptr<QueuedJob> job;  // kJob; the worker owns it until it comes back in Finished
};

struct Finished {
  Transfer transfer;
  Answer answer;
  Timestamp sent{};             // wall clock when the request left
  Milliseconds duration{0};     // monotonic
};

class Worker {
 public:
  // `name` is the thread's ("outboxd-net-0"). `sink` is called on the worker's thread with all transfers that ended in one round; it must not block.
  using Sink = std::function<void(std::vector<Finished>)>;
  Worker(std::string name, Sink sink);
  // Stops as Stop(0ms) if that was not done.
  ~Worker();

  // Any thread. The dispatcher bounds how many are out, so this never waits.
  void Send(std::vector<Transfer> transfers);

  // Aborts what is still under way (each comes back through the sink with error "stopped") and joins the thread.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace outboxd
