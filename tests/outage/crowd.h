// tests/outage/crowd.h — who asks for what: everything about a job follows from its number, so that millions
// need not be remembered.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace outboxd::outage {

class Crowd {
 public:
  // Jobs up to `backlog` are accepted during the outage. Half of those behind it are of customers who had
  // none before.
  Crowd(std::uint32_t customers, std::uint64_t backlog) : customers_(customers), backlog_(backlog) {}

  std::uint32_t CustomerOf(std::uint64_t number) const;
  std::uint32_t CustomerCount() const { return 2 * customers_; }
  bool IsNew(std::uint32_t customer) const { return customer >= customers_; }
  // One job in fifty has its own, between an hour and a day.
  std::optional<std::chrono::seconds> MaxAgeOf(std::uint64_t number) const;
  std::string LineOf(std::uint64_t number) const;

 private:
  std::uint32_t customers_;
  std::uint64_t backlog_;
};

}  // namespace outboxd::outage
