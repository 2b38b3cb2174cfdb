// tests/simulation/content_api.h — the Track API with all that stands before it, where what is answered
// follows from the request's own content: no order and no chance.
#pragma once

#include <cstddef>

#include "core/answer.h"
#include "core/time.h"
#include "daemon/delivery/transfer.h"
#include "tests/simulation/hostile_lines.h"

namespace outboxd::simulation {

struct ContentAnswer {
  Answer answer;
  Milliseconds after{0};
};

// A batch with a line that is not answered well is answered as that one; with refused ones, item by item.
ContentAnswer AnswerByContent(const Transfer& transfer);

// Whether the answer delivers the job at `index`.
bool IsDeliveredBy(const Transfer& transfer, const Answer& answer, std::size_t index);

}  // namespace outboxd::simulation
