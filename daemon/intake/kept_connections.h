// daemon/intake/kept_connections.h — producers' connections that survive a restart of the daemon.
//
// Each has a place in the ledger. After a second of life the service manager keeps a copy of it, so that
// short ones cost nothing. A planned stop hands over the rest, and what was read or owed. The next process
// takes up those that are in order; it ends the others, so that their producers see it and repeat. A copy
// that is kept elsewhere holds a connection open: each end is a shutdown(2), and then the copy goes.
//
// After a SIGKILL a connection is in order if everything that was read from it had been answered. No answer
// is ever made up.
//
// Threads: Add(), SetState(), End() and HandOver() belong to the connections' thread, the others to the main
// thread, which talks to the store: that may take a moment.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "config/owned_fd.h"
#include "daemon/base/descriptor_store.h"
#include "daemon/base/mutex.h"
#include "daemon/base/service_manager.h"
#include "daemon/intake/producer_ledger.h"

namespace outboxd {

class KeptConnections {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using State = ProducerLedger::State;

  // Takes its own out of `passed`. Nothing else happens before TakeUp(): a start that fails leaves all as it
  // was.
  KeptConnections(std::unique_ptr<DescriptorStore> store, std::vector<PassedDescriptor>& passed);

  struct Kept {
    std::size_t place;
    OwnedFd connection;
    LeftBehind left;
  };
  // The predecessor's connections that are in order; the others are ended. Once, before Add().
  std::vector<Kept> TakeUp() EXCLUDES(mutex_);

  // The place of a new connection, which is kQuiet; its owner calls End() or HandOver() while `connection` is
  // open. nullopt: none is free, it ends with this process.
  std::optional<std::size_t> Add(int connection, Time now) EXCLUDES(mutex_);
  // To be kOwing before anything is read, and until all that was read is answered.
  void SetState(std::size_t place, State state) { ledger_->Set(place, state); }
  // Its owner has shut it down.
  void End(std::size_t place) EXCLUDES(mutex_);
  void HandOver(std::size_t place, OwnedFd connection, LeftBehind left) EXCLUDES(mutex_);

  // About once a second.
  void Tick(Time now) EXCLUDES(mutex_);
  // When the connections' thread has ended: the service manager has everything when this returns.
  void Finish() EXCLUDES(mutex_);

 private:
  struct Entry {
    int connection = -1;  // its owner's, or of `handed_over`; -1: the place is free
    Time since{};
    bool is_stored = false;
    OwnedFd handed_over;
  };
  struct Copy {
    std::size_t place;
    OwnedFd connection;
  };

  void OpenLedger();
  bool IsInOrder(std::size_t place, const ProducerLedger::Left& left) const;
  Copy CopyToStore(std::size_t place) REQUIRES(mutex_);
  void Store(const std::vector<Copy>& copies);
  void RemoveEnded() EXCLUDES(mutex_);

  const std::unique_ptr<DescriptorStore> store_;
  std::vector<PassedDescriptor> passed_;  // until TakeUp()
  std::optional<ProducerLedger> ledger_;  // from TakeUp() on; absent when the system has no memory for it
  Mutex mutex_;
  std::vector<Entry> entries_ GUARDED_BY(mutex_);
  std::vector<std::size_t> free_ GUARDED_BY(mutex_);
  std::vector<std::size_t> fresh_ GUARDED_BY(mutex_);  // not yet stored; some may have ended
  std::vector<std::size_t> ended_ GUARDED_BY(mutex_);  // and stored
  ProducerLedger::Left left_ GUARDED_BY(mutex_);
};

}  // namespace outboxd
