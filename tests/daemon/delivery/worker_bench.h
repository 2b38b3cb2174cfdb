// tests/daemon/delivery/worker_bench.h — a worker whose ended transfers are kept, and requests for it.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/mailbox.h"
#include "daemon/delivery/worker.h"
#include "tests/daemon/delivery/stub_server.h"

namespace outboxd::testing {

inline constexpr auto kPatience = std::chrono::seconds(20);
inline constexpr const char* kSecret = "c2l0ZTpzM2NyZXRrZXk=";  // base64 of site:s3cretkey

// A worker whose finished transfers and debug lines are kept.
class WorkerBench {
 public:
  WorkerBench()
      : worker_(
            "test-net", [this](std::vector<Finished> batch) { Keep(std::move(batch)); },
            [this](User, const std::string& line) { debug_ += line + "\n"; }) {}

  Worker& Get() { return worker_; }

  // Waits until `count` more have ended.
  std::vector<Finished> Await(std::size_t count) {
    std::vector<Finished> ended;
    std::vector<Finished> out;
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (ended.size() < count) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      finished_.TakeAll(out, Milliseconds(100));
      std::move(out.begin(), out.end(), std::back_inserter(ended));
    }
    CHECK(ended.size() == count);
    return ended;
  }

  // Waits until at least one more has ended.
  std::vector<Finished> AwaitAny() {
    std::vector<Finished> ended;
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (ended.empty()) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      finished_.TakeAll(ended, Milliseconds(100));
    }
    return ended;
  }

  void Send(Transfer transfer) {
    std::vector<Transfer> transfers;
    transfers.push_back(std::move(transfer));
    worker_.Send(std::move(transfers));
  }

  Finished Do(Transfer transfer) {
    Send(std::move(transfer));
    std::vector<Finished> ended = Await(1);
    return std::move(ended.front());
  }

  // Call after Stop(): the lines belong to the worker's thread until then.
  const std::string& Debug() const { return debug_; }

 private:
  void Keep(std::vector<Finished> batch) {
    for (Finished& finished : batch) finished_.Post(std::move(finished));
  }

  Mailbox<Finished> finished_{1};
  std::string debug_;
  Worker worker_;
};

inline std::shared_ptr<Endpoint> EndpointAt(std::string url) {
  auto endpoint = std::make_shared<Endpoint>();
  endpoint->config.name = "default";
  endpoint->config.base_url = std::move(url);
  endpoint->credentials = {.site_id = "site", .api_key = "s3cretkey"};
  return endpoint;
}

inline Transfer RawTo(std::shared_ptr<const Endpoint> endpoint, std::string method, std::string path,
                      std::string body = {}) {
  Transfer transfer;
  transfer.connection = "default";
  transfer.endpoint = std::move(endpoint);
  transfer.job = std::make_unique<QueuedJob>();
  transfer.job->job.type = JobType::kRaw;
  transfer.job->job.raw = std::make_unique<RawCall>();
  transfer.job->job.raw->method = std::move(method);
  transfer.job->job.raw->path = std::move(path);
  if (!body.empty()) transfer.job->job.raw->text_body = std::move(body);
  return transfer;
}

inline Then Fine(const SeenRequest&, const Peer& peer) {
  peer.Answer(200);
  return Then::kKeep;
}

}  // namespace outboxd::testing
