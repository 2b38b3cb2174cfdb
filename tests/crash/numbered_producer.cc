#include "tests/crash/numbered_producer.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "core/json.h"
#include "core/ulid.h"
#include "tests/support/line_client.h"

namespace outboxd {
namespace {

constexpr std::size_t kBatch = 12;
constexpr std::chrono::milliseconds kPace(3);  // between batches: load, not a flood
constexpr std::chrono::seconds kPatience(120);

}  // namespace

NumberedProducer::NumberedProducer(std::filesystem::path socket, std::size_t number, std::uint64_t seed,
                                   std::atomic<std::uint64_t>& acknowledged, std::function<bool()> may_send,
                                   Numbering numbering)
    : socket_(std::move(socket)),
      number_(number),
      seed_(seed),
      acknowledged_(acknowledged),
      may_send_(std::move(may_send)),
      numbering_(std::move(numbering)) {
  thread_ = std::thread([this] { Run(); });
}

NumberedProducer::~NumberedProducer() {
  finishing_ = true;
  if (thread_.joinable()) thread_.join();
}

bool NumberedProducer::Finish() {
  finishing_ = true;
  thread_.join();
  return !gave_up_;
}

std::string NumberedProducer::CustomerName(std::size_t customer) const {
  return "p" + std::to_string(number_) + "-" + std::to_string(customer);
}

std::vector<std::pair<std::string, std::int64_t>> NumberedProducer::LastNumbers() const {
  std::vector<std::pair<std::string, std::int64_t>> numbers;
  for (const auto& [customer, last] : last_) numbers.emplace_back(CustomerName(customer), last);
  return numbers;
}

void NumberedProducer::Compose() {
  for (std::size_t i = 0; i < kBatch; ++i) {
    const std::size_t customer = composed_ % numbering_.customers;
    const Ulid id = Ulid::Make(FromUnixMs(1'700'000'000'000 + static_cast<std::int64_t>(number_)),
                               Sequence{++composed_}, seed_);
    JsonWriter line;
    line.Object()
        .Key("type")
        .String("track")
        .Key("id")
        .String(CustomerName(customer))
        .Key("name")
        .String(numbering_.event);
    line.Key("event_id")
        .String(id.ToText())
        .Key("data")
        .Object()
        .Key("n")
        .Int(++last_[customer])
        .EndObject()
        .EndObject();
    unacknowledged_.push_back(line.Take());
  }
}

// Until everything is acknowledged. Replies come in the order of the lines, so what is answered is a
// beginning of what was sent.
bool NumberedProducer::Exchange() {
  LineClient client(socket_);
  while (true) {
    if (unacknowledged_.empty()) {
      std::this_thread::sleep_for(kPace);
      if (finishing_) return true;
      if (!may_send_()) continue;
      Compose();
    }
    std::string bytes;
    for (const std::string& line : unacknowledged_) bytes.append(line).append("\n");
    if (!client.Send(bytes)) return false;
    for (std::size_t left = unacknowledged_.size(); left > 0; --left) {
      const std::optional<std::string> reply = client.ReadLine();
      if (!reply) return false;
      const Result<JsonValue> json = JsonValue::Parse(*reply);
      if (!json || !(*json)["ok"].Bool()) {
        problems_.push_back(*reply);
        return false;
      }
      unacknowledged_.erase(unacknowledged_.begin());
      ++acknowledged_;
    }
  }
}

void NumberedProducer::Run() {
  std::optional<std::chrono::steady_clock::time_point> deadline;
  while (true) {
    try {
      if (Exchange()) return;
    } catch (const std::exception&) {
      // Nobody listens at the moment.
    }
    sent_again_ += unacknowledged_.size();
    std::this_thread::sleep_for(kPace);
    const auto now = std::chrono::steady_clock::now();
    if (finishing_ && !deadline) deadline = now + kPatience;
    if (!problems_.empty() || (deadline && now > *deadline)) {
      gave_up_ = true;
      return;
    }
  }
}

}  // namespace outboxd
