// core/batch_verdict.h — the answer to a v2 batch → what happens to each of its jobs (README "Delivery
// rules").
//
//   2xx           each item named in `errors` is rejected, the others are delivered. An error that names no
//                 item of the batch (batch_index missing or out of range, a 207 whose list cannot be read)
//                 may mean any of them: those not rejected go again in halves. Of a body that was cut the
//                 errors that are whole count; what they do not name goes by the status: delivered.
//   400, 413 …    refused as a whole: all go again in halves, until the culprit is alone and can be rejected.
//   404, 405      perhaps the host has no batches: not the API's until the region probe succeeds. Then it has
//                 none, and all go again by themselves (core/batch_switch.h). At once where every status is
//                 believed.
//   not the API's (HTML, another 4xx) as for one job; where it is believed, all go again in halves.
//   other         as for one job: deferred, or the connection pauses.
// Sending an item again is harmless: an event has its ULID, and the other actions say what is to be, not what
// is to change. Sources: the Track API's reference of /api/v2/batch (207 with errors[].batch_index, counted
// from 0); its partners' own connectors read `errors` on a 200 as well.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/policy.h"
#include "core/time.h"
#include "core/verdict.h"

namespace outboxd {

inline constexpr int kMultiStatus = 207;

struct ItemRefusal {
  std::size_t index = 0;
  std::string reason;  // one line for people, some 300 bytes at most: "207 Multi-Status: name: required: …"
  std::string answer;  // the entries of the answer that name it
};

struct BatchVerdict {
  Verdict
      rest;  // of the request, and of every job that is not in `refused`. kSplit: to be sent again in halves
  std::vector<ItemRefusal> refused;  // by index, each once
  bool is_route_missing = false;     // where this is believed: the host has no batches
};

// `count` jobs were sent, at least one. Never kSplit for a single one.
BatchVerdict JudgeBatch(const Answer& answer, std::size_t count, const RetryPolicy& policy, Timestamp now,
                        Trust trust = Trust::kTrackApi);

}  // namespace outboxd
