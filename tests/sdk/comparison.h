// tests/sdk/comparison.h — what a library put into its requests, so that those it sent to the API itself can
// be held against those that came through outboxd.
//
// Set aside: which requests failed, headers other than Content-Type, the stamps of outboxd, whether items of
// the v2 API travel alone or in a batch, and the two ways to write nothing ({} or no body) where the API
// reads no body.
#pragma once

#include <compare>
#include <set>
#include <string>
#include <vector>

#include "tests/support/sim_under_test.h"

namespace outboxd {

struct Essence {
  std::string method, target, content_type, body;

  auto operator<=>(const Essence&) const = default;
  std::string ToText() const { return method + " " + target + " (" + content_type + ") " + body; }
};

// The ids and times that a library wrote itself: "id":"…", "timestamp":… and "_timestamp":… as they stand in
// its bodies.
std::set<std::string> OwnStamps(const std::vector<SimRequestSeen>& direct);
// One for each request that succeeded, sorted; every stamp that is not among `own` is taken out.
std::vector<Essence> EssencesOf(const std::vector<SimRequestSeen>& requests,
                                const std::set<std::string>& own);

// The v1 events that carry no time and the identifies that carry none, each in words: late as they come, the
// API would take them for new.
std::vector<std::string> WithoutTime(const std::vector<SimRequestSeen>& requests);

// Differences between what came directly and what came through outboxd, each in words.
std::vector<std::string> Differences(const std::vector<SimRequestSeen>& direct,
                                     const std::vector<SimRequestSeen>& through);

}  // namespace outboxd
