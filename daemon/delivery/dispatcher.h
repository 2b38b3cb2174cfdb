// daemon/delivery/dispatcher.h — decides which job leaves next, over all connections. One scheduler owns the
// queues; workers only deliver.
//
// Class Dispatcher is the logic, driven by whoever owns it with the time as an argument; DispatcherThread
// runs it on a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "daemon/base/mailbox.h"
#include "daemon/base/metrics.h"
#include "daemon/clerk/report.h"
#include "daemon/delivery/connection_queue.h"
#include "daemon/delivery/transfer.h"
#include "storage/outbox_reader.h"

namespace outboxd {

class Dispatcher {
 public:
  Dispatcher(OutboxReader reader, Metrics& metrics, std::uint64_t seed);

  // `tail`: the highest sequence in the outbox.
  Result<void> Start(const Endpoints& endpoints, const LimitsConfig& limits, Sequence tail, Timestamp now);
  // Connections that are gone keep their jobs and pause; new ones begin.
  Result<void> Configure(const Endpoints& endpoints, const LimitsConfig& limits, Timestamp now);

  // To be filled in one round and then carried out, its report with a ticket of its own.
  Actions NewActions();
  void OnCommitted(Committed committed, Actions& actions);
  void OnFinished(std::vector<Finished> finished, Timestamp now, Actions& actions);
  // Everything that may leave now. An Error says why the outbox cannot be read; the others were served.
  Result<void> Pump(Timestamp now, Actions& actions);
  Timestamp NextWake(Timestamp now) const;
  // From now on nothing more leaves.
  void StopSending() { stopping_ = true; }
  std::size_t InFlight() const;

  ConnectionQueue* Find(std::string_view connection);
  void Rewind(Sequence from);
  void Remove(std::span<const Sequence> sequences);
  std::vector<std::optional<JobPlace>> Places(std::span<const Sequence> sequences) const;
  std::vector<Sequence> InFlightJobs() const;
  std::vector<ConnectionStatus> Status() const;
  // Of probes that ended since the last call, by connection.
  std::vector<std::pair<std::string, ProbeReport>> TakeProbeReports();

 private:
  Result<void> Add(const std::string& name, std::shared_ptr<const Endpoint> endpoint, Timestamp now);
  void Count(const Outcome& outcome);
  void Observe(std::span<const Outcome> outcomes, Timestamp now);

  OutboxReader reader_;
  Metrics& metrics_;
  std::mt19937_64 random_;
  LimitsConfig limits_;
  Sequence tail_{};
  std::map<std::string, std::unique_ptr<ConnectionQueue>, std::less<>> queues_;
  std::uint64_t ticket_ = 0;
  bool stopping_ = false;
};

class DispatcherThread {
 public:
  using Call = std::function<void(Dispatcher&, Timestamp now)>;
  struct Ports {
    std::function<void(std::vector<Transfer>)> send;  // to the workers
    std::function<void(Report)> report;               // to the clerk
    std::function<void(const std::string& connection, const ProbeReport&)> probed;
    std::function<void(const Error&)> failed;  // the outbox cannot be read
  };
  DispatcherThread(Dispatcher dispatcher, Ports ports);
  ~DispatcherThread();

  // Once, when whoever the ports reach can reach this object: what is sent may come back at once.
  void Start();

  // Any thread; none of them waits.
  void OnCommitted(Committed committed);
  void OnFinished(std::vector<Finished> finished);
  bool Post(Call call);  // false after Stop()
  // True when so much waits to be looked at that bodies of accepted jobs need not be sent along.
  bool IsBehind() const { return unread_jobs_.load(std::memory_order_relaxed) > kUnreadJobsMax; }
  void Stop();

 private:
  static constexpr std::size_t kUnreadJobsMax = 2048;
  using Message = std::variant<Committed, std::vector<Finished>, Call>;
  void Run();
  void Handle(Message& message, Timestamp now, Actions& actions);
  void Act(Actions& actions);

  Dispatcher dispatcher_;
  Ports ports_;
  Mailbox<Message> mailbox_;
  std::atomic<std::size_t> unread_jobs_{0};
  std::thread thread_;
};

}  // namespace outboxd
