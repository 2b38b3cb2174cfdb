// config/owned_fd.h — a file descriptor that is closed with its owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace outboxd {

class OwnedFd {
 public:
  OwnedFd() = default;  // none: -1
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace outboxd
