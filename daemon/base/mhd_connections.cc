#include "daemon/base/mhd_connections.h"

#include <microhttpd.h>
#include <netinet/in.h>  // IWYU pragma: keep: IPPROTO_TCP
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>

#include "config/log_level.h"
#include "config/system_user.h"
#include "core/check.h"
#include "core/user_shares.h"
#include "daemon/base/http_server.h"
#include "daemon/base/log.h"
#include "daemon/base/mutex.h"

namespace outboxd {
namespace {

using std::chrono::milliseconds;

// Connections that are shut down and not closed yet: libmicrohttpd accepts ten in a row before it closes any,
// and beyond its own limit it closes the newcomer.
constexpr unsigned kBeingClosed = 64;
// What was received so shortly after an answer may belong to the request before.
constexpr milliseconds kBlurred{100};

// Some milliseconds coarse, and as cheap as a load: it is read several times a request.
std::int64_t CoarseNowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// How long the client has sent nothing; nullopt: only TCP can tell.
std::optional<milliseconds> SilenceOf(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  return milliseconds(info.tcpi_last_data_recv);
}

bool HasSentWithin(int socket, milliseconds time) {
  const std::optional<milliseconds> silence = SilenceOf(socket);
  return silence && *silence + kBlurred < time;
}

// Something came that was not read yet.
bool HasUnread(int socket) {
  int bytes = 0;
  return ioctl(socket, FIONREAD, &bytes) == 0 && bytes > 0;
}

}  // namespace

MhdClient::MhdClient(int socket, User user) : socket_(socket), user_(user), since_ms_(CoarseNowMs()) {}

MhdClient& MhdClient::Of(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  CHECK(info != nullptr && info->socket_context != nullptr);
  return *static_cast<MhdClient*>(info->socket_context);
}

void MhdClient::Enter(Turn turn) {
  since_ms_.store(CoarseNowMs(), std::memory_order_relaxed);
  turn_.store(turn, std::memory_order_relaxed);
}

milliseconds MhdClient::Waiting() const {
  return milliseconds(CoarseNowMs() - since_ms_.load(std::memory_order_relaxed));
}

void MhdConnections::SetLimits(const HttpServerOptions& options) {
  MutexLock lock(mutex_);
  idle_ = options.idle_timeout;
  head_ = options.head_patience;
  body_ = options.body_patience;
  shares_.SetLimits(options.connections_max, options.connections_per_user);
}

unsigned MhdConnections::LimitOfDaemon(const HttpServerOptions& options) {
  return options.connections_max + kBeingClosed;
}

void MhdConnections::Notify(void* self, MHD_Connection* connection, void** context,
                            MHD_ConnectionNotificationCode code) {
  auto& all = *static_cast<MhdConnections*>(self);
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    CHECK(info != nullptr);
    auto client = std::make_unique<MhdClient>(info->connect_fd, PeerUser(info->connect_fd));
    all.Begun(*client);
    *context = client.release();
  } else if (const std::unique_ptr<MhdClient> client(static_cast<MhdClient*>(*context)); client) {
    *context = nullptr;
    all.Gone(*client);
  }
}

void MhdConnections::Begun(MhdClient& client) {
  std::optional<std::uint64_t> closed;
  {
    MutexLock lock(mutex_);
    client.place_ = clients_.size();
    clients_.push_back(&client);
    if (!shares_.Allows(client.user(), 1)) {
      closed = crowded_.Happened(std::chrono::steady_clock::now());
      if (MhdClient* longest = LongestWaiting(client.user())) Close(*longest);
    }
    if (shares_.Allows(client.user(), 1)) {
      shares_.Take(client.user(), 1);
    } else {
      client.is_closing_ = true;
      shutdown(client.socket_, SHUT_RDWR);
    }
  }
  if (closed) LogCrowd(*closed);
}

void MhdConnections::LogCrowd(std::uint64_t closed) const {
  Log(LogLevel::kWarn, "too many connections", {{"server", server_}, {"closed", closed}});
}

void MhdConnections::Gone(MhdClient& client) {
  MutexLock lock(mutex_);
  if (!client.is_closing_) shares_.Give(client.user(), 1);
  clients_[client.place_] = clients_.back();
  clients_[client.place_]->place_ = client.place_;
  clients_.pop_back();
}

// The newcomer's own user has to make room first: where it holds its whole share, nobody else's place helps.
MhdClient* MhdConnections::LongestWaiting(User newcomer) {
  const auto rank = [&](const MhdClient& client) {
    return std::tuple(client.user() != newcomer, client.is_trusted_.load(std::memory_order_relaxed),
                      client.turn() != MhdClient::Turn::kIdle,
                      client.since_ms_.load(std::memory_order_relaxed));
  };
  // A request of its own is on its way to us.
  const auto is_asking = [](const MhdClient& client) {
    return client.turn() == MhdClient::Turn::kIdle && HasUnread(client.socket_);
  };
  MhdClient* longest = nullptr;
  const std::size_t others = clients_.size() - 1;  // the newcomer is the last
  for (std::size_t i = 0; i < others; ++i) {
    MhdClient* client = clients_[i];
    if (client->is_closing_ || client->turn() == MhdClient::Turn::kOurs) continue;
    if ((longest == nullptr || rank(*client) < rank(*longest)) && !is_asking(*client)) longest = client;
  }
  return longest;
}

bool MhdConnections::IsOverdue(MhdClient& client) {
  const milliseconds waiting = client.Waiting();
  switch (client.turn()) {
    case MhdClient::Turn::kNew:
    case MhdClient::Turn::kHead:
      return waiting > head_;
    case MhdClient::Turn::kIdle: {
      if (!HasSentWithin(client.socket_, waiting)) {
        client.drips_since_.reset();
        // Later than Keep-Alive says, so that a client that heeds it closes first.
        return waiting > idle_ + head_ && !HasUnread(client.socket_);
      }
      const auto now = std::chrono::steady_clock::now();
      if (!client.drips_since_) client.drips_since_ = now;
      return now - *client.drips_since_ > head_;
    }
    case MhdClient::Turn::kBody:
    case MhdClient::Turn::kAnswer:
      return waiting > body_;
    case MhdClient::Turn::kOurs:
      break;
  }
  return false;
}

// libmicrohttpd sees the end and closes the socket, after it has told so.
void MhdConnections::Close(MhdClient& client) {
  client.is_closing_ = true;
  client.closing_since_ = std::chrono::steady_clock::now();
  shares_.Give(client.user(), 1);
  const bool is_idle = client.turn() == MhdClient::Turn::kIdle && !client.drips_since_;
  shutdown(client.socket_, is_idle ? SHUT_RD : SHUT_RDWR);
}

std::size_t MhdConnections::Count() const {
  MutexLock lock(mutex_);
  return clients_.size();
}

bool MhdConnections::IsBusy(const MhdClient& client, milliseconds silence) {
  switch (client.turn()) {
    case MhdClient::Turn::kOurs:
    case MhdClient::Turn::kAnswer:
      return true;
    case MhdClient::Turn::kIdle:
      return HasUnread(client.socket_);
    case MhdClient::Turn::kNew:
    case MhdClient::Turn::kHead:
    case MhdClient::Turn::kBody:
      break;
  }
  if (client.Waiting() <= silence || HasUnread(client.socket_)) return true;
  return SilenceOf(client.socket_).value_or(milliseconds::max()) <= silence;
}

std::size_t MhdConnections::CountBusy(milliseconds silence) const {
  MutexLock lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      clients_.begin(), clients_.end(), [&](const MhdClient* client) { return IsBusy(*client, silence); }));
}

void MhdConnections::CloseOverdue() {
  std::optional<std::uint64_t> closed;
  {
    MutexLock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    for (MhdClient* client : clients_) {
      if (!client->is_closing_ && IsOverdue(*client)) Close(*client);
      // Some read on for as long as something comes.
      const bool lingers = client->closing_since_ && now - *client->closing_since_ > head_;
      if (lingers && client->turn() == MhdClient::Turn::kIdle) shutdown(client->socket_, SHUT_RDWR);
    }
    closed = crowded_.Due(std::chrono::steady_clock::now());
  }
  if (closed) LogCrowd(*closed);
}

}  // namespace outboxd
