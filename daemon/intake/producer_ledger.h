// daemon/intake/producer_ledger.h — what a daemon leaves to the next process about its producers'
// connections, in memory that outlives it (memfd_create(2)): each connection has a place that says whether
// the daemon has read anything that is not answered yet, at every moment and so also after a SIGKILL; and a
// planned stop leaves what was read and not used, and replies that were not sent.
//
// The format has a version: a process that does not know it leaves the memory alone.
//
// Threads: a place's state is set by the connections' thread; the rest by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "config/owned_fd.h"
#include "core/result.h"

namespace outboxd {

// Of one connection, by a planned stop.
struct LeftBehind {
  std::string unread;   // was received, and is no job or refusal yet
  std::string replies;  // owed
  bool empty() const { return unread.empty() && replies.empty(); }
  friend bool operator==(const LeftBehind&, const LeftBehind&) = default;
};

class ProducerLedger {
 public:
  static constexpr std::size_t kPlaces = 4096;
  enum class State : std::uint8_t {
    kFree = 0,
    kQuiet = 1,  // everything that was read is answered
    kOwing = 2,
  };
  using Left = std::map<std::size_t, LeftBehind>;  // by place

  // All places are free.
  static Result<ProducerLedger> Make();
  // The memory of a predecessor. kConflict: in a format that is not known here.
  static Result<ProducerLedger> Open(OwnedFd memory);
  ProducerLedger(ProducerLedger&& other) noexcept;
  ProducerLedger& operator=(ProducerLedger&& other) noexcept;
  ~ProducerLedger();

  State Get(std::size_t place) const;
  void Set(std::size_t place, State state);
  // Once: from here on it counts as taken, whatever happens to this process. What is damaged is left out.
  Left TakeLeft();
  Result<void> Leave(const Left& left);
  int descriptor() const { return memory_.get(); }

 private:
  struct Shared;
  ProducerLedger(OwnedFd memory, Shared* shared);

  OwnedFd memory_;
  Shared* shared_;  // mapped; null when moved from
};

}  // namespace outboxd
