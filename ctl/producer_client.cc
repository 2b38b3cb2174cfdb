#include "ctl/producer_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/owned_fd.h"
#include "core/result.h"
#include "core/time.h"

namespace outboxd {
namespace {

constexpr std::size_t kReplyBytesMax = 1U << 20;

Failure Unreachable(const std::filesystem::path& socket, int error) {
  std::string text = "cannot reach the daemon at " + socket.string() + ": " + std::strerror(error);
  if (error == ENOENT || error == ECONNREFUSED)
    text += " (is outboxd running? another place is given by --producer or --config)";
  if (error == EACCES) text += " (your user needs to be in the socket's group)";
  return Fail(ErrorKind::kUnavailable, std::move(text));
}

Failure Closed() {
  return Fail(ErrorKind::kUnavailable, "the daemon closed the connection");
}

}  // namespace

Result<ProducerClient> ProducerClient::Connect(const std::filesystem::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.native().size() >= sizeof address.sun_path) return Unreachable(socket, ENAMETOOLONG);
  std::memcpy(address.sun_path, socket.c_str(), socket.native().size());
  ProducerClient client(OwnedFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  if (client.fd_.get() < 0 ||
      ::connect(client.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Unreachable(socket, errno);
  }
  if (::fcntl(client.fd_.get(), F_SETFL, O_NONBLOCK) != 0) return Unreachable(socket, errno);
  return client;
}

void ProducerClient::Queue(std::string_view line) {
  outgoing_ += line;
  outgoing_ += '\n';
}

Result<void> ProducerClient::Exchange(std::vector<std::string>& replies, Milliseconds wait) {
  const bool has_output = QueuedBytes() > 0 && !write_closed_;
  pollfd ready{fd_.get(), static_cast<short>(has_output ? POLLIN | POLLOUT : POLLIN), 0};
  const int count = ::poll(&ready, 1, static_cast<int>(wait.count()));
  if (count < 0 && errno != EINTR)
    return Fail(ErrorKind::kUnavailable, std::string("poll: ") + std::strerror(errno));
  if (count <= 0) return {};
  if ((ready.revents & POLLOUT) != 0) {
    RETURN_IF_ERROR(Write());
  }
  if ((ready.revents & (POLLIN | POLLHUP | POLLERR)) != 0) return Read(replies);
  return {};
}

// A peer that is gone may have left replies behind: they are read before its end is reported.
Result<void> ProducerClient::Write() {
  while (QueuedBytes() > 0) {
    const ssize_t written = ::send(fd_.get(), outgoing_.data() + sent_, QueuedBytes(), MSG_NOSIGNAL);
    if (written < 0) {
      if (errno == EAGAIN || errno == EINTR) break;
      write_closed_ = true;
      return {};
    }
    sent_ += static_cast<std::size_t>(written);
  }
  if (QueuedBytes() == 0 || sent_ > outgoing_.size() / 2) {
    outgoing_.erase(0, sent_);
    sent_ = 0;
  }
  return {};
}

Result<void> ProducerClient::Read(std::vector<std::string>& replies) {
  std::array<char, 65536> chunk;
  const ssize_t count = ::recv(fd_.get(), chunk.data(), chunk.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
  if (count <= 0) return Closed();
  incoming_.append(chunk.data(), static_cast<std::size_t>(count));
  std::size_t start = 0;
  for (std::size_t end = incoming_.find('\n'); end != std::string::npos; end = incoming_.find('\n', start)) {
    replies.push_back(incoming_.substr(start, end - start));
    start = end + 1;
  }
  incoming_.erase(0, start);
  if (incoming_.size() > kReplyBytesMax)
    return Fail(ErrorKind::kUnavailable, "the daemon's reply is too long");
  return {};
}

}  // namespace outboxd
