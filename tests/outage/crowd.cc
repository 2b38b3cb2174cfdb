#include "tests/outage/crowd.h"

namespace outboxd::outage {
namespace {

constexpr std::uint64_t kShortLived = 50;  // one in so many
constexpr std::uint64_t kHour = 3'600;

// The finalizer of SplitMix64: numbers in a row come out as if drawn.
std::uint64_t Mix(std::uint64_t number) {
  number += 0x9e3779b97f4a7c15;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
  number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
  return number ^ (number >> 31);
}

}  // namespace

std::uint32_t Crowd::CustomerOf(std::uint64_t number) const {
  const auto customer = static_cast<std::uint32_t>(Mix(number) % customers_);
  return number > backlog_ && number % 2 == 0 ? customers_ + customer : customer;
}

std::optional<std::chrono::seconds> Crowd::MaxAgeOf(std::uint64_t number) const {
  if (number % kShortLived != 0) return std::nullopt;
  return std::chrono::seconds(kHour + Mix(~number) % (23 * kHour));
}

std::string Crowd::LineOf(std::uint64_t number) const {
  std::string line = R"({"type":"track","id":")" + std::to_string(CustomerOf(number)) +
                     R"(","name":"purchase","data":{"price":23.45,"number":)" + std::to_string(number) + "}";
  if (const auto max_age = MaxAgeOf(number)) line += R"(,"max_age":)" + std::to_string(max_age->count());
  return line + "}";
}

}  // namespace outboxd::outage
