// tests/bench/bare_post.h — the least that delivering can cost: libcurl's multi interface posting ready-made
// bodies, nothing read from disk, nothing recorded.
#pragma once

#include <cstdint>
#include <string>

#include "tests/bench/poster.h"

namespace outboxd::bench {

struct BarePostOptions {
  PosterOptions poster;
  std::uint64_t count = 0;  // events
};

// Returns the report as JSON. Throws when a request fails.
std::string RunBarePost(const BarePostOptions& options);

}  // namespace outboxd::bench
