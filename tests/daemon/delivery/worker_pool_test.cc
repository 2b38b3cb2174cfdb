#include "daemon/delivery/worker_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/mailbox.h"
#include "tests/daemon/delivery/stub_server.h"

namespace outboxd {
namespace {

using testing::Peer;
using testing::SeenRequest;
using testing::StubServer;
using testing::Then;

std::vector<Transfer> TransfersTo(const std::shared_ptr<const Endpoint>& endpoint, std::size_t count) {
  std::vector<Transfer> transfers(count);
  for (std::size_t i = 0; i < count; ++i) {
    transfers[i].connection = std::to_string(i);
    transfers[i].endpoint = endpoint;
    transfers[i].kind = TransferKind::kProbe;
  }
  return transfers;
}

std::vector<std::string> NamesOf(const std::vector<Transfer>& transfers) {
  std::vector<std::string> names;
  for (const Transfer& transfer : transfers) names.push_back(transfer.connection);
  return names;
}

TEST_CASE("worker pool: each transfer goes to the least loaded worker, the first of equals, in order") {
  std::vector<std::size_t> loads{3, 0, 1};
  const auto shares = ShareOut(TransfersTo(nullptr, 6), loads);
  REQUIRE(shares.size() == 3);
  CHECK(NamesOf(shares[0]) == std::vector<std::string>{"5"});
  CHECK(NamesOf(shares[1]) == std::vector<std::string>{"0", "1", "3"});
  CHECK(NamesOf(shares[2]) == std::vector<std::string>{"2", "4"});
  CHECK(loads == std::vector<std::size_t>{4, 3, 3});
}

TEST_CASE("worker pool: a worker is loaded until its transfers have come back, and each comes back once") {
  std::atomic<bool> answering{false};
  StubServer server([&](const SeenRequest&, const Peer& peer) {
    answering.wait(false);
    peer.Answer(200);
    return Then::kKeep;
  });
  auto endpoint = std::make_shared<Endpoint>();
  endpoint->config.base_url = server.Url();
  Mailbox<std::string> finished(1);
  WorkerPool pool(2, [&](std::vector<Finished> batch) {
    for (const Finished& one : batch) finished.Post(one.transfer.connection);
  });
  pool.Send(TransfersTo(endpoint, 5));
  CHECK(pool.Loads() == std::vector<std::size_t>{3, 2});
  answering = true;
  answering.notify_all();
  std::vector<std::string> names;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (names.size() < 5 && std::chrono::steady_clock::now() < deadline) {
    std::vector<std::string> some;
    finished.TakeAll(some, Milliseconds(100));
    names.insert(names.end(), some.begin(), some.end());
  }
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == 5);
  CHECK(names.size() == 5);
  CHECK(pool.Loads() == std::vector<std::size_t>{0, 0});
}

TEST_CASE("worker pool: a stop brings back what is under way at every worker") {
  StubServer server([](const SeenRequest&, const Peer& peer) {
    peer.AwaitClose();
    return Then::kClose;
  });
  auto endpoint = std::make_shared<Endpoint>();
  endpoint->config.base_url = server.Url();
  std::atomic<std::size_t> finished{0};
  WorkerPool pool(3, [&](const std::vector<Finished>& batch) { finished += batch.size(); });
  pool.Send(TransfersTo(endpoint, 7));
  pool.Stop();
  CHECK(finished == 7);
  CHECK(pool.Loads() == std::vector<std::size_t>{0, 0, 0});
}

}  // namespace
}  // namespace outboxd
