// core/job.h — what a job is: one thing to do at the Track API, as its producer wrote it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/names.h"
#include "core/time.h"
#include "core/ulid.h"

namespace outboxd {

// What each of them is says core/job_types.h. The order is that of metrics and messages.
enum class JobType : std::uint8_t {
  kIdentify,
  kTrack,
  kPageview,
  kDestroy,
  kRaw,
  kSuppress,
  kUnsuppress,
  kAddDevice,
  kDeleteDevice,
  kMerge,
  kForm,
  kAddToSegment,
  kRemoveFromSegment,
  kMetric,
};
inline constexpr std::size_t kJobTypeCount = Names<JobType>::kCount;

enum class Region : std::uint8_t { kUs, kEu };
template <>
inline constexpr Names<Region> kNames<Region>{{{Region::kUs, "us"}, {Region::kEu, "eu"}}};
constexpr std::string_view RegionName(Region region) {
  return NameOf(region);
}

// A stretch of Job::line. Empty (length 0) when the member was absent: no JSON value has length 0.
struct Slice {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  bool empty() const { return length == 0; }
};

// A stretch of Job::line in whose place something else is sent.
struct Edit {
  enum class By : std::uint8_t {
    kEventId,
    kTime,         // of the job
    kSeconds,      // Unix seconds: `text` has their digits, or is an RFC 3339 string
    kEmptyObject,  // for PHP's empty array
    kNothing,      // a member that is null
  };
  Slice place;
  By by = By::kNothing;
  Slice text = {};
};
using Edits = std::vector<Edit>;  // in the order of their places, which do not overlap; nearly always empty

struct RawFile {
  std::string name;
  std::string filename;
  std::string content;  // decoded
};

struct RawRetry {
  std::int64_t max_retries = 0;
  Milliseconds delay{0};
  bool exponential = false;
  bool all_errors = false;
};

enum class ResponseType : std::uint8_t { kJson, kText, kBinary };
template <>
inline constexpr Names<ResponseType> kNames<ResponseType>{
    {{ResponseType::kJson, "json"}, {ResponseType::kText, "text"}, {ResponseType::kBinary, "binary"}}};

// Members of raw jobs only.
struct RawCall {
  std::string method;
  std::string path;  // "/v1/…" or "/v2/…", as written
  std::vector<std::pair<std::string, std::string>> query;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::pair<std::string, std::string>> form;
  std::vector<RawFile> files;
  // `body` was a JSON string: its decoded text. Any other JSON value: Job::body.
  std::optional<std::string> text_body;
  std::optional<ResponseType> response_type;  // as written; absent it is json
  std::optional<Milliseconds> timeout;
  std::optional<RawRetry> retry;
  bool debug = false;
};

// Members of the rarer types; a member that does not belong to the job's type is empty.
struct OtherMembers {
  std::string device_id;     // delete_device
  std::string form_id;       // form
  std::string segment_id;    // add_to_segment, remove_from_segment: decimal text
  std::string id_type;       // same; empty when absent
  Slice primary, secondary;  // merge: JSON objects
  std::string delivery_id, metric, recipient, reason, href;  // metric
  Edits edits;                                               // add_device, merge, form
};

// A request of the Track API that came as such (core/track_call.h). Its body is Job::body.
struct TrackCall {
  enum class Stamps : std::uint8_t { kNone, kTime, kIdAndTime };
  std::string method;
  std::string target;  // "/api/v1/customers/42?x=1", as it came
  bool is_entity = false;
  std::string content_type;          // of a request without a body that had one
  bool without_credentials = false;  // its path needs none and its sender had none
  Stamps stamps = Stamps::kNone;
  std::string_view time_member;           // "timestamp" or "_timestamp"
  bool has_id = false, has_time = false;  // the member is there, or an edit has its place
  Edits edits;
};

struct Job {
  JobType type = JobType::kTrack;
  std::string line;  // the producer's bytes, without the newline; every Slice points into it
  std::string connection = "default";
  std::string customer;            // id or anonymous_id as text; empty when the job names no customer
  bool anonymous = false;          // customer came from anonymous_id
  std::string name;                // track: event name; pageview: url
  Slice body;                      // identify: attributes; track, pageview, form: data; add_device: device;
                                   // segments: ids; raw: a `body` that is not a JSON string
  bool has_own_timestamp = false;  // identify: `attributes` hold a `_timestamp`
  bool attributes_are_v1 = false;  // identify: they hold what the v2 API has in another shape (core/batch.h)
  Slice timestamp;                 // a JSON number (Unix seconds) or an RFC 3339 JSON string
  std::string event_id;            // the producer's own ULID; empty: the job id is sent
  std::string ref;
  bool has_ref = false;
  std::optional<std::chrono::seconds> max_age;
  std::optional<Region> region;
  std::unique_ptr<TrackCall> call;      // instead of the members that follow: `body` is the request's, whole
  std::unique_ptr<RawCall> raw;         // raw only
  std::unique_ptr<OtherMembers> other;  // the types that need it
  // Further customers whose order this job must keep (merge, segments, an identify that claims an anonymous
  // one's events).
  std::vector<std::string> more_customers;

  std::string_view Text(Slice slice) const {
    return std::string_view(line).substr(slice.offset, slice.length);
  }
};

// A lane's key: a stable 64-bit hash of connection and customer. Two customers that share a hash merely wait
// for each other.
enum class LaneKey : std::uint64_t {};
LaneKey MakeLaneKey(std::string_view connection, std::string_view customer);

// The lanes whose order a job must keep, sorted and unique; empty for a job about no customer. Nearly always
// one, which needs no allocation.
class LaneList {
 public:
  LaneList() = default;
  explicit LaneList(LaneKey lane) : one_(lane), count_(1) {}
  explicit LaneList(std::vector<LaneKey> lanes);

  operator std::span<const LaneKey>() const {
    return count_ <= 1 ? std::span(&one_, count_) : std::span<const LaneKey>(many_);
  }
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  LaneKey front() const { return count_ <= 1 ? one_ : many_.front(); }
  friend bool operator==(const LaneList& list, std::span<const LaneKey> lanes);

 private:
  LaneKey one_{};
  std::size_t count_ = 0;
  std::vector<LaneKey> many_;  // more than one
};
LaneList LanesOf(const Job& job);

// What a job is suspected of: that what looks like the connection's trouble is its own (README "Delivery
// rules").
enum class Suspicion : std::uint8_t {
  kNone,
  kAuth,         // 401, 403 although the credentials are right
  kRegion,       // 3xx although the region is right
  kTrouble,      // 5xx, reset, timeout, while others are delivered
  kNotTrackApi,  // answers that are not the Track API's
};
template <>
inline constexpr Names<Suspicion> kNames<Suspicion>{{{Suspicion::kNone, ""},
                                                     {Suspicion::kAuth, "auth"},
                                                     {Suspicion::kRegion, "region"},
                                                     {Suspicion::kTrouble, "trouble"},
                                                     {Suspicion::kNotTrackApi, "not_track_api"}}};
constexpr std::string_view SuspicionName(Suspicion suspicion) {
  return NameOf(suspicion);
}

// What acceptance stamped on a job.
struct Stamp {
  Ulid id;
  Timestamp accepted;
};

// An accepted job with what the outbox knows of it. Owned by exactly one thread at a time.
struct QueuedJob {
  Sequence sequence{};
  Stamp stamp;
  Job job;
  std::optional<std::uint32_t> uid;  // of the producer's process
  std::uint32_t attempts = 0;        // requests that left, all recorded
  std::uint32_t charged = 0;   // those that count against max_attempts since acceptance or the last redrive
  std::uint32_t failures = 0;  // deferrals in the same time, charged or not: backoff follows them
  // The connection's delivery counter at its last failure in the same time; nullopt: it did not fail yet.
  std::optional<std::uint64_t> deliveries_at_failure;
  Suspicion suspicion = Suspicion::kNone;
  std::uint32_t refusals = 0;           // answers counted alike while it is a suspect
  std::optional<Timestamp> counted_at;  // the last of them, or the last charge of a job alone
  std::uint32_t unanswered = 0;         // in a row, on connections that broke. Not on disk
  // May share a request with at most so many jobs, itself counted, since a larger one was refused. Not on
  // disk.
  std::optional<std::uint32_t> batch_max;
  std::optional<Timestamp> due;  // set while deferred
  bool stowed = false;           // its row says that it waits on disk alone
  std::optional<Timestamp> redriven;
  // When these two were by the boot clock, where they move with the wall clock (core/clock.h): it was this
  // boot, and the clock not synchronised.
  std::optional<Milliseconds> accepted_boot, redriven_boot;

  // Where max_age counts from.
  Timestamp AgeStart() const { return redriven.value_or(stamp.accepted); }
  // What a redrive does: all that was counted since acceptance starts again, but for `attempts`.
  void ForgetFailures() {
    charged = failures = refusals = 0;
    deliveries_at_failure.reset();
    suspicion = Suspicion::kNone;
    counted_at.reset();
  }
};

}  // namespace outboxd
