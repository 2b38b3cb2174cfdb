// tests/simulation/request_reader.h — what a request tells the Track API: built as a worker builds it, and
// read back from its bytes alone.
#pragma once

#include <string>
#include <vector>

#include "core/ulid.h"
#include "daemon/delivery/transfer.h"
#include "tests/simulation/poison.h"

namespace outboxd::simulation {

// One job as a request spoke of it.
struct SeenJob {
  Sequence sequence{};   // of the job that was sent, which the request does not show
  int number = 0;        // of the job, by its ref; by the request's bytes for types that carry values
  std::string type;      // "track"
  std::string customer;  // empty for a merge, and for a raw job about nobody
  std::string event_id;  // events only
  std::string note;
  Poison poison = Poison::kNone;
};

// In the transfer's order; none of a probe. A request that is not as it should be is a Violation.
std::vector<SeenJob> ReadRequest(const Transfer& transfer);

}  // namespace outboxd::simulation
