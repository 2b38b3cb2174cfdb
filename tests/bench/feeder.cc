// bench_feeder: a producer that sends events as fast as they are acknowledged, or evenly at a rate, and
// measures how long each acknowledgement took. A window of 1 is a client that waits for each reply; a larger
// one is a pipelining producer. One thread serves all its connections.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <span>
#include <stdexcept>

#include "core/json.h"
#include "tests/bench/event.h"
#include "tests/bench/histogram.h"
#include "tests/bench/pace.h"
#include "tests/bench/sockets.h"

namespace outboxd::bench {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kWriteBytes = 64 * 1024;
constexpr std::string_view kOk = R"({"ok":true)";
constexpr std::string_view kHttpOk = "HTTP/1.1 200 ";
constexpr std::int64_t kSilenceNs = 60 * kNsASecond;  // without any reply: the other end hangs

struct Options {
  std::string socket;
  std::uint64_t count = 100'000;
  double seconds = 0;  // no more is sent after them; 0: no such end
  std::uint64_t first = 0;
  std::size_t connections = 1;
  std::uint64_t window = 8192;  // over all connections
  double rate = 0;              // events a second over all connections; 0: as fast as they are acknowledged
  EventOptions events;
};

// Lines that went into the buffer at one time.
struct Sent {
  std::int64_t at_ns = 0;
  std::uint64_t lines = 0;
};

struct Client {
  Descriptor socket;
  std::string out;
  std::string half_reply;  // what came of a reply whose end is still to come
  std::deque<Sent> waiting;
  std::uint64_t unanswered = 0;
};

struct Replies {
  std::uint64_t All() const { return ok + refused; }

  std::uint64_t ok = 0;
  std::uint64_t refused = 0;
  std::string first_refusal;
  Histogram latency;
  std::int64_t last_ns = 0;
};

class Feeder {
 public:
  explicit Feeder(const Options& options);
  void Run();
  std::string Report() const;

 private:
  int Wait(std::span<epoll_event> ready) const;
  void Pump(Client& client);
  void SendDue();
  Client* NextFree();
  void Flush(Client& client);
  void Fill(Client& client);
  void Read(Client& client);
  std::uint64_t CountAnswers(Client& client, std::string_view bytes);
  std::uint64_t CountReplies(Client& client, std::string_view bytes);
  void CountReply(std::string_view reply);
  void Credit(Client& client, std::uint64_t replies);

  const Options options_;
  std::uint64_t count_;  // to send; what was sent, once the time is over
  const EventMaker events_;
  const std::uint64_t window_;  // of one connection
  Descriptor epoll_ = MakeEpoll();
  std::vector<Client> clients_;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  std::uint64_t sent_ = 0;
  Replies replies_;
  std::size_t next_client_ = 0;  // whose turn it is at a rate
  bool is_held_up_ = false;      // what is due waits for a free connection
  std::int64_t start_ns_ = 0;
  std::int64_t end_ns_ = 0;
};

Feeder::Feeder(const Options& options)
    : options_(options),
      count_(options.count),
      events_(options.events),
      window_(std::max<std::uint64_t>(1, options.window / options.connections)) {
  for (std::size_t i = 0; i < options.connections; ++i)
    clients_.emplace_back().socket = ConnectUnix(options.socket);
  for (std::size_t i = 0; i < clients_.size(); ++i)
    Watch(epoll_, clients_[i].socket.number(), EPOLLIN | EPOLLOUT | EPOLLET, i);
}

void Feeder::Run() {
  std::array<epoll_event, 64> ready{};
  start_ns_ = MonotonicNs();
  replies_.last_ns = start_ns_;
  while (replies_.All() < count_) {
    if (options_.rate > 0) SendDue();
    const int count = Wait(ready);
    if (count < 0 && errno != EINTR) FailSystem("epoll_pwait2");
    if (count == 0 && MonotonicNs() - replies_.last_ns >= kSilenceNs)
      throw std::runtime_error("no reply for a minute");
    for (int i = 0; i < count; ++i) Pump(clients_[ready[static_cast<std::size_t>(i)].data.u64]);
  }
  end_ns_ = MonotonicNs();
}

// Until something is ready, the next event is due, or the silence is too long.
int Feeder::Wait(std::span<epoll_event> ready) const {
  const std::int64_t now = MonotonicNs();
  std::int64_t until = replies_.last_ns + kSilenceNs;
  if (options_.rate > 0 && sent_ < count_) {
    const std::int64_t due = Pace(options_.rate, start_ns_).DueNs(sent_);
    if (!is_held_up_) until = std::min(until, due);
  }
  const timespec wait = WaitUntil(until, now);
  return epoll_pwait2(epoll_.number(), ready.data(), static_cast<int>(ready.size()), &wait, nullptr);
}

// Hands the events that are due to the connections in turns. Their time counts from when they were due, so
// that a stall shows in all events that it holds up and not in those alone that were under way.
void Feeder::SendDue() {
  const Pace pace(options_.rate, start_ns_);
  const std::int64_t now = MonotonicNs();
  is_held_up_ = false;
  while (sent_ < count_ && pace.DueNs(sent_) <= now) {
    Client* const client = NextFree();
    is_held_up_ = client == nullptr;
    if (is_held_up_) return;
    events_.Append(client->out, options_.first + sent_);
    client->waiting.push_back({pace.DueNs(sent_), 1});
    ++client->unanswered;
    ++sent_;
    Flush(*client);
  }
}

Client* Feeder::NextFree() {
  for (std::size_t tried = 0; tried < clients_.size(); ++tried) {
    Client& client = clients_[next_client_];
    next_client_ = (next_client_ + 1) % clients_.size();
    if (client.unanswered < window_) return &client;
  }
  return nullptr;
}

void Feeder::Flush(Client& client) {
  if (!SendSome(client.socket.number(), client.out))
    throw std::runtime_error("the daemon closed the connection");
}

void Feeder::Pump(Client& client) {
  Read(client);
  if (options_.rate > 0) return Flush(client);
  do {
    Fill(client);
    Flush(client);
  } while (client.out.empty() && client.unanswered < window_ && sent_ < count_);
}

void Feeder::Fill(Client& client) {
  Sent sent{MonotonicNs(), 0};
  if (options_.seconds > 0 && static_cast<double>(sent.at_ns - start_ns_) > options_.seconds * 1e9)
    count_ = sent_;
  while (client.unanswered < window_ && sent_ < count_ && client.out.size() < kWriteBytes) {
    events_.Append(client.out, options_.first + sent_);
    ++sent_;
    ++sent.lines;
    ++client.unanswered;
  }
  if (sent.lines > 0) client.waiting.push_back(sent);
}

void Feeder::Read(Client& client) {
  for (;;) {
    const ssize_t count = recv(client.socket.number(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count == 0 && replies_.All() == count_) return;
    if (count <= 0) throw std::runtime_error("the daemon closed the connection");
    Credit(client, CountReplies(client, {buffer_.data(), static_cast<std::size_t>(count)}));
    // The epoll is edge-triggered: a read that did not fill the buffer emptied the socket, and what comes
    // later wakes again.
    if (static_cast<std::size_t>(count) < buffer_.size()) return;
  }
}

// The endpoint's answer to a job that it took is a head and {}.
std::uint64_t Feeder::CountAnswers(Client& client, std::string_view bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n{}";
  std::string& answers = client.half_reply.append(bytes);
  std::uint64_t replies = 0;
  for (std::size_t end = answers.find(kEnd); end != std::string::npos; end = answers.find(kEnd)) {
    CountReply(std::string_view(answers).substr(0, end));
    answers.erase(0, end + kEnd.size());
    ++replies;
  }
  if (!answers.empty() && !kHttpOk.starts_with(answers.substr(0, kHttpOk.size())))
    throw std::runtime_error("refused: " + answers);
  return replies;
}

std::uint64_t Feeder::CountReplies(Client& client, std::string_view bytes) {
  if (!options_.events.credentials.empty()) return CountAnswers(client, bytes);
  std::uint64_t replies = 0;
  for (std::size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    if (client.half_reply.empty()) {
      CountReply(bytes.substr(0, end));
    } else {
      CountReply(client.half_reply.append(bytes.substr(0, end)));
      client.half_reply.clear();
    }
    bytes.remove_prefix(end + 1);
    ++replies;
  }
  client.half_reply.append(bytes);
  return replies;
}

void Feeder::CountReply(std::string_view reply) {
  if (reply.starts_with(kOk) || reply.starts_with(kHttpOk)) {
    ++replies_.ok;
    return;
  }
  if (replies_.refused++ == 0) replies_.first_refusal = reply;
}

void Feeder::Credit(Client& client, std::uint64_t replies) {
  const std::int64_t now = MonotonicNs();
  if (replies > 0) replies_.last_ns = now;
  if (replies > client.unanswered) throw std::runtime_error("more replies than lines");
  client.unanswered -= replies;
  while (replies > 0) {
    Sent& oldest = client.waiting.front();
    const std::uint64_t lines = std::min(replies, oldest.lines);
    replies_.latency.Add(now - oldest.at_ns, lines);
    replies -= lines;
    oldest.lines -= lines;
    if (oldest.lines == 0) client.waiting.pop_front();
  }
}

std::string Feeder::Report() const {
  const double seconds = static_cast<double>(end_ns_ - start_ns_) / 1e9;
  const auto microseconds = [](std::int64_t nanoseconds) {
    return static_cast<double>(nanoseconds / 100) / 10;
  };
  JsonWriter json;
  json.Object()
      .Key("ok")
      .Int(static_cast<std::int64_t>(replies_.ok))
      .Key("refused")
      .Int(static_cast<std::int64_t>(replies_.refused));
  if (replies_.refused > 0) json.Key("first_refusal").String(replies_.first_refusal);
  json.Key("seconds").Number(seconds).Key("rate").Number(static_cast<double>(replies_.ok) / seconds);
  json.Key("start_ns")
      .Int(start_ns_)
      .Key("end_ns")
      .Int(end_ns_)
      .Key("cpu_seconds")
      .Number(ProcessCpuSeconds());
  json.Key("ack_us").Object().Key("p50").Number(microseconds(replies_.latency.Percentile(0.5)));
  json.Key("p99")
      .Number(microseconds(replies_.latency.Percentile(0.99)))
      .Key("p999")
      .Number(microseconds(replies_.latency.Percentile(0.999)));
  json.Key("max").Number(microseconds(replies_.latency.Longest())).EndObject().EndObject();
  return json.Take();
}

}  // namespace
}  // namespace outboxd::bench

int main(int argc, char** argv) {
  outboxd::bench::Options options;
  CLI::App app("Feeds events to a producer socket and prints rate and acknowledgement times as JSON");
  app.add_option("--socket", options.socket,
                 "the producer socket, or with --credentials that of a Track-compatible endpoint")
      ->required();
  app.add_option("--count", options.count, "events to send")->capture_default_str();
  app.add_option("--seconds", options.seconds,
                 "send no more after these, even if --count is not reached; 0: no such end");
  app.add_option("--first", options.first, "number of the first event")->capture_default_str();
  app.add_option("--connections", options.connections, "connections to open")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  app.add_option("--window", options.window,
                 "unanswered events over all connections; equal to the connections: one at a time each")
      ->capture_default_str();
  app.add_option("--rate", options.rate,
                 "events a second, evenly over all connections; 0: as fast as they are acknowledged")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--bytes", options.events.bytes, "size of an event's line")->capture_default_str();
  app.add_option("--customers", options.events.customers, "customers the events are about")
      ->capture_default_str();
  app.add_option("--prefix", options.events.prefix, "of the customers' ids")->capture_default_str();
  app.add_option("--claims", options.events.claims,
                 "identify alone, claiming the events of this anonymous id");
  app.add_option("--credentials", options.events.credentials,
                 "SITE_ID:API_KEY: requests to a Track-compatible endpoint instead of lines");
  app.add_flag("--mixed", options.events.is_mixed, "track, identify and pageview instead of track alone");
  CLI11_PARSE(app, argc, argv);
  try {
    outboxd::bench::Feeder feeder(options);
    feeder.Run();
    std::printf("%s\n", feeder.Report().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_feeder: %s\n", error.what());
    return 1;
  }
  return 0;
}
