#include "daemon/clerk/held_wal.h"

#include <doctest/doctest.h>

#include <chrono>

#include "tests/support/stderr_capture.h"

namespace outboxd {

TEST_CASE("held WAL: one line when a reader holds much of it, with the time since, and one when it is over") {
  const Timestamp start = FromUnixMs(1'700'000'000'000);
  const test::StderrCapture log;
  HeldWal held;
  held.Note(0, start);
  CHECK_FALSE(held.since());
  held.Note(1000, start);
  CHECK(held.since() == start);
  CHECK(log.Count("a reader keeps") == 0);
  held.Note(HeldWal::kToldBytes, start + std::chrono::seconds(5));
  held.Note(2 * HeldWal::kToldBytes, start + std::chrono::seconds(6));
  CHECK(log.Count("a reader keeps") == 1);
  CHECK(log.Count("since=" + FormatRfc3339(start)) == 1);
  held.Note(5, start + std::chrono::seconds(7));
  CHECK(log.Count("free again") == 0);
  held.Note(0, start + std::chrono::seconds(8));
  CHECK(log.Count("free again") == 1);
  CHECK(held.bytes() == 0);
  CHECK_FALSE(held.since());
}

}  // namespace outboxd
