#include "daemon/base/http_server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace outboxd;

namespace {

struct Listening {
  int descriptor = -1;
  std::uint16_t port = 0;
};

Listening ListenOnLoopback() {
  Listening listening;
  listening.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(bind(listening.descriptor, generic, length) == 0);
  REQUIRE(listen(listening.descriptor, 16) == 0);
  REQUIRE(getsockname(listening.descriptor, generic, &length) == 0);
  listening.port = ntohs(address.sin_port);
  return listening;
}

// A client that says what it is told, byte for byte.
class Client {
 public:
  explicit Client(std::uint16_t port) : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    connected_ = connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  explicit Client(const std::filesystem::path& path)
      : descriptor_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ = connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { close(descriptor_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool IsConnected() const { return connected_; }
  // False when the server has hung up meanwhile.
  bool Say(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // Tells the server that nothing more will come.
  void SayNoMore() { shutdown(descriptor_, SHUT_WR); }
  // One answer without a body; empty when the server has hung up.
  std::string ListenToHead() {
    std::string heard;
    std::array<char, 4096> buffer{};
    while (!heard.ends_with("\r\n\r\n")) {
      const ssize_t received = recv(descriptor_, buffer.data(), buffer.size(), 0);
      if (received <= 0) return {};
      heard.append(buffer.data(), static_cast<std::size_t>(received));
    }
    return heard;
  }
  // Everything until the server closes the connection, or nothing has come for 10 s.
  std::string Listen() {
    std::string heard;
    std::array<char, 4096> buffer{};
    pollfd ready{descriptor_, POLLIN, 0};
    while (poll(&ready, 1, 10'000) == 1) {
      const ssize_t received = recv(descriptor_, buffer.data(), buffer.size(), 0);
      if (received <= 0) break;
      heard.append(buffer.data(), static_cast<std::size_t>(received));
    }
    return heard;
  }

 private:
  int descriptor_;
  bool connected_ = false;
};

bool StartsWith(const std::string& text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

std::string BodyOf(const std::string& answer) {
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

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

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

// A deferred server and the thread that answers what has gathered, as the clerk does.
class DeferredServed {
 public:
  DeferredServed() : answering_([this] { AnswerAll(); }) {
    const Listening listening = ListenOnLoopback();
    port = listening.port;
    auto started = HttpServer::StartDeferred(listening.descriptor, {},
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
  std::unique_ptr<HttpServer> server;

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

std::string Ask(std::uint16_t port, std::string_view request) {
  Client client(port);
  REQUIRE(client.IsConnected());
  client.Say(request);
  return client.Listen();
}

}  // namespace

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

// A request to /PATH with so many bytes to come; all of them but one.
std::string Unfinished(std::string_view path, std::size_t bytes) {
  return "POST /" + std::string(path) + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(bytes) +
         "\r\n\r\n" + std::string(bytes - 1, 'x');
}

TEST_CASE("http server: a body whose head is refused takes no room, and its sender sees the answer") {
  HttpServerOptions options;
  options.bodies_bytes_max = 20'000;
  options.check_head = [](const HttpRequestView& request) {
    HeadVerdict verdict;
    if (request.path == "/bad") verdict.refusal = HttpResponse{401, kTextType, "who?", {}};
    if (request.path == "/short") verdict.body_bytes_max = 5'000;
    return verdict;
  };
  std::atomic<int> asked{0};
  const Served served = Serve(options, [&](const HttpRequestView&) {
    ++asked;
    return HttpResponse{};
  });
  std::array<Client, 3> refused{Client(served.port), Client(served.port), Client(served.port)};
  for (Client& client : refused) REQUIRE(client.Say(Unfinished("bad", 15'000)));
  Client too_long(served.port);
  REQUIRE(too_long.Say(Unfinished("short", 15'000)));
  Client chunked(served.port);
  REQUIRE(chunked.Say("POST /bad HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3a98\r\n" +
                      std::string(15'000, 'x')));
  Client good(served.port);
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

TEST_CASE("http server: retired, it takes no new connection and answers each of the others once more") {
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

TEST_CASE("http server: one that ends under load answers what it has deferred and defers nothing more") {
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
