// core/batch.h — many jobs in one request: POST /api/v2/batch.
//
// Only jobs that mean the same there as in their v1 request may go so; docs/protocol.md tells which and why.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/job.h"
#include "core/request.h"

namespace outboxd {

// What the request has around its items.
inline constexpr std::size_t kBatchFrameBytes = 16;

// Whether `job` has a v2 form without loss. Not: raw, merge, form, segment and metric jobs; anonymous events
// and those of nobody; jobs of several customers;
// a customer whose kind of identifier v1 would guess (e-mail addresses, "cio_…"); attributes that v2 has in
// another shape; a region of its own; more than 32 kB.
bool FitsBatch(const Job& job);

// No smaller than the job's item in a batch, with its comma.
std::size_t BatchItemBytesMax(const Job& job);

// Whether the customer is no longer the same behind it: no job before or after it in its lane may share its
// batch.
bool IsFence(const Job& job);

// The items in the order of `jobs`, each of which fits (FitsBatch). Bytes are copied from the producers'
// lines, never re-encoded.
HttpRequest BuildBatchRequest(std::span<const std::unique_ptr<QueuedJob>> jobs);

}  // namespace outboxd
