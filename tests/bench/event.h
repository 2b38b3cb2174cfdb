// tests/bench/event.h — the jobs that the benchmark sends: lines of a fixed size, or requests as a
// Customer.io library sends them, different only in digits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace outboxd::bench {

struct EventOptions {
  std::size_t bytes = 350;  // of a line without its newline
  std::uint64_t customers = 10'000;
  std::string prefix = "c";   // of the customer's id
  bool is_mixed = false;      // 7 of 10 track, 2 identify, 1 pageview instead of track alone
  std::string claims{};       // identify alone, which claims the events of this anonymous id
  std::string credentials{};  // "site_id:api_key": requests with a body of `bytes` instead of lines
};

class EventMaker {
 public:
  explicit EventMaker(const EventOptions& options);  // throws std::runtime_error when `bytes` is too small
  // Appends the line of event `number`, ended by a newline.
  void Append(std::string& out, std::uint64_t number) const;
  // "c00000042": which customer event `number` is about; the same number gives the same customer.
  std::string Customer(std::uint64_t number) const;

 private:
  struct Template {
    std::string line;
    std::size_t customer_at = 0;
    std::size_t number_at = 0;
  };
  Template MakeRequest() const;
  Template Make(const std::string& begin, const std::string& middle, const std::string& end) const;
  std::uint64_t CustomerNumber(std::uint64_t number) const;

  EventOptions options_;
  std::vector<Template> templates_;  // event n uses the n-th, around and around
};

}  // namespace outboxd::bench
