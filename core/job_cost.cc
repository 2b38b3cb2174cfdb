#include "core/job_cost.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "core/job.h"

namespace outboxd {
namespace {

constexpr std::size_t kBlockBytes = 32;   // what the allocator adds to a block, and rounds it up by
constexpr std::size_t kPlaceBytes = 256;  // of a job among those in memory
constexpr std::size_t kLaneBytes = 256;   // of a lane with one job
// Of a request: its fixed headers, and the pieces that libcurl keeps of every URL.
constexpr std::size_t kRequestBytes = 2048;
// A body has what its line says in other words, with an id, a time and a few names.
constexpr std::size_t kBodyExtraBytes = 512;
// Of a target there are at once: it with its URL as outboxd builds them, what libcurl copies of it, whole and
// taken apart (measured: 7.5 of 7.88), and the request's head, whose buffer doubles as it grows.
constexpr std::size_t kTargetCopies = 12;
constexpr std::size_t kHeaderCopies = 8;  // built, remembered, listed, in the request's head (which doubles)
constexpr std::size_t kEscaped = 3;       // of one byte in a target: %XX
constexpr std::size_t kPartBytes = 256;   // of a multipart body around a part's texts

// What libcurl has of a body besides it: a small one again behind the head, whose buffer doubles; of a large
// one a buffer of 64 KiB.
std::size_t BodyCopies(std::size_t body) {
  constexpr std::size_t kMost = 128UL * 1024;
  return std::min(2 * body, kMost);
}

std::size_t HeapOf(const std::string& text) {
  constexpr std::size_t kInline = 15;
  return text.capacity() > kInline ? text.capacity() + kBlockBytes : 0;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::size_t HeapOf(const Pairs& pairs) {
  std::size_t bytes = pairs.capacity() * sizeof(Pairs::value_type) + kBlockBytes;
  for (const auto& [name, value] : pairs) bytes += HeapOf(name) + HeapOf(value);
  return bytes;
}

std::size_t HeapOf(const Edits& edits) {
  return edits.empty() ? 0 : edits.capacity() * sizeof(Edit) + kBlockBytes;
}

std::size_t HeapOf(const RawCall& call) {
  std::size_t bytes = sizeof(RawCall) + kBlockBytes + HeapOf(call.method) + HeapOf(call.path) +
                      HeapOf(call.query) + HeapOf(call.headers) + HeapOf(call.form) +
                      call.files.capacity() * sizeof(RawFile) + kBlockBytes;
  for (const RawFile& file : call.files)
    bytes += HeapOf(file.name) + HeapOf(file.filename) + HeapOf(file.content);
  return call.text_body ? bytes + HeapOf(*call.text_body) : bytes;
}

std::size_t HeapOf(const OtherMembers& other) {
  return sizeof(OtherMembers) + kBlockBytes + HeapOf(other.device_id) + HeapOf(other.form_id) +
         HeapOf(other.segment_id) + HeapOf(other.id_type) + HeapOf(other.delivery_id) + HeapOf(other.metric) +
         HeapOf(other.recipient) + HeapOf(other.reason) + HeapOf(other.href) + HeapOf(other.edits);
}

std::size_t HeapOf(const TrackCall& call) {
  return sizeof(TrackCall) + kBlockBytes + HeapOf(call.method) + HeapOf(call.target) + HeapOf(call.edits);
}

std::size_t TextBytes(const Pairs& pairs) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : pairs) bytes += name.size() + value.size() + 4;
  return bytes;
}

// No less than each builder of core/type_requests.h and core/track_call.h makes.
std::size_t PlainRequestCost(const Job& job) {
  std::size_t target = job.customer.size();
  if (job.other) target += job.other->device_id.size() + job.other->form_id.size();
  target = job.call ? job.call->target.size() : target * kEscaped + 64;
  const std::size_t body = job.line.size() + kBodyExtraBytes;
  return body + BodyCopies(body) + target * kTargetCopies;
}

std::size_t RawRequestCost(const RawCall& call, const Job& job) {
  std::size_t body = call.text_body ? call.text_body->size() : job.body.length;
  std::size_t texts = TextBytes(call.form);
  for (const RawFile& file : call.files)
    texts += file.name.size() + file.filename.size() + file.content.size();
  // A quotation mark in a name becomes three bytes; in a content nothing does, but names may be nearly all.
  std::size_t names = 0;
  for (const auto& [name, value] : call.form) names += name.size();
  for (const RawFile& file : call.files) names += 2 * file.name.size() + file.filename.size();
  body += texts + names * (kEscaped - 1) + (call.form.size() + call.files.size()) * kPartBytes;
  const std::size_t target = (call.path.size() + TextBytes(call.query)) * kEscaped;
  const std::size_t headers =
      TextBytes(call.headers) * kHeaderCopies + call.headers.size() * 4 * kBlockBytes * 2;
  return body + BodyCopies(body) + target * kTargetCopies + headers;
}

}  // namespace

std::size_t HeldCost(const Job& job) {
  std::size_t bytes = sizeof(QueuedJob) + kPlaceBytes + kLaneBytes + HeapOf(job.line) +
                      HeapOf(job.connection) + HeapOf(job.customer) + HeapOf(job.name) +
                      HeapOf(job.event_id) + HeapOf(job.ref);
  if (job.call) bytes += HeapOf(*job.call);
  if (job.raw) bytes += HeapOf(*job.raw);
  if (job.other) bytes += HeapOf(*job.other);
  bytes += job.more_customers.capacity() * sizeof(std::string);
  for (const std::string& customer : job.more_customers) bytes += HeapOf(customer) + kLaneBytes;
  return bytes;
}

std::size_t SendCost(const Job& job) {
  return HeldCost(job) + kRequestBytes + (job.raw ? RawRequestCost(*job.raw, job) : PlainRequestCost(job));
}

std::size_t WindowCost(std::size_t line_bytes, std::size_t send_cost) {
  constexpr std::size_t kOrdinary = 8UL << 10;  // limits.window_jobs bounds it
  const std::size_t expected = 4 * line_bytes + kOrdinary;
  return std::max(line_bytes, send_cost > expected ? send_cost - expected : 0);
}

std::size_t WindowCost(const Job& job) {
  return WindowCost(job.line.size(), SendCost(job));
}

}  // namespace outboxd
