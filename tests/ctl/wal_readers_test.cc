#include "ctl/wal_readers.h"

#include <doctest/doctest.h>
#include <sys/sysmacros.h>

#include <sstream>

namespace outboxd {

TEST_CASE("wal readers: those with a shared lock on a read mark of this file, each once") {
  std::istringstream locks(
      "1: POSIX  ADVISORY  READ 100 fe:01:77 124 124\n"
      "2: POSIX  ADVISORY  READ 100 fe:01:77 125 125\n"
      "3: POSIX  ADVISORY  WRITE 101 fe:01:77 120 120\n"
      "4: POSIX  ADVISORY  READ 102 fe:01:77 128 128\n"
      "5: POSIX  ADVISORY  READ 103 fe:01:78 124 124\n"
      "6: POSIX  ADVISORY  READ 104 fe:02:77 124 124\n"
      "6: -> POSIX  ADVISORY  READ 105 fe:01:77 124 124\n"
      "7: FLOCK  ADVISORY  READ 106 fe:01:77 124 124\n"
      "8: POSIX  ADVISORY  READ 0 fe:01:77 124 124\n"
      "nonsense\n"
      "9: POSIX  ADVISORY  READ 107 fe:01:77 123 123\n");
  CHECK(ReadMarkHolders(locks, makedev(0xfe, 1), 77) == std::vector<pid_t>{100, 107});
}

TEST_CASE("wal readers: an outbox that is not there has none") {
  CHECK(FindWalReaders("/nonexistent/outbox.db").empty());
}

}  // namespace outboxd
