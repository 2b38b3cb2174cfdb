// daemon/base/mailbox.h — where two threads meet: a bounded queue whose reader takes everything at once.
//
// A full mailbox makes Put() wait (Post() never waits: for messages whose number is bounded by what their
// sender was given). A message may be posted with patience: the reader then comes for it so much later at the
// latest, by itself or for another message, and is not woken for it where it would look in time anyway. Only
// a reader that says so has patience. Close() lets the reader drain what is there and then tells it to stop.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/base/mutex.h"

namespace outboxd {

template <typename T>
class Mailbox {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  explicit Mailbox(std::size_t capacity) : capacity_(capacity) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // False when the mailbox is closed: the message is dropped.
  bool Put(T message) EXCLUDES(mutex_) {
    return Wake([&]() REQUIRES(mutex_) {
      while (messages_.size() >= capacity_ && !closed_) room_.Wait(mutex_);
      return Append(std::move(message), Deadline::min());
    });
  }

  bool Post(T message) EXCLUDES(mutex_) {
    return Wake([&]() REQUIRES(mutex_) { return Append(std::move(message), Deadline::min()); });
  }

  bool PostPatiently(T message, std::chrono::microseconds patience) EXCLUDES(mutex_) {
    const Deadline due = std::chrono::steady_clock::now() + patience;
    return Wake([&]() REQUIRES(mutex_) { return Append(std::move(message), due); });
  }

  // The reader looks at `due` at the latest, also where no message comes; and whether it has patience from
  // now on.
  void LookBy(Deadline due, bool is_patient = true) EXCLUDES(mutex_) {
    Wake([&]() REQUIRES(mutex_) {
      is_patient_ = is_patient;
      return Expect(is_patient || messages_.empty() ? due : Deadline::min());
    });
  }

  // Waits until a message is due, `timeout` has passed or the mailbox is closed; then moves all messages into
  // `out` (cleared first). False when closed and empty: nothing will ever come again.
  bool TakeAll(std::vector<T>& out, std::optional<std::chrono::milliseconds> timeout = std::nullopt,
               bool is_patient = true) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    is_patient_ = is_patient;
    if (!is_patient && !messages_.empty()) due_ = Deadline::min();
    Deadline deadline = Deadline::max();
    if (timeout) deadline = std::chrono::steady_clock::now() + *timeout;
    do {
      looks_at_ = std::min(deadline, due_);
    } while (!closed_ && looks_at_ != Deadline::min() && WaitUntil(looks_at_));
    looks_at_ = Deadline::min();
    Swap(out);
    return !(out.empty() && closed_);
  }

  // For whoever does the reader's work in its place: what is there, without waiting.
  void TakeNow(std::vector<T>& out) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    Swap(out);
  }

  void Close() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    closed_ = true;
    arrived_.NotifyAll();
    room_.NotifyAll();
  }

 private:
  enum class Added : std::uint8_t { kNot, kUnseen, kMustWake };

  // The reader is woken once the lock is free: it would wait for that next.
  template <typename Change>
  bool Wake(const Change& change) EXCLUDES(mutex_) {
    Added added = Added::kNot;
    {
      MutexLock lock(mutex_);
      added = change();
    }
    if (added == Added::kMustWake) arrived_.NotifyOne();
    return added != Added::kNot;
  }

  Added Append(T&& message, Deadline due) REQUIRES(mutex_) {
    if (closed_) return Added::kNot;
    messages_.push_back(std::move(message));
    return Expect(is_patient_ ? due : Deadline::min());
  }

  Added Expect(Deadline due) REQUIRES(mutex_) {
    due_ = std::min(due_, due);
    if (due_ >= looks_at_) return Added::kUnseen;
    looks_at_ = due_;
    return Added::kMustWake;
  }

  void Swap(std::vector<T>& out) REQUIRES(mutex_) {
    out.clear();
    std::swap(out, messages_);
    due_ = Deadline::max();
    if (out.size() >= capacity_) room_.NotifyAll();
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
  Deadline due_ GUARDED_BY(mutex_) = Deadline::max();       // when the reader must look
  Deadline looks_at_ GUARDED_BY(mutex_) = Deadline::min();  // while it waits: when it will; otherwise it does
  bool is_patient_ GUARDED_BY(mutex_) = true;
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace outboxd
