#include "daemon/intake/producer_ledger.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <utility>

#include "config/owned_fd.h"

namespace outboxd {
namespace {

using State = ProducerLedger::State;

ProducerLedger OpenedAnew(const ProducerLedger& ledger) {
  auto opened = ProducerLedger::Open(OwnedFd(fcntl(ledger.descriptor(), F_DUPFD_CLOEXEC, 0)));
  REQUIRE(opened);
  return *std::move(opened);
}

TEST_CASE("producer ledger: the next process sees each place as it was at the last moment") {
  auto ledger = ProducerLedger::Make();
  REQUIRE(ledger);
  ledger->Set(0, State::kQuiet);
  ledger->Set(ProducerLedger::kPlaces - 1, State::kOwing);
  const ProducerLedger next = OpenedAnew(*ledger);
  CHECK(next.Get(0) == State::kQuiet);
  CHECK(next.Get(1) == State::kFree);
  CHECK(next.Get(ProducerLedger::kPlaces - 1) == State::kOwing);
  ledger->Set(0, State::kOwing);
  CHECK(next.Get(0) == State::kOwing);
}

TEST_CASE("producer ledger: what a stop leaves is there once") {
  auto ledger = ProducerLedger::Make();
  REQUIRE(ledger);
  const ProducerLedger::Left left = {{3, {std::string("{\"type\":\0", 9), ""}},
                                     {7, {"", "{\"ok\":true}\n"}},
                                     {8, {std::string(100'000, 'x'), "y"}}};
  REQUIRE(ledger->Leave(left));
  ProducerLedger next = OpenedAnew(*ledger);
  CHECK(next.TakeLeft() == left);
  CHECK(next.TakeLeft().empty());
  CHECK(OpenedAnew(next).TakeLeft().empty());
  REQUIRE(next.Leave({}));
  CHECK(OpenedAnew(next).TakeLeft().empty());
}

TEST_CASE("producer ledger: memory in another format is left alone") {
  auto ledger = ProducerLedger::Make();
  REQUIRE(ledger);
  constexpr off_t kVersionAt = 24;
  REQUIRE(pwrite(ledger->descriptor(), "\x63", 1, kVersionAt) == 1);
  const auto other = ProducerLedger::Open(OwnedFd(fcntl(ledger->descriptor(), F_DUPFD_CLOEXEC, 0)));
  REQUIRE_FALSE(other);
  CHECK(other.error().kind == ErrorKind::kConflict);
  OwnedFd empty(memfd_create("test", MFD_CLOEXEC));
  CHECK(ProducerLedger::Open(std::move(empty)).error().kind == ErrorKind::kConflict);
}

TEST_CASE("producer ledger: of what is damaged the good beginning is taken") {
  auto ledger = ProducerLedger::Make();
  REQUIRE(ledger);
  REQUIRE(ledger->Leave({{1, {"one", ""}}, {2, {"two", ""}}}));
  const off_t end = lseek(ledger->descriptor(), 0, SEEK_END);
  REQUIRE(ftruncate(ledger->descriptor(), end - 1) == 0);
  CHECK(OpenedAnew(*ledger).TakeLeft() == ProducerLedger::Left{{1, {"one", ""}}});
}

}  // namespace
}  // namespace outboxd
