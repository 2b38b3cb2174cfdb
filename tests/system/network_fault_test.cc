// The network and whoever answers on it are hostile: each fault is a deferred job with a reason that tells an
// operator what is wrong, the daemon stays as it is, and once all is well the job is delivered.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <mutex>

#include "tests/daemon/delivery/stub_server.h"
#include "tests/support/give_up.h"
#include "tests/system/scene.h"
#include "tests/system/tls.h"

namespace outboxd {
namespace {

using testing::Peer;
using testing::SeenRequest;
using testing::StubServer;
using testing::Then;

bool Holds(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// However long a fault lasts, no job is given up.
ConfigValues Patient(ConfigValues overrides) {
  overrides["retry.max_attempts"] = "100000";
  return overrides;
}

// Wherever an operator may look, `reason` is what the job waits for.
void CheckTold(DaemonUnderTest& daemon, const std::string& job, std::string_view reason) {
  AwaitAttempts(daemon, job, 1);
  const JsonValue attempt = AttemptsOf(daemon, job).front();
  CHECK(attempt["result"].String() == "deferred");
  CHECK_FALSE(attempt.Has("status"));
  CHECK_MESSAGE(Holds(attempt["error"].String(), reason), attempt.ToText());
  for (const std::vector<std::string>& verb :
       {std::vector<std::string>{"list"}, {"explain", job}, {"status"}}) {
    const Finished told = daemon.Ctl(verb);
    INFO(verb.front(), ": ", told.out, told.err);
    CHECK(told.status.code == 0);
    CHECK(Holds(told.out, reason));
  }
}

// A server that does to each connection what it was last told to.
class Whim {
 public:
  using Deed = std::function<void(const Peer&)>;

  std::string Url() const { return server_.Url(); }
  void Become(Deed deed) {
    const std::lock_guard lock(mutex_);
    deed_ = std::move(deed);
  }
  void BecomeWell() { Become(nullptr); }

 private:
  Then Serve(const Peer& peer) {
    Deed deed;
    {
      const std::lock_guard lock(mutex_);
      deed = deed_;
    }
    if (deed == nullptr) {
      peer.Answer(200);
      return Then::kKeep;
    }
    deed(peer);
    return Then::kClose;
  }

  std::mutex mutex_;
  Deed deed_;
  StubServer server_{[this](const SeenRequest&, const Peer& peer) { return Serve(peer); }};
};

Whim::Deed Writes(std::string bytes) {
  return [bytes = std::move(bytes)](const Peer& peer) { peer.Write(bytes); };
}

std::string Block(std::string_view repeated) {
  std::string block;
  while (block.size() < 64 * 1024) block += repeated;
  return block;
}

// `start`, and then `more` for as long as it is taken, up to a gigabyte.
Whim::Deed WritesForEver(const std::string& start, std::string_view more) {
  const auto block = std::make_shared<const std::string>(Block(more));
  return [start, block](const Peer& peer) {
    peer.Write(start);
    for (int i = 0; i < 16 * 1024; ++i) peer.Write(*block);
  };
}

std::int64_t PeakMemoryKb(const DaemonUnderTest& daemon) {
  const std::string status = ReadFile("/proc/" + std::to_string(daemon.Pid()) + "/status");
  return std::strtoll(status.c_str() + status.find("VmHWM:") + 6, nullptr, 10);
}

// As the daemon counts them, its own answer included: it keeps its /proc from other programs of its user.
double OpenDescriptors(const DaemonUnderTest& daemon) {
  const std::string metrics = daemon.Ctl({"metrics"}).out;
  const std::size_t at = metrics.find("\nprocess_open_fds ");
  REQUIRE(at != std::string::npos);
  return std::strtod(metrics.c_str() + at + std::string_view("\nprocess_open_fds ").size(), nullptr);
}

TEST_CASE(
    "network: whatever a server writes instead of an answer, the job stays with its reason until the server "
    "is well") {
  struct Fault {
    std::string what;
    Whim::Deed deed;
    std::string reason;
  };
  const Fault faults[] = {
      {"a reset", [](const Peer& peer) { peer.ResetOnClose(); }, "reset: "},
      {"silence", [](const Peer& peer) { peer.AwaitClose(); }, "timeout after 300 ms"},
      {"another protocol", Writes("SSH-2.0-OpenSSH_9.2\r\n"), "Received HTTP/0.9 when not allowed"},
      {"a number that is none", Writes("HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}"),
       "Invalid Content-Length"},
      {"fewer bytes than announced", Writes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
       "answer cut short"},
      {"broken chunks", Writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n"),
       "chunked-encoding"},
      {"a slow body",
       [](const Peer& peer) {
         peer.Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{");
         peer.AwaitClose();
       },
       "timeout after 300 ms"},
      {"endless headers", WritesForEver("HTTP/1.1 200 OK\r\n", "X-Padding: pppppppp\r\n"),
       "bytes of headers"},
      {"endless trailers",
       WritesForEver("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-Padding: pppppppp\r\n"),
       "bytes of headers"},
      {"endless interim answers", WritesForEver("", "HTTP/1.1 100 Continue\r\n\r\n"), "bytes of headers"},
      {"an endless header", WritesForEver("HTTP/1.1 200 OK\r\nX-Padding: ", "p"), "a header too long"},
      {"an endless size of a chunk",
       WritesForEver("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;", "p"), "timeout after 300 ms"},
  };
  Whim server;
  DaemonUnderTest daemon(server.Url(), Patient({{"connections.default.timeout", "300ms"}}));
  for (const Fault& fault : faults) {
    INFO("the server answers with ", fault.what);
    server.Become(fault.deed);
    const std::string job = daemon.Accept(Event("42", 1));
    CheckTold(daemon, job, fault.reason);
    server.BecomeWell();
    daemon.AwaitDrained();
    CHECK(AttemptsOf(daemon, job).back()["result"].String() == "delivered");
  }
  CHECK(daemon.Terminate().code == 0);
}

TEST_CASE("network: an answer without end, packed or not, is cut, and the memory stays") {
  // Deflate: 2064 zeros in 13 bytes.
  constexpr std::string_view kZeros("\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x28\x18", 13);
  const std::string gzip_start("\x1f\x8b\x08\0\0\0\0\0\0\x03\x63\x18", 12);
  const Whim::Deed deeds[] = {
      WritesForEver("HTTP/1.1 503 Busy\r\n\r\n", "body"),
      WritesForEver("HTTP/1.1 503 Busy\r\nTransfer-Encoding: gzip\r\n\r\n" + gzip_start, kZeros),
      WritesForEver("HTTP/1.1 503 Busy\r\nContent-Encoding: gzip\r\n\r\n" + gzip_start, kZeros),
      WritesForEver("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "body"),
  };
  constexpr std::int64_t kGrowthKb = 16 * 1024;
  Whim server;
  DaemonUnderTest daemon(server.Url(), Patient({}));
  daemon.Accept(Event("42", 1));
  daemon.AwaitDrained();
  const std::int64_t before = PeakMemoryKb(daemon);
  for (const Whim::Deed& deed : deeds) {
    server.Become(deed);
    const std::string job = daemon.Accept(Event("42", 1));
    AwaitAttempts(daemon, job, 3);
    CHECK(AttemptsOf(daemon, job).front()["status"].Int() == 503);
    server.BecomeWell();
    daemon.AwaitDrained();
  }
  REQUIRE(before > 0);
  if (!kSanitized) CHECK(PeakMemoryKb(daemon) - before < kGrowthKb);
}

// A port that takes no connection and refuses none: nobody accepts, and the queue of those who wait is full.
class BlackHole {
 public:
  BlackHole() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    const int listener = Socket();
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 0) != 0)
      GiveUp("cannot listen");
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    for (int i = 0; i < 8; ++i) connect(Socket(), reinterpret_cast<sockaddr*>(&address), length);
    port_ = ntohs(address.sin_port);
  }
  ~BlackHole() {
    for (const int descriptor : descriptors_) close(descriptor);
  }
  BlackHole(const BlackHole&) = delete;
  BlackHole& operator=(const BlackHole&) = delete;

  std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  int Socket() {
    return descriptors_.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  }

  std::vector<int> descriptors_;
  std::uint16_t port_ = 0;
};

TEST_CASE(
    "network: a host that is not found or not reached keeps its jobs waiting until the config names "
    "another") {
  SimUnderTest sim;
  const BlackHole hole;
  const std::string name = std::string(64, 'n') + ".invalid";  // too long to be asked for
  DaemonUnderTest daemon(sim, Patient({{"connections.default.connect_timeout", "200ms"}}));
  struct Fault {
    std::string url, reason;
  };
  std::uint64_t delivered = 0;
  for (const Fault& fault : {Fault{"http://" + name, "resolve: Could not resolve host: " + name},
                             {hole.Url(), "connect: timeout after 200 ms"}}) {
    CAPTURE(fault.url);
    daemon.SetConfig("connections.default.base_url", Quoted(fault.url));
    daemon.Restart();
    CheckTold(daemon, daemon.Accept(Event("42", 1)), fault.reason);
    daemon.SetConfig("connections.default.base_url", Quoted(sim.BaseUrl()));
    daemon.Reload();
    daemon.AwaitDrained();
    CHECK(sim.Report().effects == ++delivered);
  }
}

TEST_CASE("network: hundreds of failures of every kind leave no descriptor behind") {
  SimUnderTest sim;
  StubServer resets([](const SeenRequest&, const Peer& peer) {
    peer.ResetOnClose();
    return Then::kClose;
  });
  StubServer silent([](const SeenRequest&, const Peer& peer) {
    peer.AwaitClose();
    return Then::kClose;
  });
  StubServer not_tls([](const SeenRequest&, const Peer&) { return Then::kClose; }, "220 no TLS\r\n");
  const std::map<std::string, std::string> urls{
      {"lost", "http://" + std::string(64, 'n') + ".invalid"},
      {"refused", "http://127.0.0.1:" + std::to_string(StubServer::RefusedPort())},
      {"resets", resets.Url()},
      {"silent", silent.Url()},
      {"tls", "https://127.0.0.1:" + std::to_string(not_tls.Port())}};
  ConfigValues overrides = Patient({{"retry.base", "1ms"}, {"retry.cap", "2ms"}});
  for (const auto& [name, url] : urls) {
    overrides.merge(ConnectionConfigOf(name, sim));
    overrides["connections." + name + ".base_url"] = Quoted(url);
    overrides["connections." + name + ".timeout"] = "20ms";
  }
  DaemonUnderTest daemon(sim, overrides);
  AttemptsOf(daemon, daemon.Accept(Event("42", 1)));
  daemon.AwaitDrained();
  const double before = OpenDescriptors(daemon);
  std::vector<std::string> jobs;
  for (const auto& [name, url] : urls) {
    jobs.push_back(
        daemon.Accept(R"({"type":"track","id":"42","name":"step","connection":)" + Quoted(name) + "}"));
  }
  for (const std::string& job : jobs) AwaitAttempts(daemon, job, 40);
  for (const auto& [name, url] : urls) CHECK(daemon.Ctl({"pause", name}).status.code == 0);
  // Of libcurl's own: two for each pool of connections, which each of two workers has.
  const double of_pools = static_cast<double>(urls.size()) * 4;
  CHECK_MESSAGE(Await([&] { return OpenDescriptors(daemon) <= before + of_pools + 10; }),
                OpenDescriptors(daemon), " instead of ", before);
}

TEST_CASE(
    "network: a certificate that is expired, of another host or of an unknown authority keeps jobs waiting, "
    "until it is right or known") {
  SimUnderTest sim;
  const Authority authority;
  const Authority stranger;
  const TlsFront good(sim, authority.Sign("IP:127.0.0.1"));
  const TlsFront expired(sim, authority.Sign("IP:127.0.0.1", "-1"));
  const TlsFront other(sim, authority.Sign("DNS:other.example"));
  const TlsFront unknown(sim, stranger.Sign("IP:127.0.0.1"));
  const std::map<std::string, std::pair<const TlsFront*, std::string>> faults{
      {"expired", {&expired, "tls: SSL certificate problem: certificate has expired"}},
      {"other",
       {&other, "tls: SSL: no alternative certificate subject name matches target host name '127.0.0.1'"}},
      {"unknown", {&unknown, "tls: SSL certificate problem: unable to get local issuer certificate"}},
  };
  ConfigValues overrides =
      Patient({{"connections.default.ca_file", Quoted(authority.Certificate().string())}});
  for (const auto& [name, fault] : faults) {
    overrides.merge(ConnectionConfigOf(name, sim));
    overrides["connections." + name + ".base_url"] = Quoted(fault.first->Url());
    overrides["connections." + name + ".ca_file"] = Quoted(authority.Certificate().string());
  }
  DaemonUnderTest daemon(good.Url(), overrides);
  for (const auto& [name, fault] : faults) {
    const std::string job =
        daemon.Accept(R"({"type":"track","id":"42","name":"step","connection":)" + Quoted(name) + "}");
    INFO("connection ", name);
    CheckTold(daemon, job, fault.second);
  }
  CHECK(sim.Report().requests == 0);
  daemon.Accept(Event("43", 1));
  sim.AwaitEffects(1);
  daemon.SetConfig("connections.expired.base_url", Quoted(good.Url()));
  daemon.SetConfig("connections.other.base_url", Quoted(good.Url()));
  daemon.SetConfig("connections.unknown.ca_file", Quoted(stranger.Certificate().string()));
  daemon.Reload();
  daemon.AwaitDrained();
  CHECK(sim.Report().effects == 4);
  CHECK(sim.Report().invalid.empty());
}

}  // namespace
}  // namespace outboxd
