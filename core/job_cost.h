// core/job_cost.h — what a job costs in memory, known as soon as it is read: bytes, never less than what is
// allocated for it.
//
// Pure. Few nanoseconds for an ordinary job; of a raw job each field is looked at once.
#pragma once

#include <cstddef>

#include "core/job.h"

namespace outboxd {

// While it waits in memory: QueuedJob, its line, its members, its place in its lanes.
std::size_t HeldCost(const Job& job);

// While its request is under way, alone or in a batch: HeldCost() and the request (body, target, headers)
// with what libcurl copies of it. Not in it is what each request has whatever its job is: the handle, its
// connection's buffers, the answer (limits::kAnswerBytes).
std::size_t SendCost(const Job& job);

// What it counts against limits.window_bytes: its line. A job that costs far more than its line and copies of
// it (which accepted ones do not) counts what it costs beyond, so that few of them are in memory at once.
std::size_t WindowCost(const Job& job);
// The same from what is known of it.
std::size_t WindowCost(std::size_t line_bytes, std::size_t send_cost);

// A job with a higher SendCost() is heavy: it is under way alone. No line that is accepted reaches it.
inline constexpr std::size_t kHeavyCost = 8UL << 20;

// A stored row with a higher SendCost() is not sent, even alone. No line of 512 KiB reaches it.
inline constexpr std::size_t kSendCostMax = 64UL << 20;

}  // namespace outboxd
