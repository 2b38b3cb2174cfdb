#include "daemon/base/http_server.h"

#include <doctest/doctest.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/daemon/base/http_peer.h"

namespace outboxd {
namespace {

using namespace testing;

// Answers with everything it was asked.
HttpResponse Echo(const HttpRequestView& request) {
  HttpResponse answer;
  answer.body = std::string(request.method) + "|" + std::string(request.path) + "|" +
                std::string(request.query) + "|" + std::string(request.Header("x-word").value_or("none")) +
                "|" + std::string(request.body);
  return answer;
}

struct Served {
  std::unique_ptr<HttpServer> server;
  std::uint16_t port = 0;
};

Served Serve(HttpServerOptions options, HttpServer::Handler handler) {
  const Listening listening = ListenOnLoopback();
  auto server = HttpServer::Start(listening.descriptor, std::move(options), std::move(handler));
  REQUIRE(server);
  return {std::move(*server), listening.port};
}

// A listening Unix socket for the time of a test.
class UnixSocketFile {
 public:
  UnixSocketFile() {
    std::filesystem::remove(path);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(listen(descriptor, 16) == 0);
  }
  ~UnixSocketFile() { std::filesystem::remove(path); }

  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("outboxd-http-" + std::to_string(getpid()) + ".sock");
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

TEST_CASE("http server: method, raw path, raw query, headers and body reach the handler as they were sent") {
  using namespace std::string_literals;
  const Served served = Serve({}, &Echo);
  const std::string answer =
      Ask(served.port,
          "PUT /a%2Fb/c+d%20e//f?x=%26&y=+1&z HTTP/1.1\r\nHost: h\r\nX-WORD: yes\r\nConnection: close\r\n"
          "Content-Length: 5\r\n\r\nhe\0lo"s);
  CHECK(StartsWith(answer, "HTTP/1.1 200 "));
  CHECK(BodyOf(answer) == "PUT|/a%2Fb/c+d%20e//f|x=%26&y=+1&z|yes|he\0lo"s);
}

TEST_CASE("http server: status, content type and extra headers of the answer are sent") {
  const Served served = Serve({}, [](const HttpRequestView&) {
    return HttpResponse{503, "application/json", "{}", {{"Retry-After", "3"}}};
  });
  const std::string answer = Ask(served.port, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  CHECK(StartsWith(answer, "HTTP/1.1 503 "));
  CHECK(answer.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
  CHECK(answer.find("\r\nRetry-After: 3\r\n") != std::string::npos);
  CHECK(BodyOf(answer) == "{}");
}

TEST_CASE(
    "http server: a connection is kept for the next request, and pipelined requests are answered in order") {
  const Served served = Serve({}, &Echo);
  const std::string answers =
      Ask(served.port,
          "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
          "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::size_t first = answers.find("GET|/1||none|");
  const std::size_t second = answers.find("POST|/2||none|abc");
  const std::size_t third = answers.find("GET|/3||none|");
  CHECK(first < second);
  CHECK(second < third);
  CHECK(third != std::string::npos);
}

TEST_CASE("http server: a HEAD request gets the head alone") {
  const Served served = Serve({}, &Echo);
  const std::string answer = Ask(served.port, "HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  CHECK(StartsWith(answer, "HTTP/1.1 200 "));
  CHECK(BodyOf(answer).empty());
}

TEST_CASE(
    "http server: a body of exactly the limit is taken, one byte more is 413 and the handler is not asked") {
  std::atomic<int> asked{0};
  HttpServerOptions options;
  options.body_bytes_max = 1'000;
  options.too_large.body = "too much";
  const Served served = Serve(options, [&](const HttpRequestView& request) {
    ++asked;
    return HttpResponse{200, "text/plain", std::to_string(request.body.size()), {}};
  });
  const auto post = [&](std::size_t bytes) {
    return Ask(served.port, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: " +
                                std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'x'));
  };
  CHECK(BodyOf(post(1'000)) == "1000");
  CHECK(asked == 1);
  const std::string refused = post(1'001);
  CHECK(StartsWith(refused, "HTTP/1.1 413 "));
  CHECK(BodyOf(refused) == "too much");
  CHECK(refused.find("Retry-After") == std::string::npos);
  CHECK(asked == 1);
}

TEST_CASE("http server: a chunked body over the limit is 413 as well, and one without end is cut off") {
  HttpServerOptions options;
  options.body_bytes_max = 1'000;
  options.discarded_bytes_max = 100'000;
  const Served served = Serve(options, &Echo);
  const std::string head =
      "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string chunk = "1f4\r\n" + std::string(500, 'x') + "\r\n";
  CHECK(StartsWith(Ask(served.port, head + chunk + chunk + "0\r\n\r\n"), "HTTP/1.1 200 "));
  CHECK(StartsWith(Ask(served.port, head + chunk + chunk + chunk + "0\r\n\r\n"), "HTTP/1.1 413 "));

  Client endless(served.port);
  REQUIRE(endless.Say(head));
  bool is_cut_off = false;
  for (int sent = 0; sent < 100'000 && !is_cut_off; ++sent) is_cut_off = !endless.Say(chunk);
  CHECK(is_cut_off);
}

TEST_CASE("http server: a body that comes too slowly is cut off") {
  HttpServerOptions options;
  options.body_patience = std::chrono::milliseconds(100);
  const Served served = Serve(options, &Echo);
  Client slow(served.port);
  REQUIRE(slow.Say(Unfinished("x", 10)));
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  slow.Say("x");
  CHECK(slow.Listen().empty());
  Client quick(served.port);
  REQUIRE(quick.Say(Unfinished("x", 10) + "x"));
  quick.SayNoMore();
  CHECK(StartsWith(quick.Listen(), "HTTP/1.1 200 "));
}

TEST_CASE("http server: a request head over the limit is refused") {
  HttpServerOptions options;
  options.head_bytes_max = 4'096;
  const Served served = Serve(options, &Echo);
  const std::string long_header =
      Ask(served.port, "GET / HTTP/1.1\r\nHost: h\r\nX-Long: " + std::string(8'000, 'x') + "\r\n\r\n");
  CHECK_FALSE(StartsWith(long_header, "HTTP/1.1 200"));
  const std::string long_target =
      Ask(served.port, "GET /" + std::string(8'000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK_FALSE(StartsWith(long_target, "HTTP/1.1 200"));
}

TEST_CASE("http server: bytes that are not HTTP harm nobody") {
  const Served served = Serve({}, &Echo);
  Client garbler(served.port);
  garbler.Say(std::string_view("\0\xff\x01 garbage\r\n\r\n\r\n", 17));
  garbler.SayNoMore();
  CHECK_FALSE(StartsWith(garbler.Listen(), "HTTP/1.1 200"));
  CHECK(StartsWith(Ask(served.port, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
                   "HTTP/1.1 200 "));
}

TEST_CASE("http server: handlers run side by side, on threads that bear the server's name") {
  constexpr int kClients = 8;
  std::latch all_inside(kClients);
  std::atomic<int> named{0};
  HttpServerOptions options;
  options.thread_name = "outboxd-test";
  const Served served = Serve(options, [&](const HttpRequestView& request) {
    std::array<char, 16> name{};
    pthread_getname_np(pthread_self(), name.data(), name.size());
    if (std::string_view(name.data()) == "outboxd-test") ++named;
    all_inside.arrive_and_wait();
    return Echo(request);
  });
  std::vector<std::thread> clients;
  std::atomic<int> answered{0};
  for (int index = 0; index < kClients; ++index) {
    clients.emplace_back([&] {
      Client client(served.port);
      client.Say("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
      if (StartsWith(client.Listen(), "HTTP/1.1 200 ")) ++answered;
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(answered == kClients);
  CHECK(named == kClients);
}

TEST_CASE("http server: a stop closes idle connections and the listening socket") {
  Served served = Serve({}, &Echo);
  Client idle(served.port);
  REQUIRE(idle.IsConnected());
  REQUIRE(idle.Say("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  served.server.reset();
  idle.Listen();
  CHECK_FALSE(Client(served.port).IsConnected());
}

TEST_CASE("http server: a Unix socket serves as well") {
  const UnixSocketFile socket;
  auto server = HttpServer::Start(socket.descriptor, {}, &Echo);
  REQUIRE(server);
  Client client(socket.path);
  REQUIRE(client.IsConnected());
  client.Say("GET /unix HTTP/1.1\r\nHost: outboxd\r\nConnection: close\r\n\r\n");
  CHECK(BodyOf(client.Listen()) == "GET|/unix||none|");
}

TEST_CASE(
    "http server: on a Unix socket with a list of users, others are refused before the handler is asked") {
  for (const bool listed : {true, false}) {
    const UnixSocketFile socket;
    HttpServerOptions options;
    options.users = {listed ? geteuid() : geteuid() + 1};
    std::atomic<int> asked = 0;
    auto server = HttpServer::Start(socket.descriptor, options, [&](const HttpRequestView& request) {
      ++asked;
      return Echo(request);
    });
    REQUIRE(server);
    Client client(socket.path);
    client.Say("GET / HTTP/1.1\r\nHost: outboxd\r\nConnection: close\r\n\r\n");
    CHECK(client.Listen().starts_with(listed ? "HTTP/1.1 200" : "HTTP/1.1 403"));
    CHECK(asked == (listed ? 1 : 0));
  }
}

TEST_CASE("http server: a descriptor that cannot be listened on is an error") {
  CHECK_FALSE(HttpServer::Start(-1, {}, &Echo));
  CHECK_FALSE(HttpServer::Start(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), {}, &Echo));
}

}  // namespace
}  // namespace outboxd
