#include "daemon/intake/kept_connections.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "config/log_level.h"
#include "config/owned_fd.h"
#include "core/result.h"
#include "daemon/base/descriptor_store.h"
#include "daemon/base/log.h"
#include "daemon/base/mutex.h"
#include "daemon/base/service_manager.h"
#include "daemon/intake/producer_ledger.h"

namespace outboxd {
namespace {

// Names in the store. A place's is its own with a number behind.
constexpr std::string_view kLedgerName = "producers";
constexpr std::string_view kPlacePrefix = "producer-";
constexpr std::chrono::seconds kLifeBeforeStored{1};

std::string NameOfPlace(std::size_t place) {
  return std::string(kPlacePrefix) + std::to_string(place);
}

bool IsOurs(const PassedDescriptor& passed) {
  return passed.name == kLedgerName || passed.name.starts_with(kPlacePrefix);
}

std::optional<std::size_t> PlaceOf(std::string_view name) {
  std::size_t place = 0;
  const char* const begin = name.data() + kPlacePrefix.size();
  const char* const end = name.data() + name.size();
  const auto read = std::from_chars(begin, end, place);
  if (read.ec != std::errc() || read.ptr != end || place >= ProducerLedger::kPlaces) return std::nullopt;
  return place;
}

}  // namespace

KeptConnections::KeptConnections(std::unique_ptr<DescriptorStore> store,
                                 std::vector<PassedDescriptor>& passed)
    : store_(std::move(store)) {
  std::vector<PassedDescriptor> others;
  for (PassedDescriptor& one : passed) (IsOurs(one) ? passed_ : others).push_back(std::move(one));
  passed = std::move(others);
}

// The predecessor's, or a new one that the store keeps from now on.
void KeptConnections::OpenLedger() {
  const auto found = std::find_if(passed_.begin(), passed_.end(),
                                  [](const PassedDescriptor& one) { return one.name == kLedgerName; });
  if (found != passed_.end()) {
    Result<ProducerLedger> opened = ProducerLedger::Open(std::move(found->descriptor));
    passed_.erase(found);
    if (opened) {
      ledger_ = *std::move(opened);
      return;
    }
    Log(LogLevel::kWarn, "connections of the last process cannot be taken up",
        {{"reason", opened.error().message}});
    store_->Remove(std::string(kLedgerName));
  }
  Result<ProducerLedger> made = ProducerLedger::Make();
  if (!made) {
    Log(LogLevel::kWarn, "connections will not survive a restart", {{"reason", made.error().message}});
    return;
  }
  ledger_ = *std::move(made);
  store_->Put(std::string(kLedgerName), ledger_->descriptor());
}

bool KeptConnections::IsInOrder(std::size_t place, const ProducerLedger::Left& left) const {
  switch (ledger_->Get(place)) {
    case State::kFree:
      return false;
    case State::kQuiet:
      return true;
    case State::kOwing:
      return left.contains(place);
  }
  return false;
}

std::vector<KeptConnections::Kept> KeptConnections::TakeUp() {
  OpenLedger();
  ProducerLedger::Left left = ledger_ ? ledger_->TakeLeft() : ProducerLedger::Left();
  std::map<std::size_t, std::vector<OwnedFd>> by_place;
  std::size_t ended = 0;
  for (PassedDescriptor& one : passed_) {
    const std::optional<std::size_t> place = PlaceOf(one.name);
    by_place[place.value_or(ProducerLedger::kPlaces)].push_back(std::move(one.descriptor));
    if (!place) store_->Remove(one.name);
  }
  passed_.clear();

  std::vector<Kept> kept;
  MutexLock lock(mutex_);
  entries_.resize(ledger_ ? ProducerLedger::kPlaces : 0);
  for (auto& [place, connections] : by_place) {
    const bool is_known = ledger_ && place < ProducerLedger::kPlaces;
    // Two of one name: nobody knows which of them the ledger means.
    if (is_known && connections.size() == 1 && IsInOrder(place, left)) {
      LeftBehind behind = std::move(left[place]);
      ledger_->Set(place, behind.empty() ? State::kQuiet : State::kOwing);
      entries_[place].connection = connections.front().get();
      entries_[place].is_stored = true;
      kept.push_back({place, std::move(connections.front()), std::move(behind)});
      continue;
    }
    for (const OwnedFd& connection : connections) shutdown(connection.get(), SHUT_RDWR);
    ended += connections.size();
    if (place < ProducerLedger::kPlaces) store_->Remove(NameOfPlace(place));
  }
  for (std::size_t place = entries_.size(); place > 0; --place) {
    if (entries_[place - 1].connection >= 0) continue;
    ledger_->Set(place - 1, State::kFree);
    free_.push_back(place - 1);
  }
  if (!kept.empty() || ended > 0)
    Log(LogLevel::kInfo, "producers' connections taken up",
        {{"connections", std::to_string(kept.size())}, {"ended", std::to_string(ended)}});
  return kept;
}

std::optional<std::size_t> KeptConnections::Add(int connection, Time now) {
  MutexLock lock(mutex_);
  if (free_.empty()) return std::nullopt;
  const std::size_t place = free_.back();
  free_.pop_back();
  entries_[place] = {connection, now, false, {}};
  fresh_.push_back(place);
  ledger_->Set(place, State::kQuiet);
  return place;
}

void KeptConnections::End(std::size_t place) {
  MutexLock lock(mutex_);
  ledger_->Set(place, State::kFree);
  const bool is_stored = entries_[place].is_stored;
  entries_[place] = {};
  if (is_stored) {
    ended_.push_back(place);
    return;
  }
  std::erase(fresh_, place);
  free_.push_back(place);
}

void KeptConnections::HandOver(std::size_t place, OwnedFd connection, LeftBehind left) {
  MutexLock lock(mutex_);
  ledger_->Set(place, left.empty() ? State::kQuiet : State::kOwing);
  entries_[place].connection = connection.get();
  entries_[place].handed_over = std::move(connection);
  if (!left.empty()) left_[place] = std::move(left);
}

void KeptConnections::Tick(Time now) {
  std::vector<Copy> copies;
  {
    MutexLock lock(mutex_);
    std::size_t grown = 0;
    for (; grown < fresh_.size() && now - entries_[fresh_[grown]].since >= kLifeBeforeStored; ++grown)
      copies.push_back(CopyToStore(fresh_[grown]));
    fresh_.erase(fresh_.begin(), fresh_.begin() + static_cast<std::ptrdiff_t>(grown));
  }
  Store(copies);
  RemoveEnded();
}

// Its owner may close it meanwhile.
KeptConnections::Copy KeptConnections::CopyToStore(std::size_t place) {
  entries_[place].is_stored = true;
  return {place, OwnedFd(fcntl(entries_[place].connection, F_DUPFD_CLOEXEC, 0))};
}

void KeptConnections::Store(const std::vector<Copy>& copies) {
  for (const Copy& copy : copies) {
    if (copy.connection.get() >= 0) store_->Put(NameOfPlace(copy.place), copy.connection.get());
  }
}

// A place is free again only when its copy is gone: a name means one connection.
void KeptConnections::RemoveEnded() {
  std::vector<std::size_t> ended;
  {
    MutexLock lock(mutex_);
    ended.swap(ended_);
  }
  for (const std::size_t place : ended) store_->Remove(NameOfPlace(place));
  MutexLock lock(mutex_);
  free_.insert(free_.end(), ended.begin(), ended.end());
}

void KeptConnections::Finish() {
  if (!ledger_) return;
  std::vector<Copy> copies;
  {
    MutexLock lock(mutex_);
    for (const std::size_t place : fresh_) {
      if (entries_[place].handed_over.get() >= 0) copies.push_back(CopyToStore(place));
    }
    fresh_.clear();
    if (const Result<void> told = ledger_->Leave(left_); !told)
      Log(LogLevel::kWarn, "connections with unread bytes end", {{"reason", told.error().message}});
  }
  Store(copies);
  RemoveEnded();
  store_->Settle();
}

}  // namespace outboxd
