// tests/bench/bare_accept.h — the least that accepting safely can cost: a Unix socket, lines, one SQLite
// insert each, group commit, fsync.
//
// Nothing is parsed, checked, counted, indexed or delivered. Serves the same feeder as the daemon.
#pragma once

#include <cstdint>
#include <string>

namespace outboxd::bench {

struct BareAcceptOptions {
  std::string socket;
  std::string file;         // the SQLite file, created anew
  std::uint64_t count = 0;  // ends after so many lines
};

// Returns the report as JSON. Throws when something cannot be opened or written.
std::string RunBareAccept(const BareAcceptOptions& options);

}  // namespace outboxd::bench
