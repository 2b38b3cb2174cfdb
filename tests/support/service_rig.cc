#include "tests/support/service_rig.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/await.h"
#include "tests/support/give_up.h"

namespace outboxd {
namespace {

// Of the copies that a process inherits: beyond what it may have by itself.
constexpr int kFirstCopy = 200;
constexpr int kBacklog = 4096;
constexpr std::size_t kDescriptorsMost = 8;

OwnedFd BoundAt(const std::filesystem::path& path, int type) {
  OwnedFd bound(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  if (bind(bound.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    GiveUp("cannot bind " + path.string());
  return bound;
}

OwnedFd ListeningAt(const std::filesystem::path& path) {
  OwnedFd listening = BoundAt(path, SOCK_STREAM);
  if (listen(listening.get(), kBacklog) != 0) GiveUp("cannot listen on " + path.string());
  return listening;
}

// The value of a line "KEY=value".
std::string ValueOf(const std::string& message, const std::string& key) {
  const std::size_t at = ("\n" + message).find("\n" + key + "=");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size() + 1;
  return message.substr(begin, message.find('\n', begin) - begin);
}

}  // namespace

ServiceRig::ServiceRig(DaemonUnderTest& daemon)
    : daemon_(daemon),
      notify_path_(daemon.Dir() / "notify"),
      notify_(BoundAt(notify_path_, SOCK_DGRAM)),
      ends_(eventfd(0, EFD_CLOEXEC)) {
  sockets_.push_back({"producer", ListeningAt(daemon.ProducerSocket())});
  sockets_.push_back({"admin", ListeningAt(daemon.AdminSocket())});
  thread_ = std::thread([this] { Serve(); });
}

ServiceRig::~ServiceRig() {
  const std::uint64_t one = 1;
  static_cast<void>(write(ends_.get(), &one, sizeof one));
  thread_.join();
}

void ServiceRig::ListenForTrack(std::uint16_t port) {
  OwnedFd listening(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listening.get(), kBacklog) != 0)
    GiveUp("cannot listen on port " + std::to_string(port));
  sockets_.push_back({"track", std::move(listening)});
}

std::size_t ServiceRig::StoredCount() {
  MutexLock lock(mutex_);
  return stored_.size();
}

// A shell moves the copies to where a passed descriptor has to be, and knows the process id beforehand.
void ServiceRig::Pass() {
  passed_.clear();
  std::string moves, closes, names;
  int place = 3;
  const auto add = [&](const PassedDescriptor& one) {
    const int copy = fcntl(one.descriptor.get(), F_DUPFD, kFirstCopy);
    passed_.emplace_back(copy);
    moves += "exec " + std::to_string(place++) + "<&" + std::to_string(copy) + "; ";
    closes += "exec " + std::to_string(copy) + "<&-; ";
    names += (names.empty() ? "" : ":") + one.name;
  };
  for (const PassedDescriptor& socket : sockets_) add(socket);
  MutexLock lock(mutex_);
  for (const PassedDescriptor& one : stored_) add(one);
  daemon_.SetWrapper({"/bin/bash", "-c",
                      moves + closes + "export LISTEN_PID=$$ LISTEN_FDS=" + std::to_string(place - 3) +
                          " LISTEN_FDNAMES=" + names + " NOTIFY_SOCKET=" + notify_path_.string() +
                          "; exec \"$@\"",
                      "bash"});
}

void ServiceRig::Serve() {
  std::array<pollfd, 2> wanted{pollfd{notify_.get(), POLLIN, 0}, pollfd{ends_.get(), POLLIN, 0}};
  while (poll(wanted.data(), wanted.size(), -1) >= 0 && wanted[1].revents == 0) ReceiveOne();
}

bool ServiceRig::ReceiveOne() {
  std::array<char, 4096> text{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kDescriptorsMost) + 64> control{};
  iovec part{text.data(), text.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t length = recvmsg(notify_.get(), &header, MSG_CMSG_CLOEXEC);
  if (length < 0) return false;
  std::vector<OwnedFd> descriptors;
  for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(one) + i * sizeof(int), sizeof descriptor);
      descriptors.emplace_back(descriptor);
    }
  }
  Take(std::string(text.data(), static_cast<std::size_t>(length)), std::move(descriptors));
  return true;
}

// A barrier's descriptor is closed with the others that are not kept.
void ServiceRig::Take(const std::string& message, std::vector<OwnedFd> descriptors) {
  const std::string name = ValueOf(message, "FDNAME");
  MutexLock lock(mutex_);
  if (ValueOf(message, "FDSTOREREMOVE") == "1") {
    std::erase_if(stored_, [&](const PassedDescriptor& one) { return one.name == name; });
  } else if (ValueOf(message, "FDSTORE") == "1") {
    for (OwnedFd& descriptor : descriptors) stored_.push_back({name, std::move(descriptor)});
  }
}

}  // namespace outboxd
