// How connections end, and what that costs: HTTP/1.1 and HTTP/2, idle and under constant load. A request may
// be lost with its connection, but none is sent twice, and none that may have been answered is called
// unanswered.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/daemon/delivery/scripted_server.h"
#include "tests/daemon/delivery/worker_bench.h"
#include "tests/support/await.h"

namespace outboxd {
namespace {

using testing::Call;
using testing::EndpointAt;
using testing::Http;
using testing::Line;
using testing::RawTo;
using testing::ScriptedServer;
using testing::WorkerBench;

constexpr Http kBoth[] = {Http::kOne, Http::kTwo};
constexpr Milliseconds kShort(1000);  // a connection's timeout where one is to run out
constexpr Milliseconds kLong = std::chrono::seconds(60);

std::shared_ptr<Endpoint> To(const ScriptedServer& server) {
  auto endpoint = EndpointAt(server.Url());
  endpoint->config.ca_file = ScriptedServer::Authority();
  return endpoint;
}

Transfer Saying(const std::shared_ptr<const Endpoint>& endpoint, const std::string& body) {
  return RawTo(endpoint, "POST", "/v1/x", body);
}

Transfer Patient(const std::shared_ptr<const Endpoint>& endpoint, const std::string& body) {
  Transfer transfer = Saying(endpoint, body);
  transfer.job->job.raw->timeout = kLong;
  return transfer;
}

std::string BodyOf(const Finished& finished) {
  return finished.transfer.job->job.raw->text_body.value_or("");
}

struct Tally {
  int answered = 0;
  std::map<Fault, int> faults;
  void Add(const Finished& finished) {
    if (finished.answer.status == 200) {
      ++answered;
    } else {
      ++faults[finished.answer.fault];
    }
  }
};

// Constant load: as soon as a request ends the next one leaves, with a body of its own.
class Load {
 public:
  Load(WorkerBench& bench, std::shared_ptr<const Endpoint> endpoint)
      : bench_(bench), endpoint_(std::move(endpoint)) {}

  // `width` at a time while `is_on`, then waits for the last ones.
  void Run(int width, const std::function<bool()>& is_on) {
    int under_way = 0;
    do {
      for (; under_way < width && is_on(); ++under_way)
        bench_.Send(Saying(endpoint_, "load " + std::to_string(sent++)));
      if (under_way == 0) return;
      for (const Finished& finished : bench_.AwaitAny()) {
        tally.Add(finished);
        --under_way;
      }
    } while (true);
  }
  void Run(int width, int total) {
    const int last = sent + total;
    Run(width, [&] { return sent < last; });
  }

  Tally tally;
  int sent = 0;

 private:
  WorkerBench& bench_;
  const std::shared_ptr<const Endpoint> endpoint_;
};

void CheckNothingTwice(const ScriptedServer& server) {
  for (const auto& [body, times] : server.Arrived()) CHECK_MESSAGE(times == 1, body);
}

void Fine(Line& line, const Call& call) {
  line.Answer(call);
}

TEST_CASE("connection: requests share one with HTTP/2, and with HTTP/1.1 use it one after another") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer server(http, Fine);
    WorkerBench bench;
    const auto endpoint = To(server);
    CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
    Load load(bench, endpoint);
    load.Run(http == Http::kTwo ? 50 : 1, 200);
    CHECK(load.tally.answered == 200);
    CHECK(server.Connections() == 1);
    CheckNothingTwice(server);
  }
}

TEST_CASE("connection: one that the server ends by GOAWAY or Connection: close costs nobody a failure") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    // As a server does that takes so many requests on a connection: what comes after it is not looked at.
    ScriptedServer server(http, [](Line& line, const Call& call) {
      if (line.Calls() == 20) {
        line.AnswerLast(call);
      } else if (!line.IsLeft(call)) {
        line.Answer(call);
      }
    });
    WorkerBench bench;
    const auto endpoint = To(server);
    endpoint->config.timeout = std::chrono::seconds(2);
    Load load(bench, endpoint);
    load.Run(1, 60);
    load.Run(30, 600);
    CHECK(load.tally.answered + load.tally.faults[Fault::kUnanswered] == 660);
    CHECK(load.tally.answered >= 300);
    CHECK(server.Connections() >= 20);
    CheckNothingTwice(server);
  }
}

TEST_CASE("connection: a stream that the server refuses is unanswered, though it opened the connection") {
  ScriptedServer refusing(Http::kTwo, [](Line& line, const Call& call) { line.Refuse(call); });
  ScriptedServer leaving(Http::kTwo, [](Line& line, const Call&) { line.GoAway(0); });
  for (ScriptedServer* server : {&refusing, &leaving}) {
    WorkerBench bench;
    const auto endpoint = To(*server);
    for (const std::string body : {"first", "second"}) {
      const Finished finished = bench.Do(Saying(endpoint, body));
      CHECK(finished.ending == Ending::kFailed);
      CHECK(finished.answer.fault == Fault::kUnanswered);
      CHECK_MESSAGE(finished.answer.error.starts_with("reset: "), finished.answer.error);
    }
    CheckNothingTwice(*server);
  }
}

TEST_CASE("connection: one that ends before an answer leaves the request unanswered if it was used before") {
  const std::pair<std::string, void (*)(Line&)> ways[] = {{"close", [](Line& line) { line.Close(); }},
                                                          {"reset", [](Line& line) { line.Reset(); }},
                                                          {"half", [](Line& line) { line.HalfClose(); }}};
  for (const Http http : kBoth) {
    for (const auto& [name, end] : ways) {
      CAPTURE(static_cast<int>(http));
      CAPTURE(name);
      ScriptedServer server(http, [&way = end](Line& line, const Call& call) {
        if (line.Calls() % 3 != 0 && call.body != "poison") return line.Answer(call);
        way(line);
      });
      WorkerBench bench;
      const auto endpoint = To(server);
      CHECK(bench.Do(Saying(endpoint, "poison")).answer.fault == Fault::kNetwork);
      CHECK(bench.Do(Saying(endpoint, "one")).answer.status == 200);
      CHECK(bench.Do(Saying(endpoint, "two")).answer.status == 200);
      const Finished third = bench.Do(Saying(endpoint, "three"));
      CHECK(third.answer.fault == Fault::kUnanswered);
      CHECK_MESSAGE(third.answer.error.starts_with("reset: "), third.answer.error);
      CHECK(bench.Do(Saying(endpoint, "four")).answer.status == 200);
      CHECK(server.Connections() == 3);

      Load load(bench, endpoint);
      load.Run(10, 200);
      CHECK(load.tally.answered >= 20);
      // With HTTP/2 the request that opened a connection may be among those that are lost with it.
      if (http == Http::kOne) CHECK(load.tally.faults[Fault::kNetwork] == 0);
      CheckNothingTwice(server);
    }
  }
}

TEST_CASE("connection: half an answer is not called unanswered, whoever used the connection before") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer server(http, [](Line& line, const Call& call) {
      if (line.Calls() == 1) return line.Answer(call);
      line.BeginAnswer(call);
      line.Trickle(call);
      line.Close();
    });
    WorkerBench bench;
    const auto endpoint = To(server);
    CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
    const Finished second = bench.Do(Saying(endpoint, "second"));
    CHECK(second.answer.status == 0);
    CHECK(second.answer.fault == Fault::kNetwork);
    CheckNothingTwice(server);
  }
}

TEST_CASE("connection: what a server that closes after each answer without saying so loses is unanswered") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer server(http, [](Line& line, const Call& call) {
      line.Answer(call);
      line.Close();
    });
    WorkerBench bench;
    Load load(bench, To(server));
    load.Run(1, 50);
    load.Run(10, 200);
    CHECK(load.tally.answered >= 125);
    // With HTTP/2 a server that closes after one answer may leave the request that opened the connection.
    if (http == Http::kOne) CHECK(load.tally.faults[Fault::kNetwork] == 0);
    CheckNothingTwice(server);
  }
}

TEST_CASE("connection: one that is frozen costs one timeout, and is not used again") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer server(http, Fine);
    WorkerBench bench;
    const auto endpoint = To(server);
    endpoint->config.timeout = kShort;
    Load load(bench, endpoint);
    load.Run(5, 50);  // HTTP/1.1: several connections that idle
    const std::size_t before = server.Connections();
    server.FreezeAll();
    const Finished finished = bench.Do(Saying(endpoint, "into the ice"));
    CHECK(finished.answer.fault == Fault::kNetwork);
    CHECK(finished.answer.error == "timeout after 1000 ms");
    for (int i = 0; i < 5; ++i)
      CHECK(bench.Do(Saying(endpoint, "after " + std::to_string(i))).answer.status == 200);
    CHECK(server.Connections() == before + 1);
    CheckNothingTwice(server);
  }
}

TEST_CASE(
    "connection: one that a NAT forgot ends when nothing is acknowledged, and its like are not used again") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer server(http, Fine);
    WorkerBench bench;
    const auto endpoint = To(server);
    endpoint->config.connect_timeout = kShort;
    endpoint->config.timeout = kLong;
    Load load(bench, endpoint);
    load.Run(5, 50);
    const std::size_t before = server.Connections();
    if (!server.CanVanish()) {
      MESSAGE("skipped: this system lets root alone filter what a socket gets");
      return;
    }
    server.VanishAll();
    const Finished finished = bench.Do(Saying(endpoint, "into the void"));
    CHECK(finished.answer.fault == Fault::kUnanswered);
    CHECK_MESSAGE(finished.answer.error.starts_with("reset: "), finished.answer.error);
    for (int i = 0; i < 5; ++i)
      CHECK(bench.Do(Saying(endpoint, "after " + std::to_string(i))).answer.status == 200);
    CHECK(server.Connections() == before + 1);
    CheckNothingTwice(server);
  }
}

TEST_CASE("connection: one that is frozen ends for all who are on it with the first timeout") {
  ScriptedServer server(Http::kTwo, Fine);
  WorkerBench bench;
  const auto endpoint = To(server);
  endpoint->config.timeout = kShort;
  CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
  server.FreezeAll();
  std::vector<Transfer> transfers;
  for (int i = 0; i < 20; ++i) transfers.push_back(Patient(endpoint, "patient " + std::to_string(i)));
  transfers.push_back(Saying(endpoint, "in time"));
  bench.Get().Send(std::move(transfers));
  for (const Finished& finished : bench.Await(21)) {
    const bool is_first = BodyOf(finished) == "in time";
    CHECK(finished.answer.fault == (is_first ? Fault::kNetwork : Fault::kUnanswered));
    CHECK(finished.duration < kLong / 2);
  }
  CHECK(bench.Do(Saying(endpoint, "after")).answer.status == 200);
  CHECK(server.Connections() == 2);
}

TEST_CASE("connection: one that is frozen under constant load costs one timeout") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer server(http, Fine);
    WorkerBench bench;
    const auto endpoint = To(server);
    endpoint->config.timeout = kShort;
    CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
    Load load(bench, endpoint);
    load.Run(20, 200);
    CHECK(load.tally.answered == 200);
    server.FreezeAll();
    load.Run(20, 400);
    const int lost = load.tally.faults[Fault::kNetwork] + load.tally.faults[Fault::kUnanswered];
    CHECK(load.tally.answered + lost == 600);
    CHECK(lost <= 20);
    if (http == Http::kTwo) CHECK(load.tally.faults[Fault::kNetwork] == 1);
    CheckNothingTwice(server);
  }
}

TEST_CASE("connection: after a timeout under load HTTP/2 gets one new connection, not one for each request") {
  ScriptedServer server(Http::kTwo, Fine);
  WorkerBench bench;
  const auto endpoint = To(server);
  endpoint->config.timeout = kShort;
  CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
  server.FreezeAll();
  Load load(bench, endpoint);
  load.Run(50, 200);
  CHECK(load.tally.answered >= 150);
  CHECK(server.Connections() == 2);
}

TEST_CASE("connection: a slow request among healthy ones ends alone, and its connection takes nothing new") {
  std::mutex mutex;
  std::vector<std::pair<Line*, Call>> held;
  ScriptedServer server(Http::kTwo, [&](Line& line, const Call& call) {
    if (call.body == "held") {
      const std::lock_guard lock(mutex);
      held.emplace_back(&line, call);
    } else if (call.body != "slow") {
      line.Answer(call);
    }
  });
  WorkerBench bench;
  const auto endpoint = To(server);
  endpoint->config.timeout = kShort;
  CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
  std::vector<Transfer> transfers;
  transfers.push_back(Patient(endpoint, "held"));
  transfers.push_back(Saying(endpoint, "slow"));
  for (int i = 0; i < 60; ++i) transfers.push_back(Saying(endpoint, "healthy " + std::to_string(i)));
  bench.Get().Send(std::move(transfers));
  bool has_ended = false;
  std::size_t healthy = 60;
  for (int i = 0; !has_ended;) {
    for (const Finished& finished : bench.AwaitAny()) {
      if (BodyOf(finished) == "slow") {
        CHECK(finished.answer.fault == Fault::kNetwork);
        has_ended = true;
        continue;
      }
      CHECK(finished.answer.status == 200);
      --healthy;
      if (has_ended) continue;
      bench.Send(Saying(endpoint, "more " + std::to_string(i++)));
      ++healthy;
    }
  }
  for (const Finished& finished : bench.Await(healthy)) CHECK(finished.answer.status == 200);
  CHECK(bench.Do(Saying(endpoint, "after")).answer.status == 200);
  CHECK(server.Connections() == 2);
  CHECK(server.Open() == 2);
  held.at(0).first->Answer(held.at(0).second);
  CHECK(bench.Await(1).front().answer.status == 200);
  CHECK(Await([&] { return server.Open() == 1; }));
  CheckNothingTwice(server);
}

TEST_CASE("connection: a job's own short timeout says nothing of the connection") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer server(http, [](Line& line, const Call& call) {
      if (call.body.find("hasty") == std::string::npos) line.Answer(call);
    });
    WorkerBench bench;
    const auto endpoint = To(server);
    Load load(bench, endpoint);
    load.Run(1, 5);
    for (int i = 0; i < 20; ++i) {
      Transfer hasty = Saying(endpoint, "hasty " + std::to_string(i));
      hasty.job->job.raw->timeout = Milliseconds(i % 2 == 0 ? 1 : 20);
      const Finished finished = bench.Do(std::move(hasty));
      CHECK(finished.answer.fault == Fault::kOwnTimeout);
      CHECK(finished.duration < endpoint->config.connect_timeout / 2);
      load.Run(1, 3);
    }
    CHECK(load.tally.answered == 65);
    // libcurl closes a connection of HTTP/1.1 on which an answer is still to come.
    if (http == Http::kTwo) CHECK(server.Connections() == 1);
  }
}

TEST_CASE("connection: an answer byte by byte ends at the timeout, and is not taken for a dead connection") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    std::mutex mutex;
    std::pair<Line*, Call> held{};
    std::pair<Line*, Call> slow{};
    ScriptedServer server(http, [&](Line& line, const Call& call) {
      const std::lock_guard lock(mutex);
      if (call.body == "held") {
        held = {&line, call};
      } else if (call.body == "slow") {
        line.BeginAnswer(call);
        slow = {&line, call};
      } else {
        line.Answer(call);
      }
    });
    WorkerBench bench;
    const auto endpoint = To(server);
    endpoint->config.timeout = kShort;
    CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
    std::vector<Transfer> transfers;
    transfers.push_back(Patient(endpoint, "held"));
    transfers.push_back(Saying(endpoint, "slow"));
    std::atomic<bool> has_ended = false;
    std::thread trickle([&] {
      while (!has_ended) {
        {
          const std::lock_guard lock(mutex);
          if (slow.first != nullptr) slow.first->Trickle(slow.second);
        }
        std::this_thread::sleep_for(Milliseconds(20));
      }
    });
    bench.Get().Send(std::move(transfers));
    const std::vector<Finished> ended = bench.AwaitAny();
    has_ended = true;
    trickle.join();
    CHECK(BodyOf(ended.front()) == "slow");
    CHECK(ended.front().answer.fault == Fault::kNetwork);
    held.first->Answer(held.second);
    CHECK(bench.Await(1).front().answer.status == 200);
    CHECK(bench.Do(Saying(endpoint, "after")).answer.status == 200);
    CheckNothingTwice(server);
  }
}

TEST_CASE("connection: more requests than a connection takes go on further ones") {
  std::mutex mutex;
  std::vector<std::pair<Line*, Call>> held;
  ScriptedServer server(
      Http::kTwo,
      [&](Line& line, const Call& call) {
        const std::lock_guard lock(mutex);
        held.emplace_back(&line, call);
        if (held.size() == 1 || held.size() == 257) {
          for (const auto& [where, what] : held) where->Answer(what);
          if (held.size() == 257) held.clear();
        }
      },
      100);
  WorkerBench bench;
  const auto endpoint = To(server);
  CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
  std::vector<Transfer> transfers;
  for (int i = 0; i < 256; ++i) transfers.push_back(Saying(endpoint, "many " + std::to_string(i)));
  bench.Get().Send(std::move(transfers));
  int answered = 0;
  for (const Finished& finished : bench.Await(256)) answered += finished.answer.status == 200 ? 1 : 0;
  CHECK(answered == 256);
  CHECK(server.Connections() >= 3);
  CheckNothingTwice(server);
}

// A port of [::1] that takes no connection and refuses none: its queue is full.
class BlackHole {
 public:
  explicit BlackHole(std::uint16_t port) : listener_(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int yes = 1;
    setsockopt(listener_, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    is_there = bind(listener_, any, sizeof address) == 0 && listen(listener_, 0) == 0;
    for (int i = 0; i < 4 && is_there; ++i) {
      fillers_.push_back(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      connect(fillers_.back(), any, sizeof address);
    }
  }
  ~BlackHole() {
    for (const int fd : fillers_) close(fd);
    close(listener_);
  }
  BlackHole(const BlackHole&) = delete;
  BlackHole& operator=(const BlackHole&) = delete;

  bool is_there = false;

 private:
  const int listener_;
  std::vector<int> fillers_;
};

TEST_CASE(
    "connection: where IPv6 is dead and IPv4 alive, requests go by IPv4 without waiting for a timeout") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer server(http, Fine);
    const BlackHole dead(server.Port());
    REQUIRE(dead.is_there);
    WorkerBench bench;
    auto endpoint = EndpointAt("https://localhost:" + std::to_string(server.Port()));
    endpoint->config.ca_file = ScriptedServer::Authority();
    const Finished finished = bench.Do(Saying(endpoint, "first"));
    CHECK(finished.answer.status == 200);
    CHECK(finished.duration < endpoint->config.connect_timeout / 2);
    CHECK(bench.Do(Saying(endpoint, "second")).answer.status == 200);
    CHECK(server.Connections() == 1);
  }
}

TEST_CASE(
    "connection: an address that moved is found within the connections' lifetime, under constant load") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer before(http, Fine);
    WorkerBench bench;
    const auto endpoint = To(before);
    endpoint->config.connection_lifetime = kShort;
    Load load(bench, endpoint);
    load.Run(5, 50);
    before.StopListening();  // what goes on there are the connections that it has
    ScriptedServer after(http, Fine, 1000, before.Port());
    const auto deadline = std::chrono::steady_clock::now() + testing::kPatience;
    load.Run(5, [&] { return before.Open() != 0 && std::chrono::steady_clock::now() < deadline; });
    CHECK(before.Open() == 0);
    CHECK(after.Connections() >= 1);
    CHECK(load.tally.answered == load.sent);
    CheckNothingTwice(before);
    CheckNothingTwice(after);
  }
}

TEST_CASE(
    "connection: a reload finds an address that moved at once, and ends what is under way where it is") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    std::mutex mutex;
    std::pair<Line*, Call> held{};
    ScriptedServer before(http, [&](Line& line, const Call& call) {
      if (call.body != "held") return line.Answer(call);
      const std::lock_guard lock(mutex);
      held = {&line, call};
    });
    WorkerBench bench;
    const auto endpoint = To(before);
    CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
    bench.Send(Saying(endpoint, "held"));
    CHECK(Await([&] {
      const std::lock_guard lock(mutex);
      return held.first != nullptr;
    }));
    before.StopListening();
    ScriptedServer after(http, Fine, 1000, before.Port());
    const auto reloaded = std::make_shared<Endpoint>(*endpoint);
    CHECK(bench.Do(Saying(reloaded, "second")).answer.status == 200);
    CHECK(after.Connections() == 1);
    held.first->Answer(held.second);
    CHECK(bench.Await(1).front().answer.status == 200);
    CHECK(Await([&] { return before.Open() == 0; }));
  }
}

TEST_CASE("connection: what goes alone has a new one each, which nobody joins and which ends with it") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    std::mutex mutex;
    std::vector<std::pair<Line*, Call>> held;
    ScriptedServer server(http, [&](Line& line, const Call& call) {
      if (call.body.find("alone") == std::string::npos) return line.Answer(call);
      const std::lock_guard lock(mutex);
      held.emplace_back(&line, call);
    });
    WorkerBench bench;
    const auto endpoint = To(server);
    CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
    for (int i = 0; i < 5; ++i) {
      Transfer alone = Saying(endpoint, "alone " + std::to_string(i));
      alone.route = Route::kOwn;
      bench.Send(std::move(alone));
      CHECK(Await([&] {
        const std::lock_guard lock(mutex);
        return held.size() == static_cast<std::size_t>(i) + 1;
      }));
    }
    CHECK(bench.Do(Saying(endpoint, "second")).answer.status == 200);
    CHECK(server.Connections() == 6);
    for (const auto& [line, call] : held) {
      CHECK(line->Calls() == 1);
      line->Answer(call);
    }
    for (const Finished& finished : bench.Await(5)) CHECK(finished.answer.status == 200);
    CHECK(Await([&] { return server.Open() == 1; }));
    CHECK(bench.Do(Saying(endpoint, "third")).answer.status == 200);
    CHECK(server.Connections() == 6);
  }
}

TEST_CASE("connection: what goes alone and gets no answer has a failure that counts") {
  for (const Http http : kBoth) {
    CAPTURE(static_cast<int>(http));
    ScriptedServer server(http, [](Line& line, const Call& call) {
      if (call.body != "alone") return line.Answer(call);
      line.Reset();
    });
    WorkerBench bench;
    const auto endpoint = To(server);
    CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
    Transfer alone = Saying(endpoint, "alone");
    alone.route = Route::kOwn;
    CHECK(bench.Do(std::move(alone)).answer.fault == Fault::kNetwork);
  }
}

TEST_CASE(
    "connection: what is sent and not acknowledged for as long as a connection may take to make ends it") {
  ScriptedServer server(Http::kTwo, Fine);
  WorkerBench bench;
  const auto endpoint = To(server);
  endpoint->config.connect_timeout = Milliseconds(4321);
  CHECK(bench.Do(Saying(endpoint, "first")).answer.status == 200);
  int found = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0 || peer.sin_family != AF_INET ||
        ntohs(peer.sin_port) != server.Port())
      continue;
    unsigned timeout_ms = 0;
    length = sizeof timeout_ms;
    REQUIRE(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &length) == 0);
    CHECK(timeout_ms == 4321);
    ++found;
  }
  CHECK(found == 1);
}

}  // namespace
}  // namespace outboxd
