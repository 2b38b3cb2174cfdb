// tests/crash/numbered_producer.h — a producer that numbers the events of its own customers and sends again,
// with the same event_id, whatever was not acknowledged: the official way to make a repeated hand-over
// harmless.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace outboxd {

// What a producer sends: `customers` in turn, each with events numbered from 1.
struct Numbering {
  std::string event = "step";
  std::size_t customers = 6;
};

class NumberedProducer {
 public:
  // Counts in `acknowledged`, which all producers share. `may_send` is asked before each new batch: false
  // while enough is on its way.
  NumberedProducer(std::filesystem::path socket, std::size_t number, std::uint64_t seed,
                   std::atomic<std::uint64_t>& acknowledged, std::function<bool()> may_send,
                   Numbering numbering = {});
  ~NumberedProducer();
  NumberedProducer(const NumberedProducer&) = delete;
  NumberedProducer& operator=(const NumberedProducer&) = delete;

  // No new events; what is unacknowledged is still sent until it is. Ends the thread. False when it did not
  // succeed in time.
  bool Finish();

  std::uint64_t sent_again() const { return sent_again_; }
  // Only after Finish(): customer and the number of its last event, and what went wrong other than lost
  // connections.
  std::vector<std::pair<std::string, std::int64_t>> LastNumbers() const;
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  void Run();
  void Compose();
  bool Exchange();  // false: the connection broke
  std::string CustomerName(std::size_t customer) const;

  const std::filesystem::path socket_;
  const std::size_t number_;
  const std::uint64_t seed_;
  std::atomic<std::uint64_t>& acknowledged_;
  const std::function<bool()> may_send_;
  const Numbering numbering_;
  std::atomic<bool> finishing_{false};
  std::atomic<std::uint64_t> sent_again_{0};

  // The thread's own until it ended.
  std::map<std::size_t, std::int64_t> last_;  // by customer
  std::vector<std::string> unacknowledged_;   // lines, in the order of their events
  std::uint64_t composed_ = 0;
  bool gave_up_ = false;
  std::vector<std::string> problems_;
  std::thread thread_;
};

}  // namespace outboxd
