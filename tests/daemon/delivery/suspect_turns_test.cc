#include "daemon/delivery/suspect_turns.h"

#include <doctest/doctest.h>

namespace outboxd {
namespace {

constexpr bool kProbing = true;

TEST_CASE("suspect turns: one request in ten is a suspect's, the others go last") {
  SuspectTurns turns;
  turns.OnSent(true);
  turns.OnFailed();
  for (int others = 0; others < 9; ++others) {
    CHECK(turns.Now(!kProbing) == SuspectTurn::kLast);
    turns.OnSent(false);
  }
  CHECK(turns.Now(!kProbing) == SuspectTurn::kFirst);
  turns.OnSent(true);
  turns.OnFailed();
  CHECK(turns.Now(!kProbing) == SuspectTurn::kLast);
}

TEST_CASE("suspect turns: the gate's probe is a suspect only where nothing else is ready") {
  const SuspectTurns turns;
  CHECK(turns.Now(!kProbing) == SuspectTurn::kFirst);
  CHECK(turns.Now(kProbing) == SuspectTurn::kLast);
}

TEST_CASE("suspect turns: one is under way, twice as many after each delivery, one again after a failure") {
  SuspectTurns turns;
  const auto send_all = [&] {
    int sent = 0;
    for (; turns.Now(!kProbing) != SuspectTurn::kNotNow; ++sent) turns.OnSent(true);
    return sent;
  };
  CHECK(send_all() == 1);
  turns.OnDelivered(3);
  CHECK(send_all() == 2);
  turns.OnDelivered(3);
  CHECK(send_all() == 2);  // two more than the one that is out, and no more than the gate allows
  turns.OnFailed();
  turns.OnReturned();
  CHECK(send_all() == 0);
  turns.OnReturned();
  CHECK(send_all() == 1);
}

}  // namespace
}  // namespace outboxd
