// daemon/delivery/worker.h — a thread that drives many Track API requests at once by libcurl.
//
// Takes Transfers, sends each as a CurlRequest, and hands a Finished to the sink. Keep-alive connections are
// reused as connection_pools.h says. A request that meets the connection's timeout retires them; if nothing
// came in on its connection meanwhile, the others on it end as Fault::kUnanswered. A raw job's own shorter
// timeout says nothing of the connection.
//
// SIGPIPE:  every signal is blocked in the worker's thread, so a peer that goes away is an error and nothing
// more.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/delivery/debug_text.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {

class Worker {
 public:
  // Called on the worker's thread with all transfers that ended in one round; must not block, may call
  // Send().
  using Sink = std::function<void(std::vector<Finished>)>;

  // `name` is the thread's ("outboxd-net-0", at most 15 bytes). `debug_log` is called on the worker's thread.
  // Ends the process when the kernel gives no descriptor to begin with.
  Worker(const std::string& name, Sink sink, DebugLog debug_log = {});
  ~Worker();  // as Stop()

  // Any thread. The dispatcher bounds how many are out, so this never waits. After Stop() the transfers are
  // dropped: the outbox holds them.
  void Send(std::vector<Transfer> transfers);

  // Aborts what is still under way (each comes back through the sink as Ending::kAborted) and joins the
  // thread. Not from the sink.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace outboxd
