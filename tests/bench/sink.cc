// bench_sink: a Track API that only counts, at a few microseconds a request. One thread; keep-alive and
// pipelining; TLS where it is given a certificate.
//
//   GET  /_stats                                        the counts as JSON
//   POST /_set?status=503&customer=stuck&delay_ms=20    what to answer from now on, all requests or those
//   whose target holds the text; resets
//                                                       nothing; a member left out is as at the start
//   POST /_reset                                        counts from zero
#include <sys/epoll.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>

#include "core/json.h"
#include "tests/bench/channel.h"
#include "tests/bench/pace.h"
#include "tests/bench/sink_http.h"
#include "tests/bench/sockets.h"

namespace outboxd::bench {
namespace {

constexpr std::size_t kReadBytes = 512 * 1024;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::uint64_t kListenerTag = 0;

struct Behaviour {
  int status = 200;
  std::string customer;  // only targets that hold this get `status`; empty: all
  std::int64_t delay_ms = 0;
};

struct Counts {
  std::uint64_t requests = 0;
  std::uint64_t singles = 0;  // delivered one a request
  std::uint64_t batches = 0;
  std::uint64_t items = 0;   // delivered in batches
  std::uint64_t failed = 0;  // answered with another status than 200
  std::int64_t first_ns = 0;
  std::int64_t last_ns = 0;  // of what was delivered
};

struct Client {
  Channel channel;
  std::uint64_t tag = 0;
  SinkReader reader{};
  std::string out{};
  bool closes = false;
  bool wants_continue = false;
};

struct Delayed {
  std::int64_t due_ns;
  std::uint64_t tag;
  std::string answer;
};

std::string Answer(int status, std::string_view body, bool closes) {
  std::string answer = "HTTP/1.1 " + std::to_string(status) +
                       " Benchmark\r\nContent-Type: application/json\r\nContent-Length: ";
  answer += std::to_string(body.size());
  answer += closes ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n";
  answer += body;
  return answer;
}

std::string QueryValue(std::string_view target, std::string_view name) {
  const std::string wanted = std::string(name) + '=';
  std::size_t at = target.find('?' + wanted);
  if (at == std::string_view::npos) at = target.find('&' + wanted);
  if (at == std::string_view::npos) return {};
  const std::string_view value = target.substr(at + 1 + wanted.size());
  return std::string(value.substr(0, value.find('&')));
}

Behaviour ReadBehaviour(std::string_view target) {
  Behaviour behaviour;
  const std::string status = QueryValue(target, "status");
  const std::string delay = QueryValue(target, "delay_ms");
  std::from_chars(status.data(), status.data() + status.size(), behaviour.status);
  std::from_chars(delay.data(), delay.data() + delay.size(), behaviour.delay_ms);
  behaviour.customer = QueryValue(target, "customer");
  return behaviour;
}

class Sink {
 public:
  // `identity`: null for plain HTTP; outlives the sink.
  Sink(std::uint16_t port, const Identity* identity, Behaviour behaviour)
      : listener_(ListenLoopback(port)), identity_(identity), behaviour_(std::move(behaviour)) {
    Watch(epoll_, listener_.number(), EPOLLIN, kListenerTag);
  }
  std::uint16_t Port() const { return PortOf(listener_); }
  [[noreturn]] void Run();

 private:
  void Accept();
  void Serve(Client& client, std::uint32_t events);
  void OnRequest(Client& client, const SinkRequest& request);
  std::string Control(std::string_view target);
  int Judge(const SinkRequest& request);
  void Count(const SinkRequest& request, int status);
  void AnswerDue();
  void Flush(Client& client);
  int Wait(std::span<epoll_event> ready) const;
  std::string Stats() const;

  Descriptor epoll_ = MakeEpoll();
  Descriptor listener_;
  const Identity* identity_;
  Behaviour behaviour_;
  Counts counts_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Client>> clients_;
  std::uint64_t last_tag_ = kListenerTag;
  std::deque<Delayed> delayed_;  // in order of time, as the delay is one for all
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  const std::string usual_ = Answer(200, "{}", false);
};

void Sink::Run() {
  std::array<epoll_event, 256> ready{};
  for (;;) {
    const int count = Wait(ready);
    if (count < 0 && errno != EINTR) FailSystem("epoll_wait");
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = ready[static_cast<std::size_t>(i)];
      if (event.data.u64 == kListenerTag) {
        Accept();
      } else if (const auto found = clients_.find(event.data.u64); found != clients_.end()) {
        Serve(*found->second, event.events);
      }
    }
    AnswerDue();
  }
}

// To the microsecond, and asleep: at everyday rates an answer is always about to be due, and a sink that
// polled for it would take one core from the daemon.
int Sink::Wait(std::span<epoll_event> ready) const {
  const auto room = static_cast<int>(ready.size());
  if (delayed_.empty()) return epoll_wait(epoll_.number(), ready.data(), room, -1);
  const timespec wait = WaitUntil(delayed_.front().due_ns, MonotonicNs());
  return epoll_pwait2(epoll_.number(), ready.data(), room, &wait, nullptr);
}

void Sink::Accept() {
  for (Descriptor socket = AcceptFrom(listener_); socket.number() >= 0; socket = AcceptFrom(listener_)) {
    const std::uint64_t tag = ++last_tag_;
    auto client = std::make_unique<Client>(Client{Channel(std::move(socket), identity_), tag});
    Watch(epoll_, client->channel.Number(), EPOLLIN | EPOLLOUT | EPOLLET, tag);
    clients_.emplace(tag, std::move(client));
  }
}

void Sink::Serve(Client& client, std::uint32_t events) {
  const auto on_request = [this, &client](const SinkRequest& request) { OnRequest(client, request); };
  bool is_open = (events & (EPOLLERR | EPOLLHUP)) == 0;
  while (is_open && (events & EPOLLIN) != 0) {
    const std::optional<std::size_t> count = client.channel.Receive(buffer_);
    if (count == 0) break;
    is_open = count && client.reader.Take({buffer_.data(), *count}, on_request, client.wants_continue);
    // The epoll is edge-triggered: a read that did not fill the buffer emptied the socket.
    if (client.channel.ShortReadsDrain() && count < buffer_.size()) break;
  }
  if (is_open) {
    Flush(client);
  } else {
    clients_.erase(client.tag);
  }
}

void Sink::Flush(Client& client) {
  if (std::exchange(client.wants_continue, false)) client.out.insert(0, kContinue);
  const bool is_open = client.channel.Send(client.out);
  if (!is_open || (client.closes && client.out.empty())) clients_.erase(client.tag);
}

void Sink::OnRequest(Client& client, const SinkRequest& request) {
  client.closes = client.closes || request.closes;
  if (request.target.starts_with("/_")) {
    client.out += Answer(200, Control(request.target), request.closes);
    return;
  }
  const int status = Judge(request);
  Count(request, status);
  std::string unusual;
  if (status != 200 || request.closes) unusual = Answer(status, "{}", request.closes);
  const std::string& answer = unusual.empty() ? usual_ : unusual;
  if (behaviour_.delay_ms == 0) {
    client.out += answer;
  } else {
    client.closes = false;
    delayed_.push_back({MonotonicNs() + behaviour_.delay_ms * 1'000'000, client.tag, answer});
  }
}

int Sink::Judge(const SinkRequest& request) {
  const bool concerns =
      behaviour_.customer.empty() || request.target.find(behaviour_.customer) != std::string_view::npos;
  return concerns ? behaviour_.status : 200;
}

void Sink::Count(const SinkRequest& request, int status) {
  ++counts_.requests;
  if (status != 200) {
    ++counts_.failed;
    return;
  }
  if (request.target.ends_with("/accounts/region")) return;
  counts_.last_ns = MonotonicNs();
  if (counts_.first_ns == 0) counts_.first_ns = counts_.last_ns;
  if (request.target.ends_with("/batch")) {
    ++counts_.batches;
    counts_.items += request.items;
  } else {
    ++counts_.singles;
  }
}

void Sink::AnswerDue() {
  if (delayed_.empty()) return;
  const std::int64_t now = MonotonicNs();
  for (; !delayed_.empty() && delayed_.front().due_ns <= now; delayed_.pop_front()) {
    const auto found = clients_.find(delayed_.front().tag);
    if (found == clients_.end()) continue;
    found->second->out += delayed_.front().answer;
    Flush(*found->second);
  }
}

std::string Sink::Control(std::string_view target) {
  if (target.starts_with("/_set")) behaviour_ = ReadBehaviour(target);
  if (target.starts_with("/_reset")) counts_ = Counts();
  return Stats();
}

std::string Sink::Stats() const {
  const auto number = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  JsonWriter json;
  json.Object().Key("requests").Int(number(counts_.requests)).Key("singles").Int(number(counts_.singles));
  json.Key("batches")
      .Int(number(counts_.batches))
      .Key("items")
      .Int(number(counts_.items))
      .Key("failed")
      .Int(number(counts_.failed));
  json.Key("delivered").Int(number(counts_.singles + counts_.items));
  json.Key("first_ns").Int(counts_.first_ns).Key("last_ns").Int(counts_.last_ns);
  json.Key("connections")
      .Int(number(clients_.size()))
      .Key("cpu_seconds")
      .Number(ProcessCpuSeconds())
      .EndObject();
  return json.Take();
}

}  // namespace
}  // namespace outboxd::bench

int main(int argc, char** argv) {
  std::uint16_t port = 0;
  std::string certificate, key;
  outboxd::bench::Behaviour behaviour;
  CLI::App app("A Track API that only counts; prints its port, ends with SIGTERM");
  app.add_option("--port", port, "on the loopback; 0 takes a free one");
  app.add_option("--delay-ms", behaviour.delay_ms, "how long each answer waits")
      ->check(CLI::Range(0, 60'000));
  app.add_option("--status", behaviour.status, "what is answered")->check(CLI::Range(200, 599));
  app.add_option("--fail-customer", behaviour.customer,
                 "only requests whose target holds this text get --status, others 200");
  CLI::Option* tls =
      app.add_option("--tls-certificate", certificate, "speak TLS with this certificate (PEM)");
  app.add_option("--tls-key", key, "its key (PEM)")->needs(tls);
  tls->needs("--tls-key");
  CLI11_PARSE(app, argc, argv);
  try {
    std::optional<outboxd::bench::Identity> identity;
    if (!certificate.empty()) identity.emplace(certificate, key);
    outboxd::bench::Sink sink(port, identity ? &*identity : nullptr, behaviour);
    std::printf("%u\n", static_cast<unsigned>(sink.Port()));
    std::fflush(stdout);
    sink.Run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_sink: %s\n", error.what());
    return 1;
  }
}
