// Any bytes as a producer's line: refused with a reason, or a job whose request is well-formed.
#include <algorithm>
#include <string>
#include <string_view>

#include "core/header_rules.h"
#include "core/job_cost.h"
#include "core/job_line.h"
#include "core/job_types.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/path_segments.h"
#include "core/request.h"
#include "tests/fuzz/demand.h"

namespace outboxd {
namespace {

constexpr std::int64_t kAcceptedMs = 1'790'000'000'123;

bool Printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

bool WithoutLineBreaks(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

void CheckSlice(const Job& job, Slice slice) {
  Demand(slice.offset <= job.line.size() && slice.length <= job.line.size() - slice.offset,
         "a slice lies within its line");
  if (!slice.empty()) Demand(JsonValue::Parse(job.Text(slice)).has_value(), "a slice is one JSON value");
}

void CheckJob(const Job& job, std::string_view line) {
  Demand(job.line == line, "the producer's bytes are carried as they came");
  Demand(JsonValue::Parse(line).has_value(), "an accepted line is valid JSON to the reader of JSON as well");
  Demand(job.customer.size() <= limits::kCustomerIdBytes, "a customer id keeps to its limit");
  Demand(job.ref.size() <= limits::kRefBytes, "a ref keeps to its limit");
  Demand(job.call || (job.type == JobType::kRaw) == (job.raw != nullptr), "raw members belong to raw jobs");
  CheckSlice(job, job.body);
  CheckSlice(job, job.timestamp);
  if (job.other) {
    CheckSlice(job, job.other->primary);
    CheckSlice(job, job.other->secondary);
  }
}

void CheckCallBody(const TrackCall& call, const std::string& sent) {
  if (sent.find_first_not_of(" \t\r\n") == std::string::npos)
    return Demand(call.stamps == TrackCall::Stamps::kNone, "stamps need a body");
  const Result<JsonValue> body = JsonValue::Parse(sent);
  Demand(body.has_value() && (body->IsObject() || body->IsNull()),
         "the body of a request is one JSON object, or null");
  if (call.stamps == TrackCall::Stamps::kNone) return;
  Demand(!(*body)[call.time_member].IsNull(), "what is stamped carries its time");
  if (call.stamps == TrackCall::Stamps::kIdAndTime) Demand(!(*body)["id"].IsNull(), "an event carries an id");
}

void CheckBody(const Job& job, const HttpRequest& request) {
  if (job.call) return CheckCallBody(*job.call, request.body);
  if (job.type == JobType::kRaw || request.body.empty()) return;
  const Result<JsonValue> body = JsonValue::Parse(request.body);
  Demand(body.has_value() && body->IsObject(), "the body of every job but raw is one JSON object");
  if (job.type == JobType::kIdentify) Demand(body->Has("_timestamp"), "an identify carries its time");
  if (IsEvent(job.type)) {
    Demand((*body)["timestamp"].IsNumber(), "an event carries its time");
    Demand(Ulid::Parse((*body)["id"].String()).has_value(), "an event carries a ULID");
  }
}

void CheckRequest(const Job& job) {
  const Stamp stamp{.id = Ulid::Make(FromUnixMs(kAcceptedMs), Sequence{7}, 42),
                    .accepted = FromUnixMs(kAcceptedMs)};
  const HttpRequest request = BuildRequest(job, stamp);
  Demand(!request.method.empty() && Printable(request.method), "a method is a token");
  Demand((job.call ? request.target.starts_with('/') : request.target.starts_with("/api/v")) &&
             Printable(request.target),
         "a target is a printable path of the Track API");
  for (const auto& [name, value] : request.headers) {
    Demand(!name.empty() && Printable(name) && WithoutLineBreaks(value), "a header is one line");
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    Demand(lower != "authorization", "a producer never sets Authorization");
    Demand(RuleOfHeader(name) == HeaderRule::kFree, "framing and the hop are the transport's business");
  }
  CheckBody(job, request);
  Demand(!HasDotSegment(std::string_view(request.target).substr(0, request.target.find('?'))),
         "no path leads upwards, whoever decodes it");
  Demand(HeldCost(job) > job.line.size(), "what is held has its line");
  Demand(SendCost(job) > HeldCost(job) + request.body.size() + request.target.size(),
         "a cost is not told too low");
}

}  // namespace
}  // namespace outboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outboxd;
  const std::string line(AsText(data, size));
  const tl::expected<Job, LineError> stored = ParseStoredLine(line);
  const tl::expected<Job, LineError> job = ParseJobLine(line);
  Demand(stored.has_value() || !job.has_value(), "what is accepted can be read back");
  if (!job) {
    Demand(!job.error().message.empty(), "a refusal says why");
    Demand(job.error().ref.size() <= limits::kRefBytes, "a refusal echoes no more than a ref may be");
    return 0;
  }
  CheckJob(*job, line);
  (void)LanesOf(*job);
  CheckRequest(*job);
  return 0;
}
