#include "daemon/base/deferred_http_server.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/daemon/base/http_peer.h"

namespace outboxd {
namespace {

using namespace testing;

// A deferred server and the thread that answers what has gathered, as the clerk does.
class DeferredServed {
 public:
  DeferredServed() : answering_([this] { AnswerAll(); }) {
    const Listening listening = ListenOnLoopback();
    port = listening.port;
    auto started = DeferredHttpServer::Start(listening.descriptor, {},
                                             [this](const HttpRequestView&, HttpExchange& exchange) {
                                               std::optional<HttpResponse> at_once;
                                               if (!exchange.Defer()) {
                                                 at_once.emplace().status = 503;
                                                 return at_once;
                                               }
                                               const std::lock_guard lock(mutex_);
                                               waiting_.push_back(&exchange);
                                               changed_.notify_all();
                                               return at_once;
                                             });
    REQUIRE(started);
    server = std::move(*started);
  }
  ~DeferredServed() {
    server.reset();
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_all();
    answering_.join();
  }

  void AwaitAnswers(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answered_ >= count; });
  }

  std::uint16_t port = 0;
  std::unique_ptr<DeferredHttpServer> server;

 private:
  void AnswerAll() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return is_over_ || !waiting_.empty(); });
      if (is_over_) return;
      std::vector<std::pair<HttpExchange*, HttpResponse>> answers;
      for (HttpExchange* exchange : waiting_) answers.emplace_back(exchange, HttpResponse{});
      waiting_.clear();
      answered_ += answers.size();
      lock.unlock();
      HttpExchange::Answer(std::move(answers));
      changed_.notify_all();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<HttpExchange*> waiting_;
  std::size_t answered_ = 0;
  bool is_over_ = false;
  std::thread answering_;
};

TEST_CASE("deferred http server: however many strangers' small bodies hang, they leave room for others") {
  DeferredHttpServerOptions options;
  options.bodies_bytes_max = 64'000;  // a thousand for each connection
  options.check_head = [](const HttpRequestView& request) {
    HeadVerdict verdict;
    if (request.path == "/bad") verdict.refusal = HttpResponse{401, kTextType, "who?", {}};
    return verdict;
  };
  const Listening listening = ListenOnLoopback();
  const auto server = DeferredHttpServer::Start(
      listening.descriptor, options,
      [](const HttpRequestView&, HttpExchange&) { return std::optional(HttpResponse{}); });
  REQUIRE(server);
  std::vector<std::unique_ptr<Client>> strangers;
  for (int i = 0; i < 55; ++i) {
    strangers.push_back(std::make_unique<Client>(listening.port));
    REQUIRE(strangers.back()->Say(Unfinished("bad", 1000)));
  }
  Client good(listening.port);
  REQUIRE(good.Say(Unfinished("good", 40'000) + "x"));
  CHECK(StartsWith(good.ListenToHead(), "HTTP/1.1 200 "));
  Client small(listening.port);
  REQUIRE(small.Say(Unfinished("good", 500) + "x"));
  CHECK(StartsWith(small.ListenToHead(), "HTTP/1.1 200 "));
}

TEST_CASE(
    "deferred http server: a body whose head is refused takes no room, and its sender sees the answer") {
  DeferredHttpServerOptions options;
  options.bodies_bytes_max = 20'000;
  options.check_head = [](const HttpRequestView& request) {
    HeadVerdict verdict;
    if (request.path == "/bad") verdict.refusal = HttpResponse{401, kTextType, "who?", {}};
    if (request.path == "/short") verdict.body_bytes_max = 5'000;
    return verdict;
  };
  std::atomic<int> asked{0};
  const Listening listening = ListenOnLoopback();
  const std::uint16_t port = listening.port;
  const auto server =
      DeferredHttpServer::Start(listening.descriptor, options, [&](const HttpRequestView&, HttpExchange&) {
        ++asked;
        return std::optional(HttpResponse{});
      });
  REQUIRE(server);
  std::array<Client, 3> refused{Client(port), Client(port), Client(port)};
  for (Client& client : refused) REQUIRE(client.Say(Unfinished("bad", 15'000)));
  Client too_long(port);
  REQUIRE(too_long.Say(Unfinished("short", 15'000)));
  Client chunked(port);
  REQUIRE(chunked.Say("POST /bad HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3a98\r\n" +
                      std::string(15'000, 'x')));
  Client good(port);
  REQUIRE(good.Say(Unfinished("good", 15'000) + "x"));
  CHECK(StartsWith(good.ListenToHead(), "HTTP/1.1 200 "));
  for (Client& client : refused) {
    REQUIRE(client.Say("x"));
    const std::string answer = client.Listen();
    CHECK(StartsWith(answer, "HTTP/1.1 401 "));
    CHECK(answer.find("\r\nConnection: close\r\n") != std::string::npos);
    CHECK(BodyOf(answer) == "who?");
  }
  REQUIRE(too_long.Say("x"));
  CHECK(StartsWith(too_long.Listen(), "HTTP/1.1 413 "));
  REQUIRE(chunked.Say("\r\n0\r\n\r\n"));
  CHECK(StartsWith(chunked.Listen(), "HTTP/1.1 401 "));
  CHECK(asked == 1);
}

TEST_CASE(
    "deferred http server: retired, it takes no new connection and answers each of the others once more") {
  DeferredServed served;
  Client client(served.port), idle(served.port);
  for (Client* each : {&client, &idle}) {
    CHECK(each->Say(kGet));
    CHECK(each->ListenToHead().find("Connection: close") == std::string::npos);
  }
  served.server->Retire();
  CHECK(client.Say(kGet));
  const std::string last = client.Listen();
  CHECK(StartsWith(last, "HTTP/1.1 200"));
  CHECK(last.find("Connection: close") != std::string::npos);
}

TEST_CASE("deferred http server: one that ends waits for a request that comes slowly, and answers it") {
  DeferredServed served;
  Client slow(served.port);
  REQUIRE(slow.Say(kGet));
  REQUIRE(StartsWith(slow.ListenToHead(), "HTTP/1.1 200 "));
  REQUIRE(slow.Say("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n"));
  std::thread ending([&served] { served.server.reset(); });
  for (int i = 0; i < 40; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    if (!slow.Say("x")) break;
  }
  CHECK(StartsWith(slow.Listen(), "HTTP/1.1 200 "));
  ending.join();
}

TEST_CASE("deferred http server: one that ends does not wait for a client that has long been silent") {
  DeferredServed served;
  Client silent(served.port), asking(served.port);
  REQUIRE(silent.Say("GET /x HT"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  CHECK(asking.Say(kGet));
  CHECK(StartsWith(asking.ListenToHead(), "HTTP/1.1 200 "));
  const auto begin = std::chrono::steady_clock::now();
  served.server.reset();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(2500));
  CHECK(silent.HasEnded());
}

TEST_CASE(
    "deferred http server: one that ends under load answers what it has deferred and defers nothing more") {
  for (int round = 0; round < 20; ++round) {
    DeferredServed served;
    std::atomic<std::size_t> others{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back([port = served.port, &others] {
        Client client(port);
        while (client.Say(kGet)) {
          const std::string head = client.ListenToHead();
          if (head.empty()) return;
          others += !StartsWith(head, "HTTP/1.1 200") && !StartsWith(head, "HTTP/1.1 503");
        }
      });
    }
    served.AwaitAnswers(100);
    served.server.reset();
    for (std::thread& client : clients) client.join();
    CHECK(others == 0);
  }
}

}  // namespace
}  // namespace outboxd
