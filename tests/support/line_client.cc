#include "tests/support/line_client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tests/support/give_up.h"

namespace outboxd {
namespace {

using Deadline = std::chrono::steady_clock::time_point;

// A connected descriptor, or -1 with errno.
int Connect(int family, const void* address, std::size_t size) {
  const int descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  if (connect(descriptor, static_cast<const sockaddr*>(address), static_cast<socklen_t>(size)) != 0) {
    const int error = errno;
    close(descriptor);
    errno = error;
    return -1;
  }
  fcntl(descriptor, F_SETFL, O_NONBLOCK);
  return descriptor;
}

int ConnectUnix(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.size() >= sizeof(address.sun_path)) GiveUp("too long for a socket: " + text);
  std::memcpy(address.sun_path, text.data(), text.size());
  return Connect(AF_UNIX, &address, sizeof(address));
}

bool AwaitReady(int descriptor, short events, Deadline deadline) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry{descriptor, events, 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

}  // namespace

LineClient::LineClient(const std::filesystem::path& socket) : descriptor_(ConnectUnix(socket)) {
  if (descriptor_ < 0) GiveUp("cannot connect to " + socket.string() + ": " + std::strerror(errno));
}

LineClient LineClient::OverTcp(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int descriptor = Connect(AF_INET, &address, sizeof(address));
  if (descriptor < 0) GiveUp("cannot connect to port " + std::to_string(port) + ": " + std::strerror(errno));
  // What a test sends in pieces arrives in pieces, at once.
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return LineClient(descriptor);
}

LineClient::LineClient(LineClient&& other) noexcept {
  *this = std::move(other);
}

LineClient& LineClient::operator=(LineClient&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(received_, other.received_);
  std::swap(sent_bytes_, other.sent_bytes_);
  std::swap(ended_, other.ended_);
  std::swap(was_reset_, other.was_reset_);
  return *this;
}

LineClient::~LineClient() {
  Close();
}

bool LineClient::Send(std::string_view bytes, std::chrono::milliseconds timeout) {
  Deadline deadline = std::chrono::steady_clock::now() + timeout;
  while (!bytes.empty()) {
    const ssize_t size = send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size > 0) {
      sent_bytes_ += static_cast<std::size_t>(size);
      bytes.remove_prefix(static_cast<std::size_t>(size));
      deadline = std::chrono::steady_clock::now() + timeout;
      continue;
    }
    if (size < 0 && errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
    if (!AwaitReady(descriptor_, POLLOUT, deadline)) return false;
  }
  return true;
}

// False at the deadline or at the end.
bool LineClient::Fill(Deadline deadline) {
  std::array<char, 65536> buffer{};
  while (!ended_) {
    const ssize_t size = recv(descriptor_, buffer.data(), buffer.size(), 0);
    if (size > 0) {
      received_.append(buffer.data(), static_cast<std::size_t>(size));
      return true;
    }
    if (size < 0 && errno == EINTR) continue;
    if (size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
      ended_ = true;
      was_reset_ = size < 0;
      return false;
    }
    if (!AwaitReady(descriptor_, POLLIN, deadline)) return false;
  }
  return false;
}

std::optional<std::string> LineClient::ReadLine(std::chrono::milliseconds timeout) {
  const Deadline deadline = std::chrono::steady_clock::now() + timeout;
  std::size_t end = received_.find('\n');
  while (end == std::string::npos) {
    const std::size_t searched = received_.size();
    if (!Fill(deadline)) return std::nullopt;
    end = received_.find('\n', searched);
  }
  std::string line = received_.substr(0, end);
  received_.erase(0, end + 1);
  return line;
}

std::string LineClient::Ask(std::string_view line) {
  if (!SendLine(line)) GiveUp("the line was not taken");
  std::optional<std::string> reply = ReadLine();
  if (!reply) GiveUp(ended_ ? "closed without a reply" : "no reply in time");
  return std::move(*reply);
}

std::string LineClient::ReadToEnd(std::chrono::milliseconds timeout) {
  const Deadline deadline = std::chrono::steady_clock::now() + timeout;
  while (Fill(deadline)) {
  }
  return std::exchange(received_, {});
}

void LineClient::CloseWriting() {
  shutdown(descriptor_, SHUT_WR);
}

void LineClient::Close() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
  ended_ = true;
}

bool IsListening(const std::filesystem::path& socket) {
  const int descriptor = ConnectUnix(socket);
  if (descriptor >= 0) close(descriptor);
  return descriptor >= 0;
}

}  // namespace outboxd
