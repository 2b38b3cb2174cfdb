// daemon/base/mailbox.h — where two threads meet: a bounded queue whose reader takes everything at once.
//
// A full mailbox makes Put() wait (Post() never waits: for messages whose number is bounded by what their
// sender was given). A message posted patiently lets the reader wait a moment for more, so that it does its
// work in larger groups. Close() lets the reader drain what is there and then tells it to stop.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/base/mutex.h"

namespace outboxd {

template <typename T>
class Mailbox {
 public:
  explicit Mailbox(std::size_t capacity) : capacity_(capacity) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // False when the mailbox is closed: the message is dropped.
  bool Put(T message) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (messages_.size() >= capacity_ && !closed_) room_.Wait(mutex_);
    return Append(std::move(message));
  }

  bool Post(T message) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return Append(std::move(message));
  }

  // As Post, but the reader may let up to `patience` pass before it takes the message, unless one without
  // patience comes.
  bool PostPatiently(T message, std::chrono::microseconds patience) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (closed_) return false;
    messages_.push_back(std::move(message));
    if (messages_.size() > 1) return true;
    patient_until_ = std::chrono::steady_clock::now() + patience;
    arrived_.NotifyOne();
    return true;
  }

  // Waits until there is a message, `timeout` has passed or the mailbox is closed; then moves all messages
  // into `out` (cleared first). False when closed and empty: nothing will ever come again.
  bool TakeAll(std::vector<T>& out, std::optional<std::chrono::milliseconds> timeout = std::nullopt)
      EXCLUDES(mutex_) {
    out.clear();
    MutexLock lock(mutex_);
    Deadline deadline = Deadline::max();
    if (timeout) deadline = std::chrono::steady_clock::now() + *timeout;
    while (!urgent_ && !closed_ &&
           WaitUntil(messages_.empty() ? deadline : std::min(deadline, patient_until_))) {
    }
    urgent_ = false;
    std::swap(out, messages_);
    if (out.size() >= capacity_) room_.NotifyAll();
    return !(out.empty() && closed_);
  }

  void Close() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    closed_ = true;
    arrived_.NotifyAll();
    room_.NotifyAll();
  }

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  bool Append(T&& message) REQUIRES(mutex_) {
    if (closed_) return false;
    messages_.push_back(std::move(message));
    if (!std::exchange(urgent_, true)) arrived_.NotifyOne();
    return true;
  }

  // False once `deadline` has passed.
  bool WaitUntil(Deadline deadline) REQUIRES(mutex_) {
    if (deadline != Deadline::max()) return arrived_.WaitUntil(mutex_, deadline);
    arrived_.Wait(mutex_);
    return true;
  }

  const std::size_t capacity_;
  mutable Mutex mutex_;
  Condition arrived_;
  Condition room_;
  std::vector<T> messages_ GUARDED_BY(mutex_);
  Deadline patient_until_ GUARDED_BY(mutex_);
  bool urgent_ GUARDED_BY(mutex_) = false;  // a message is there that must not wait
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace outboxd
