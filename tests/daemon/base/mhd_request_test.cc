// Which heads both kinds of servers take. libmicrohttpd alone takes them all.
#include "daemon/base/mhd_request.h"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/base/deferred_http_server.h"
#include "daemon/base/http_server.h"
#include "tests/daemon/base/http_peer.h"

namespace outboxd {
namespace {

using namespace testing;

// What each server answers, both on the same request, and how often their handlers were asked.
class BothServers {
 public:
  BothServers() {
    const Listening for_plain = ListenOnLoopback();
    const Listening for_deferred = ListenOnLoopback();
    plain_port_ = for_plain.port;
    deferred_port_ = for_deferred.port;
    auto plain =
        HttpServer::Start(for_plain.descriptor, {}, [](const HttpRequestView&) { return HttpResponse{}; });
    DeferredHttpServerOptions options;
    options.check_head = [](const HttpRequestView&) { return HeadVerdict{}; };
    auto deferred = DeferredHttpServer::Start(
        for_deferred.descriptor, options,
        [](const HttpRequestView&, HttpExchange&) { return std::optional(HttpResponse{}); });
    REQUIRE(plain);
    REQUIRE(deferred);
    plain_ = std::move(*plain);
    deferred_ = std::move(*deferred);
  }

  void CheckRefused(std::string_view request) const {
    CAPTURE(request);
    for (const std::uint16_t port : {plain_port_, deferred_port_}) {
      const std::string answer = Ask(port, request);  // until it is closed
      CHECK(StartsWith(answer, "HTTP/1.1 400 "));
      CHECK(answer.find("HTTP/1.1 200") == std::string::npos);
    }
  }
  // And nothing that comes on its connection afterwards.
  void CheckTakenAsTheLast(std::string_view request) const {
    CAPTURE(request);
    for (const std::uint16_t port : {plain_port_, deferred_port_}) {
      const std::string answers = Ask(port, std::string(request) + "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
      CHECK(StartsWith(answers, "HTTP/1.1 200 "));
      CHECK(answers.find("HTTP/1.1", 1) == std::string::npos);
    }
  }
  // However it is sent.
  void CheckTooLarge(std::string_view head, const std::string& body) const {
    CAPTURE(head);
    for (const std::uint16_t port : {plain_port_, deferred_port_}) {
      Client client(port);
      REQUIRE(client.Say(head));
      CHECK(client.Say(body));
      const std::string answer = client.Listen();
      CHECK(StartsWith(answer, "HTTP/1.1 413 "));
      CHECK(answer.find("\r\nConnection: close\r\n") != std::string::npos);
    }
  }
  void CheckTaken(const std::string& request, std::size_t piece_bytes = 1 << 20) const {
    CAPTURE(request);
    for (const std::uint16_t port : {plain_port_, deferred_port_}) {
      Client client(port);
      for (std::size_t at = 0; at < request.size(); at += piece_bytes)
        REQUIRE(client.Say(std::string_view(request).substr(at, piece_bytes)));
      CHECK(StartsWith(client.ListenToHead(), "HTTP/1.1 200 "));
    }
  }

 private:
  std::uint16_t plain_port_ = 0;
  std::uint16_t deferred_port_ = 0;
  std::unique_ptr<HttpServer> plain_;
  std::unique_ptr<DeferredHttpServer> deferred_;
};

TEST_CASE("request: a body far over the limit is read to its end, so that its sender sees the answer") {
  const BothServers servers;
  constexpr std::size_t kBytes = 20'000'000;
  const std::string body(kBytes, 'x');
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  servers.CheckTooLarge(head + "Content-Length: " + std::to_string(kBytes) + "\r\n\r\n", body);
  servers.CheckTooLarge(head + "Transfer-Encoding: chunked\r\n\r\n", "1312d00\r\n" + body + "\r\n0\r\n\r\n");
}

TEST_CASE("request: who asks before sending a body over the limit is answered at once") {
  const BothServers servers;
  servers.CheckTooLarge(
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n", "");
}

TEST_CASE("request head: two lengths, and a length beside chunks, are refused and end the connection") {
  const BothServers servers;
  const std::string smuggled = "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const char* lengths :
       {"Content-Length: 0\r\nContent-Length: 34\r\n", "Content-Length: 0\r\ncontent-length: 0\r\n",
        "Content-Length: 34\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 34\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"}) {
    servers.CheckRefused("POST /x HTTP/1.1\r\nHost: a\r\n" + std::string(lengths) + "\r\n0\r\n\r\n" +
                         smuggled);
  }
}

TEST_CASE("request head: a transfer encoding that is not chunked alone is refused, as is one of HTTP/1.0") {
  const BothServers servers;
  for (const char* encoding : {"gzip, chunked", "xchunked", "identity", "chunked, chunked"}) {
    CAPTURE(encoding);
    servers.CheckRefused("POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: " +
                         std::string(encoding) + "\r\n\r\n");
  }
  servers.CheckRefused("POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

TEST_CASE("request head: lines without CR, folded headers and names with spaces are refused") {
  const BothServers servers;
  for (const char* head :
       {"GET /x HTTP/1.1\nHost: a\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET /x HTTP/1.1\nHost: a\n\n", "GET /x HTTP/1.1\r\nHost: a\r\nX:\nY: b\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc: d\r\nY: e\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n 0\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length : 0\r\n\r\n", "GET /x HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX\x01: b\r\n\r\n"})
    servers.CheckRefused(head);
  using namespace std::string_literals;
  servers.CheckRefused("GET /x HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"s);
  servers.CheckRefused("GET /x HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n");
}

TEST_CASE("request head: a NUL in the target is refused: it is not cut there") {
  using namespace std::string_literals;
  const BothServers servers;
  for (const std::string& target :
       {"/x\0y"s, "/x\0"s, "\0/x"s, "/x?a=b\0&c"s, "/x\0?a=b"s, "/x\0HTTP/1.1"s, "/x\0\0"s}) {
    servers.CheckRefused("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
    servers.CheckRefused("POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" +
                         std::string(100'000, 'x'));
    servers.CheckRefused("POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    servers.CheckRefused("GET " + target + "\r\nHost: a\r\n\r\n");
  }
  for (const char* target : {"/x", "/x?a=b", "/x?", "*", "http://a/x?a=b"})
    servers.CheckTaken("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
  servers.CheckTaken("GET  /x HTTP/1.1\r\nHost: a\r\nX: " + std::string(8'000, 'x') + "\r\n\r\n", 1000);
}

TEST_CASE("request head: a request in chunks is the last of its connection, however its lines end") {
  const BothServers servers;
  const std::string head = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* body : {"3\r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n", "3;x\nabc\r\n0\r\n\r\n"})
    servers.CheckTakenAsTheLast(head + body);
}

TEST_CASE("request head: no Host in HTTP/1.1, and two of them, are refused") {
  const BothServers servers;
  servers.CheckRefused("GET /x HTTP/1.1\r\nX: a\r\n\r\n");
  servers.CheckRefused("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  servers.CheckRefused("GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
}

TEST_CASE("request head: what clients send is taken, in pieces and over a long time too") {
  const BothServers servers;
  servers.CheckTaken("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
  servers.CheckTaken(
      "GET /x HTTP/1.1\r\nHost: a\r\nX:\r\nY:   \r\nZ: b  \r\nx-y_z.!#$%&'*+^`|~0: a: b\t\"c\"\r\n\r\n");
  servers.CheckTaken("GET /x HTTP/1.0\r\n\r\n");
  servers.CheckTaken("POST /x HTTP/1.1\r\nhost:a\r\ncontent-length:3\r\n\r\nabc");
  servers.CheckTaken(
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  servers.CheckTaken("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + std::string(9000, 'x'));
  std::string many = "GET /x HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 90; ++i) many += "X-" + std::to_string(i) + ": " + std::string(100, 'v') + "\r\n";
  servers.CheckTaken(many + "\r\n");
  // Headers that were read before the buffer had to grow, and after.
  const std::string head =
      "POST /x HTTP/1.1\r\nHost: a\r\nX: " + std::string(3000, 'v') + "\r\nContent-Length: 3\r\n\r\n";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1500}})
    servers.CheckTaken(head + "abc", piece);
}

}  // namespace
}  // namespace outboxd
