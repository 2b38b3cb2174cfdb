// The thread: many requests at once, stopping, and what the sink is told.
#include "daemon/delivery/worker.h"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/base/mailbox.h"
#include "daemon/base/wall_clock.h"
#include "tests/daemon/delivery/worker_bench.h"
#include "tests/support/await.h"

namespace outboxd {
namespace {

using testing::EndpointAt;
using testing::Fine;
using testing::kPatience;
using testing::kSecret;
using testing::Peer;
using testing::RawTo;
using testing::SeenRequest;
using testing::StubServer;
using testing::Then;
using testing::WorkerBench;

TEST_CASE("worker: a hundred requests are in flight at once") {
  constexpr int kCount = 100;
  std::latch together(kCount);
  StubServer server([&](const SeenRequest&, const Peer& peer) {
    together.arrive_and_wait();
    peer.Answer(200);
    return Then::kKeep;
  });
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  std::vector<Transfer> transfers;
  for (int i = 0; i < kCount; ++i)
    transfers.push_back(RawTo(endpoint, "POST", "/v1/" + std::to_string(i), "{}"));
  bench.Get().Send(std::move(transfers));
  for (const Finished& finished : bench.Await(kCount)) CHECK(finished.answer.status == 200);
  CHECK(server.Connections() == kCount);
}

TEST_CASE("worker: answers belong to their requests, over many rounds on reused connections") {
  constexpr int kCount = 64;
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    peer.Answer(200, request.body);
    return Then::kKeep;
  });
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  for (int round = 0; round < 20; ++round) {
    std::vector<Transfer> transfers;
    for (int i = 0; i < kCount; ++i)
      transfers.push_back(RawTo(endpoint, "POST", "/v1/x", std::to_string(round * kCount + i)));
    bench.Get().Send(std::move(transfers));
    for (const Finished& finished : bench.Await(kCount))
      CHECK(finished.answer.body == finished.transfer.job->job.raw->text_body);
  }
  CHECK(server.Connections() <= kCount);
}

TEST_CASE("worker: two endpoints in turn keep to their own credentials and servers") {
  StubServer first(Fine);
  StubServer second(Fine);
  WorkerBench bench;
  auto one = EndpointAt(first.Url());
  auto two = EndpointAt(second.Url());
  two->config.name = "other";
  two->credentials = {.site_id = "other", .api_key = "key"};
  for (int i = 0; i < 3; ++i) {
    bench.Do(RawTo(one, "POST", "/v1/one", "{}"));
    bench.Do(RawTo(two, "GET", "/v1/two"));
  }
  CHECK(first.Requests().size() == 3);
  for (const SeenRequest& seen : first.Requests())
    CHECK(seen.HasHeader(std::string("Authorization: Basic ") + kSecret));
  CHECK(second.Requests().size() == 3);
  for (const SeenRequest& seen : second.Requests())
    CHECK(seen.HasHeader("Authorization: Basic b3RoZXI6a2V5"));
  CHECK(first.Connections() == 1);
}

TEST_CASE("worker: stopping brings everything under way back as aborted") {
  std::latch arrived(3);
  StubServer server([&](const SeenRequest&, const Peer& peer) {
    arrived.count_down();
    peer.AwaitClose();
    return Then::kClose;
  });
  WorkerBench bench;
  const auto endpoint = EndpointAt(server.Url());
  std::vector<Transfer> transfers;
  for (int i = 0; i < 3; ++i) transfers.push_back(RawTo(endpoint, "POST", "/v1/x", "{}"));
  bench.Get().Send(std::move(transfers));
  arrived.wait();
  std::vector<Transfer> late;
  late.push_back(RawTo(endpoint, "POST", "/v1/late", "{}"));
  bench.Get().Send(std::move(late));
  bench.Get().Stop();
  for (const Finished& finished : bench.Await(4)) {
    CHECK(finished.ending == Ending::kAborted);
    CHECK(finished.answer.status == 0);
    CHECK(finished.answer.error == "stopped");
    CHECK(finished.transfer.job != nullptr);
  }
  bench.Get().Send({});
  bench.Get().Stop();
}

TEST_CASE("worker: all that ends together reaches the sink in batches, on the worker's own thread") {
  constexpr int kCount = 50;
  const std::uint16_t port = StubServer::RefusedPort();
  std::atomic<int> calls = 0;
  Mailbox<std::size_t> sizes(1000);
  std::thread::id caller;
  Worker worker("test-net", [&](std::vector<Finished> batch) {
    ++calls;
    caller = std::this_thread::get_id();
    sizes.Post(batch.size());
  });
  const auto endpoint = EndpointAt("http://127.0.0.1:" + std::to_string(port));
  std::vector<Transfer> transfers;
  for (int i = 0; i < kCount; ++i) transfers.push_back(RawTo(endpoint, "POST", "/v1/x"));
  worker.Send(std::move(transfers));
  std::size_t ended = 0;
  std::vector<std::size_t> out;
  while (ended < kCount && sizes.TakeAll(out, std::chrono::milliseconds(kPatience))) {
    for (const std::size_t size : out) ended += size;
  }
  worker.Stop();
  CHECK(ended == kCount);
  CHECK(calls < kCount);
  CHECK(caller != std::this_thread::get_id());
}

TEST_CASE("worker: a request whose time ran out while the worker was held up ends once") {
  StubServer server([](const SeenRequest& request, const Peer& peer) {
    if (request.Line().find("slow") != std::string::npos) {
      peer.AwaitClose();
      return Then::kClose;
    }
    peer.Answer(200);
    return Then::kKeep;
  });
  std::atomic<std::size_t> ended = 0;
  Worker worker("test-net", [&](const std::vector<Finished>& batch) {
    if ((ended += batch.size()) == 1) std::this_thread::sleep_for(Milliseconds(400));  // the hold-up
  });
  const auto endpoint = EndpointAt(server.Url());
  std::vector<Transfer> transfers;
  transfers.push_back(RawTo(endpoint, "POST", "/v1/slow"));
  transfers.back().job->job.raw->timeout = Milliseconds(100);
  transfers.push_back(RawTo(endpoint, "POST", "/v1/fast"));
  worker.Send(std::move(transfers));
  CHECK(Await([&] { return ended == 2; }));
  worker.Stop();
  CHECK(ended == 2);
}

TEST_CASE("worker: the moment of sending is wall clock and the duration is how long it took") {
  StubServer server(Fine);
  WorkerBench bench;
  const auto before = WallClockNow();
  const Finished finished = bench.Do(RawTo(EndpointAt(server.Url()), "GET", "/v1/x"));
  const auto after = WallClockNow();
  CHECK(finished.sent >= before);
  CHECK(finished.sent <= after);
  CHECK(finished.duration <= after - before + Milliseconds(2));
}

}  // namespace
}  // namespace outboxd
