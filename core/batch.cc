#include "core/batch.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/check.h"
#include "core/job.h"
#include "core/job_types.h"
#include "core/limits.h"
#include "core/request.h"
#include "core/track_call.h"

namespace outboxd {
namespace {

// An item says what its line says in other words, with an id and a time at most: longer than the line by less
// than this.
constexpr std::size_t kItemExtraBytes = 192;

// v1 tells kinds of identifiers apart by their shape and the workspace's settings; v2 wants to be told.
bool IsPlainId(std::string_view customer) {
  return customer.find('@') == std::string_view::npos && !customer.starts_with("cio_");
}

void AppendItem(std::string& out, const Job& job, const Stamp& stamp) {
  if (job.call) return AppendTrackCallBody(out, job, stamp);
  const AppendBatchItem append = RowOf(job.type).append_item;
  CHECK(append != nullptr);
  append(out, job, stamp);
}

}  // namespace

bool FitsBatch(const Job& job) {
  if (job.anonymous || job.region || BatchItemBytesMax(job) > limits::kBatchItemBytes) return false;
  if (!job.more_customers.empty()) return false;
  if (job.call) return job.call->is_entity;
  return RowOf(job.type).append_item != nullptr && !job.attributes_are_v1 && !job.customer.empty() &&
         IsPlainId(job.customer);
}

std::size_t BatchItemBytesMax(const Job& job) {
  return job.line.size() + kItemExtraBytes;
}

bool IsFence(const Job& job) {
  return RowOf(job.type).in_batch == InBatch::kAlone;
}

HttpRequest BuildBatchRequest(std::span<const std::unique_ptr<QueuedJob>> jobs) {
  HttpRequest request;
  request.method = "POST";
  request.target = "/api/v2/batch";
  request.headers.emplace_back("Content-Type", "application/json");
  std::size_t bytes = kBatchFrameBytes;
  for (const std::unique_ptr<QueuedJob>& queued : jobs) bytes += BatchItemBytesMax(queued->job);
  request.body.reserve(bytes);
  request.body += "{\"batch\":[";
  for (const std::unique_ptr<QueuedJob>& queued : jobs) {
    if (queued != jobs.front()) request.body += ',';
    AppendItem(request.body, queued->job, queued->stamp);
  }
  request.body += "]}";
  return request;
}

}  // namespace outboxd
