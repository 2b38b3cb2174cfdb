#include "tests/ctl/fake_daemon.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "ctl/commands.h"

namespace outboxd::test {

TempFolder::TempFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "outboxctl-test-XXXXXX").string();
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::Write(const std::string& name, const std::string& content) const {
  std::ofstream(path_ / name, std::ios::binary) << content;
  return (path_ / name).string();
}

std::string TempFolder::Read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

SocketServer::SocketServer(std::filesystem::path path, Serve serve) : serve_(std::move(serve)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.native().size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener_, 16) == 0);
  REQUIRE(::pipe2(stop_, O_CLOEXEC) == 0);
  thread_ = std::thread([this] { Loop(); });
}

SocketServer::~SocketServer() {
  ::close(stop_[1]);
  thread_.join();
  ::close(stop_[0]);
  ::close(listener_);
}

void SocketServer::Loop() {
  while (true) {
    pollfd ready[2] = {{listener_, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0) continue;  // a change of the process's user interrupts every thread
    if (ready[1].revents != 0) return;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    Talk(client);
    ::close(client);
  }
}

void SocketServer::Talk(int client) {
  std::string received;
  while (true) {
    const Step step = serve_(received);
    if (!step.answer.empty()) ::send(client, step.answer.data(), step.answer.size(), MSG_NOSIGNAL);
    if (step.close) return;
    if (!step.answer.empty()) continue;
    pollfd ready[2] = {{client, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0) continue;  // a change of the process's user interrupts every thread
    if (ready[1].revents != 0) return;
    char chunk[65536];
    const ssize_t count = ::recv(client, chunk, sizeof chunk, 0);
    if (count <= 0) return;
    received.append(chunk, static_cast<std::size_t>(count));
  }
}

FakeAdmin::FakeAdmin(std::filesystem::path path, Handler handler)
    : handler_(std::move(handler)),
      server_(std::move(path), [this](std::string& received) { return Serve(received); }) {}

std::vector<AdminRequest> FakeAdmin::Requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

SocketServer::Step FakeAdmin::Serve(std::string& received) {
  const std::size_t head = received.find("\r\n\r\n");
  if (head == std::string::npos) return {};
  std::size_t length = 0;
  if (const std::size_t at = received.find("Content-Length: "); at < head)
    length = std::strtoul(received.c_str() + at + 16, nullptr, 10);
  if (received.size() < head + 4 + length) return {};
  AdminRequest request;
  std::istringstream(received) >> request.method >> request.target;
  request.body = received.substr(head + 4, length);
  received.erase(0, head + 4 + length);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  const AdminAnswer answer = handler_(request);
  return {"HTTP/1.1 " + std::to_string(answer.status) +
          " x\r\nContent-Length: " + std::to_string(answer.body.size()) + "\r\n\r\n" + answer.body};
}

FakeProducer::FakeProducer(std::filesystem::path path, Handler handler)
    : handler_(std::move(handler)),
      server_(std::move(path), [this](std::string& received) { return Serve(received); }) {}

std::vector<std::string> FakeProducer::Lines() {
  const std::lock_guard lock(mutex_);
  return lines_;
}

SocketServer::Step FakeProducer::Serve(std::string& received) {
  SocketServer::Step step;
  for (std::size_t end = received.find('\n'); end != std::string::npos && !step.close;
       end = received.find('\n')) {
    const std::string line = received.substr(0, end);
    received.erase(0, end + 1);
    {
      const std::lock_guard lock(mutex_);
      lines_.push_back(line);
    }
    std::string reply = handler_(line);
    if (reply.empty()) {
      step.close = true;
    } else if (reply.ends_with('!')) {
      reply.pop_back();
      step.close = true;
    }
    if (!reply.empty()) step.answer += reply + "\n";
  }
  return step;
}

Ran RunCtl(const std::vector<std::string>& arguments, const RunOptions& options) {
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  std::thread feeder([&] {
    const ssize_t written = ::write(pipe[1], options.input.data(), options.input.size());
    CHECK(written == static_cast<ssize_t>(options.input.size()));
    ::close(pipe[1]);
  });
  std::ostringstream out;
  std::ostringstream err;
  Console console{out, err};
  console.in_fd = pipe[0];
  console.in_is_terminal = console.out_is_terminal = console.err_is_terminal = options.terminal;
  console.colour = options.colour;
  console.clock = [] { return FromUnixMs(1'000'000'000); };
  const int code = RunOutboxctl(arguments, console);
  feeder.join();
  ::close(pipe[0]);
  return {code, out.str(), err.str()};
}

}  // namespace outboxd::test
