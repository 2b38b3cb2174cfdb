// Who is let in when an HTTP server has its limit of connections, on both kinds of servers.
#include "daemon/base/mhd_connections.h"

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/base/deferred_http_server.h"
#include "daemon/base/http_server.h"
#include "tests/daemon/base/http_peer.h"
#include "tests/support/await.h"

namespace outboxd {
namespace {

using namespace testing;
using std::chrono::milliseconds;

constexpr unsigned kConnections = 20;

HttpServerOptions Few() {
  HttpServerOptions options;
  options.connections_max = kConnections;
  return options;
}

// Either kind of server, on a TCP port.
class Served {
 public:
  enum class Kind { kPlain, kDeferred };

  Served(Kind kind, const HttpServerOptions& options) {
    const Listening listening = ListenOnLoopback();
    port = listening.port;
    if (kind == Kind::kPlain) {
      auto started = HttpServer::Start(listening.descriptor, options,
                                       [](const HttpRequestView&) { return HttpResponse{}; });
      REQUIRE(started);
      plain_ = std::move(*started);
    } else {
      DeferredHttpServerOptions more;
      static_cast<HttpServerOptions&>(more) = options;
      auto started = DeferredHttpServer::Start(listening.descriptor, more,
                                               [](const HttpRequestView& request, HttpExchange& exchange) {
                                                 if (request.path == "/trusted") exchange.Trust();
                                                 return std::optional(HttpResponse{});
                                               });
      REQUIRE(started);
      deferred_ = std::move(*started);
    }
  }
  void CloseOverdue() {
    if (plain_) plain_->CloseOverdue();
    if (deferred_) deferred_->CloseOverdue();
  }
  // Within 10 s.
  bool ClosesWhenOverdue(Client& client) {
    return Await(
        [&] {
          CloseOverdue();
          return client.HasEnded();
        },
        std::chrono::seconds(10));
  }

  std::uint16_t port = 0;

 private:
  std::unique_ptr<HttpServer> plain_;
  std::unique_ptr<DeferredHttpServer> deferred_;
};

constexpr Served::Kind kKinds[] = {Served::Kind::kPlain, Served::Kind::kDeferred};

std::vector<std::unique_ptr<Client>> Crowd(std::uint16_t port, std::size_t count, std::string_view says) {
  std::vector<std::unique_ptr<Client>> crowd;
  for (std::size_t i = 0; i < count; ++i) {
    crowd.push_back(std::make_unique<Client>(port));
    if (!says.empty()) crowd.back()->Say(says);
  }
  return crowd;
}

TEST_CASE("connections: whatever a crowd of clients stops at, a newcomer is answered") {
  for (const Served::Kind kind : kKinds) {
    Served served(kind, Few());
    for (const std::string_view says :
         {"", "G",
          "GET /x HTTP/1.1\r\nHost: a\r\nX: ", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123",
          "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12"}) {
      CAPTURE(says);
      const auto crowd = Crowd(served.port, kConnections * 3, says);
      for (int i = 0; i < 3; ++i) {
        Client newcomer(served.port);
        REQUIRE(newcomer.Say(kGet));
        CHECK(StartsWith(newcomer.ListenToHead(), "HTTP/1.1 200 "));
      }
    }
  }
}

TEST_CASE(
    "connections: room is made by the one that has waited longest, of those who showed no credentials "
    "first") {
  Served served(Served::Kind::kDeferred, Few());
  Client trusted(served.port);
  REQUIRE(trusted.Say("GET /trusted HTTP/1.1\r\nHost: a\r\n\r\n"));
  REQUIRE(StartsWith(trusted.ListenToHead(), "HTTP/1.1 200 "));
  std::vector<std::unique_ptr<Client>> kept;
  for (unsigned i = 0; i < kConnections * 2; ++i) {
    kept.push_back(std::make_unique<Client>(served.port));
    REQUIRE(kept.back()->Say(kGet));
    REQUIRE(StartsWith(kept.back()->ListenToHead(), "HTTP/1.1 200 "));
  }
  CHECK(kept.front()->Listen().empty());  // closed
  REQUIRE(kept.back()->Say(kGet));
  CHECK(StartsWith(kept.back()->ListenToHead(), "HTTP/1.1 200 "));
  REQUIRE(trusted.Say(kGet));
  CHECK(StartsWith(trusted.ListenToHead(), "HTTP/1.1 200 "));
}

TEST_CASE("connections: room is made by idle ones before one whose request is half read") {
  Served served(Served::Kind::kDeferred, Few());
  const std::string trusted = "POST /trusted HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
  Client sending(served.port);
  REQUIRE(sending.Say(trusted + "123456789"));
  REQUIRE(StartsWith(sending.ListenToHead(), "HTTP/1.1 200 "));
  REQUIRE(sending.Say(trusted + "1234"));
  std::vector<std::unique_ptr<Client>> idle;
  for (unsigned i = 0; i < kConnections * 2; ++i) {
    idle.push_back(std::make_unique<Client>(served.port));
    REQUIRE(idle.back()->Say(trusted + "123456789"));
    REQUIRE(StartsWith(idle.back()->ListenToHead(), "HTTP/1.1 200 "));
  }
  CHECK(idle.front()->Listen().empty());  // closed
  REQUIRE(sending.Say("56789"));
  CHECK(StartsWith(sending.ListenToHead(), "HTTP/1.1 200 "));
}

TEST_CASE("connections: an answer says how long its connection is kept, and it is kept a little longer") {
  HttpServerOptions options = Few();
  options.idle_timeout = std::chrono::seconds(1);
  options.head_patience = milliseconds(200);
  for (const Served::Kind kind : kKinds) {
    Served served(kind, options);
    Client client(served.port);
    REQUIRE(client.Say(kGet));
    CHECK(client.ListenToHead().find("\r\nKeep-Alive: timeout=1\r\n") != std::string::npos);
    const auto answered = std::chrono::steady_clock::now();
    CHECK(served.ClosesWhenOverdue(client));
    CHECK(std::chrono::steady_clock::now() - answered > options.idle_timeout + milliseconds(100));
    const std::string last =
        Ask(served.port,
            "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
    CHECK(last.find("Connection: close") != std::string::npos);
    CHECK(last.find("Keep-Alive") == std::string::npos);
  }
}

TEST_CASE("connections: a request that comes as its idle connection is about to be closed is answered") {
  HttpServerOptions options;
  options.idle_timeout = std::chrono::seconds(0);
  options.head_patience = milliseconds(200);
  std::promise<void> begun;
  std::promise<void> over;
  DeferredHttpServerOptions deferred;
  static_cast<HttpServerOptions&>(deferred) = options;
  const Listening listening = ListenOnLoopback();
  const auto server = DeferredHttpServer::Start(listening.descriptor, deferred,
                                                [&](const HttpRequestView& request, HttpExchange&) {
                                                  if (request.path == "/hold") {
                                                    begun.set_value();
                                                    over.get_future().wait();
                                                  }
                                                  return std::optional(HttpResponse{});
                                                });
  REQUIRE(server);
  Client late(listening.port);
  REQUIRE(late.Say(kGet));
  REQUIRE(StartsWith(late.ListenToHead(), "HTTP/1.1 200 "));
  Client holding(listening.port);
  REQUIRE(holding.Say("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
  begun.get_future().wait();
  const auto start = std::chrono::steady_clock::now();
  CHECK(Await([&] { return std::chrono::steady_clock::now() - start > milliseconds(300); }));
  // The server's one thread is busy: it sees neither the end nor the request.
  (*server)->CloseOverdue();
  REQUIRE(late.Say(kGet));
  over.set_value();
  CHECK(StartsWith(late.ListenToHead(), "HTTP/1.1 200 "));
}

TEST_CASE("connections: a head that drips in has its time, on a new connection and on one that is kept") {
  HttpServerOptions options = Few();
  options.head_patience = milliseconds(300);
  for (const Served::Kind kind : kKinds) {
    Served served(kind, options);
    Client fresh(served.port);
    REQUIRE(fresh.Say("GET / HTTP/1.1\r\nHost"));
    Client silent(served.port);
    Client kept(served.port);
    REQUIRE(kept.Say(kGet));
    REQUIRE(StartsWith(kept.ListenToHead(), "HTTP/1.1 200 "));
    Client dripping(served.port);
    REQUIRE(dripping.Say(kGet));
    REQUIRE(StartsWith(dripping.ListenToHead(), "HTTP/1.1 200 "));
    CHECK(Await(
        [&] {
          dripping.Say("x");  // never a line
          served.CloseOverdue();
          return dripping.HasEnded();
        },
        std::chrono::seconds(10)));
    CHECK(served.ClosesWhenOverdue(fresh));
    CHECK(served.ClosesWhenOverdue(silent));
    REQUIRE(kept.Say(kGet));  // idle for as long, and well
    CHECK(StartsWith(kept.ListenToHead(), "HTTP/1.1 200 "));
  }
}

TEST_CASE("connections: a body that does not come has its time") {
  HttpServerOptions options = Few();
  options.body_patience = milliseconds(200);
  for (const Served::Kind kind : kKinds) {
    Served served(kind, options);
    Client client(served.port);
    REQUIRE(client.Say(Unfinished("x", 100)));
    CHECK(served.ClosesWhenOverdue(client));
  }
}

TEST_CASE("connections: a user's own bound holds where there is room for more") {
  HttpServerOptions options = Few();
  options.connections_per_user = 2;
  Served served(Served::Kind::kDeferred, options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>(served.port));
    REQUIRE(clients.back()->Say(kGet));
    REQUIRE(StartsWith(clients.back()->ListenToHead(), "HTTP/1.1 200 "));
  }
  CHECK(clients[0]->Listen().empty());
  REQUIRE(clients[1]->Say(kGet));
  CHECK(StartsWith(clients[1]->ListenToHead(), "HTTP/1.1 200 "));
}

}  // namespace
}  // namespace outboxd
