// tests/bench/bare_accept.h — the least that accepting safely can cost: a Unix socket, lines, one SQLite
// insert each, group commit, fsync.
//
// Nothing is parsed, checked, counted or indexed. Where it delivers as well, each job is one request of
// libcurl in the same thread, and nothing is recorded of it. Serves the same feeder as the daemon.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/bench/poster.h"

namespace outboxd::bench {

struct BareAcceptOptions {
  std::string socket;
  std::string file;         // the SQLite file, created anew
  std::uint64_t count = 0;  // ends after so many lines
  std::optional<PosterOptions> deliver;
};

// Returns the report as JSON. Throws when something cannot be opened or written.
std::string RunBareAccept(const BareAcceptOptions& options);

}  // namespace outboxd::bench
