#include "core/acceptance.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "core/ascii.h"
#include "core/given_time.h"
#include "core/header_rules.h"
#include "core/job.h"
#include "core/job_types.h"
#include "core/limits.h"
#include "core/member_values.h"
#include "core/object_scan.h"
#include "core/path_segments.h"
#include "core/raw_request.h"
#include "core/result.h"

namespace outboxd {
namespace {

using members::Bad;

constexpr std::string_view kDotSegments = "must not hold . or .. segments";
constexpr std::string_view kCioId = "cio_";
constexpr std::string_view kBlanks = " \t\r\n\f\v";
constexpr std::size_t kSendableTargetBytes =
    900'000;  // libcurl's limit of 1 MiB holds headers and a small body too

std::string_view WithoutQuery(std::string_view target) {
  return target.substr(0, target.find('?'));
}

std::size_t QueryMembersOf(std::string_view target) {
  const std::size_t query = target.find('?');
  if (query == std::string_view::npos) return 0;
  target.remove_prefix(query + 1);
  const auto is_separator = [](char byte) { return byte == '&' || byte == ';'; };
  return 1 + static_cast<std::size_t>(std::count_if(target.begin(), target.end(), is_separator));
}

Failure TooMany(std::size_t most, std::string_view what, std::string field) {
  return Bad("more than " + std::to_string(most) + " " + std::string(what), std::move(field));
}

// Most have letters and digits alone, or an address's.
bool NamesNobody(std::string_view identifier) {
  if (identifier.starts_with(kCioId)) identifier.remove_prefix(kCioId.size());
  return HasDotSegment(identifier) || IsBlankWhenDecoded(identifier);
}

Result<void> CheckName(std::string_view identifier, std::string_view field) {
  if (identifier.empty() || !NamesNobody(identifier)) return {};
  return Bad("must not be blank, . or .., nor have . or .. between slashes, also when it is decoded",
             std::string(field));
}

// A cio_id's lane has a prefix, with which it is as long as a v1 path takes it.
Result<void> CheckCustomer(std::string_view customer, std::string_view field) {
  if (customer.size() > limits::kCustomerIdBytes) {
    return Bad("is longer than " + std::to_string(limits::kCustomerIdBytes) + " bytes, with cio_ before it",
               std::string(field));
  }
  return CheckName(customer, field);
}

// Where the job's own customer stands.
std::string_view CustomerField(const Job& job) {
  if (job.call) return job.call->target.starts_with("/api/v1/customers/") ? "target" : "body";
  switch (job.type) {
    case JobType::kMerge:
      return "primary";
    case JobType::kForm:
      return "data";
    case JobType::kRaw:  // or in the path, which is checked before
      return "id";
    case JobType::kIdentify:
    case JobType::kTrack:
    case JobType::kPageview:
    case JobType::kDestroy:
    case JobType::kSuppress:
    case JobType::kUnsuppress:
    case JobType::kAddDevice:
    case JobType::kDeleteDevice:
    case JobType::kAddToSegment:
    case JobType::kRemoveFromSegment:
    case JobType::kMetric:
      break;
  }
  return job.anonymous ? "anonymous_id" : "id";
}

std::string FurtherField(const Job& job, std::size_t index) {
  if (job.call) return "body";
  return job.type == JobType::kMerge ? "secondary" : "ids." + std::to_string(index);
}

// An identify's attributes are Customer.io's to judge.
Result<void> CheckFurther(const Job& job) {
  if (job.type == JobType::kIdentify) return {};
  for (std::size_t i = 0; i < job.more_customers.size(); ++i) {
    const std::string& customer = job.more_customers[i];
    if (customer.size() > limits::kCustomerIdBytes || NamesNobody(customer))
      return CheckCustomer(customer, FurtherField(job, i));
  }
  return {};
}

// The id of the device that a request puts into its body: v1 calls it so, v2 a token.
Result<void> CheckDeviceIn(std::string_view device, std::string_view field) {
  for (const Member& part : members::Inside(std::string(device))) {
    if (part.key != "id" && part.key != "token") continue;
    RETURN_IF_ERROR(CheckName(part.text, field));
  }
  return {};
}

Result<void> CheckLastUsed(std::string_view device) {
  const std::string text(device);
  for (const Member& part : members::Inside(text)) {
    if (part.key != "last_used" || part.kind != ValueKind::kNumber) continue;
    if (!IsLineTime(part, std::string_view(text).substr(part.raw.offset, part.raw.length)))
      return Bad(std::string(kLineTimes), "device.last_used");
  }
  return {};
}

Result<void> CheckDevice(const Job& job) {
  if (job.type != JobType::kAddDevice && job.type != JobType::kDeleteDevice) return {};
  if (!job.call && job.type == JobType::kDeleteDevice) return CheckName(job.other->device_id, "device_id");
  if (!job.call) {
    RETURN_IF_ERROR(CheckLastUsed(job.Text(job.body)));
    return CheckDeviceIn(job.Text(job.body), "device.id");
  }
  for (const Member& part : members::Inside(std::string(job.Text(job.body)))) {
    if (part.key == "device" && part.kind == ValueKind::kObject)
      return CheckDeviceIn(job.Text({job.body.offset + part.raw.offset, part.raw.length}), "body.device");
  }
  return {};
}

// The delivery that a metric is about.
Result<void> CheckDelivery(const Job& job) {
  if (job.type != JobType::kMetric) return {};
  if (!job.call) return CheckName(job.other->delivery_id, "delivery_id");
  for (const Member& part : members::Inside(std::string(job.Text(job.body)))) {
    if (part.key == "delivery_id") return CheckName(part.text, "body.delivery_id");
  }
  return {};
}

Result<void> CheckNames(const Job& job) {
  RETURN_IF_ERROR(CheckCustomer(job.customer, CustomerField(job)));
  RETURN_IF_ERROR(CheckFurther(job));
  if (job.other) {
    RETURN_IF_ERROR(CheckName(job.other->form_id, "form_id"));
  }
  RETURN_IF_ERROR(CheckDelivery(job));
  return CheckDevice(job);
}

// The Track API judges the name of a page or a screen as that of any event.
Result<void> CheckEventName(const Job& job) {
  const auto field = [&job] {
    if (job.call) return "body.name";
    return job.type == JobType::kPageview ? "url" : "name";
  };
  if (job.name.find_first_not_of(kBlanks) == std::string::npos) return Bad("must not be blank", field());
  if (job.name.size() <= limits::kEventNameBytes) return {};
  return Bad("is " + std::to_string(job.name.size()) + " bytes; at most " +
                 std::to_string(limits::kEventNameBytes) + " are allowed",
             field());
}

Result<void> CheckMethod(std::string_view method) {
  // TRACK is what some servers call their TRACE.
  constexpr std::array<std::string_view, 4> kRefused = {"CONNECT", "TRACE", "PRI", "TRACK"};
  for (const std::string_view refused : kRefused) {
    if (EqualsIgnoringCase(method, refused)) return Bad("must not be " + std::string(refused), "method");
  }
  return {};
}

Result<void> CheckHeaders(const RawCall& call) {
  for (const auto& [name, value] : call.headers) {
    switch (RuleOfHeader(name)) {
      case HeaderRule::kFree:
      case HeaderRule::kOurs:
        break;
      case HeaderRule::kHop:
        return Bad("belongs to the network connection, which is outboxd's", "headers." + name);
      case HeaderRule::kOverride:
        return Bad("must not put another method or path in the place of the job's", "headers." + name);
    }
  }
  return {};
}

// As it is sent.
bool TargetIsLonger(const RawCall& call, std::size_t bytes_max) {
  std::size_t bytes = call.path.size();
  for (const auto& [name, value] : call.query) bytes += name.size() + value.size() + 2;
  // Encoding makes three bytes of one at most.
  return bytes > bytes_max / 3 && RawTarget(call).size() > bytes_max;
}

Result<void> CheckRaw(const RawCall& call) {
  RETURN_IF_ERROR(CheckMethod(call.method));
  if (HasDotSegment(WithoutQuery(call.path))) return Bad(std::string(kDotSegments), "path");
  if (QueryMembersOf(call.path) + call.query.size() > limits::kQueryMembers)
    return TooMany(limits::kQueryMembers, "query members", call.query.empty() ? "path" : "query");
  if (TargetIsLonger(call, limits::kRawTargetBytes))
    return Bad(
        "is longer than " + std::to_string(limits::kRawTargetBytes) + " bytes, with the path and encoded",
        "query");
  if (call.form.size() > limits::kRawFormFields) return TooMany(limits::kRawFormFields, "fields", "form");
  return CheckHeaders(call);
}

// A customer, a device or a form that names nobody.
bool HasBlankSegment(std::string_view path) {
  while (!path.empty()) {
    const std::string_view segment = path.substr(0, path.find('/'));
    if (!segment.empty() && IsBlankWhenDecoded(segment)) return true;
    path.remove_prefix(std::min(segment.size() + 1, path.size()));
  }
  return false;
}

Result<void> CheckNewTarget(std::string_view target) {
  if (HasDotSegment(WithoutQuery(target))) return Bad(std::string(kDotSegments), "target");
  if (HasBlankSegment(WithoutQuery(target))) return Bad("must not have a blank segment", "target");
  if (QueryMembersOf(target) > limits::kQueryMembers)
    return TooMany(limits::kQueryMembers, "query members", "target");
  return {};
}

bool StaysBelowBase(const Job& job) {
  if (job.call) return !HasDotSegment(WithoutQuery(job.call->target));
  if (job.raw) return !HasDotSegment(WithoutQuery(job.raw->path));
  if (job.other && (HasDotSegment(job.other->device_id) || HasDotSegment(job.other->form_id))) return false;
  const bool is_in_path = !job.anonymous && job.type != JobType::kMerge && job.type != JobType::kForm;
  return !is_in_path || !HasDotSegment(job.customer);
}

}  // namespace

Result<void> CheckNew(const Job& job) {
  if (job.call) {
    RETURN_IF_ERROR(CheckNewTarget(job.call->target));
  }
  if (job.raw) {
    RETURN_IF_ERROR(CheckRaw(*job.raw));
  }
  if (IsEvent(job.type)) {
    RETURN_IF_ERROR(CheckEventName(job));
  }
  return CheckNames(job);
}

std::string_view WhyNeverSent(const Job& job) {
  if (!StaysBelowBase(job)) return "its path holds . or .. segments, which would lead out of base_url";
  if (job.raw && TargetIsLonger(*job.raw, kSendableTargetBytes))
    return "its path with the query is longer than can be sent";
  return {};
}

}  // namespace outboxd
