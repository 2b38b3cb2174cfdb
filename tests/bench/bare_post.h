// tests/bench/bare_post.h — the least that delivering can cost: libcurl's multi interface posting ready-made
// bodies, nothing read from disk, nothing recorded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace outboxd::bench {

struct BarePostOptions {
  std::string base_url;
  std::uint64_t count = 0;  // events
  std::size_t items = 0;    // events in one v2 batch; 0: one v1 request each
  std::size_t in_flight = 64;
};

// Returns the report as JSON. Throws when a request fails.
std::string RunBarePost(const BarePostOptions& options);

}  // namespace outboxd::bench
