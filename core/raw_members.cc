#include "core/raw_members.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ascii.h"
#include "core/encoding.h"
#include "core/job.h"
#include "core/limits.h"
#include "core/member_values.h"
#include "core/names.h"
#include "core/object_scan.h"
#include "core/result.h"
#include "core/time.h"

namespace outboxd::members::raw {
namespace {

using TextPairs = std::vector<std::pair<std::string, std::string>>;

RawCall& Raw(Job& job) {
  if (!job.raw) job.raw = std::make_unique<RawCall>();
  return *job.raw;
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), IsControl);
}

// RFC 9110 section 5.6.2.
bool IsToken(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  const auto is_token_byte = [&](char byte) {
    return IsDigit(byte) || IsLetter(byte) || kMarks.find(byte) != std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_byte);
}

Result<void> ReadTextPairs(const Member& member, const Job& job, TextPairs& into) {
  if (IsEmptyArray(member, job.Text(member.raw))) return {};
  if (member.kind != ValueKind::kObject) return Bad("must be an object of strings");
  std::vector<Member> parts = Inside(std::string(job.Text(member.raw)));
  into.reserve(parts.size());
  for (Member& part : parts) {
    if (part.kind == ValueKind::kNull) continue;
    if (part.kind != ValueKind::kString) return Bad("must be a string", part.key);
    into.emplace_back(std::move(part.key), std::move(part.text));
  }
  return {};
}

std::optional<std::int64_t> ReadWithin(ValueKind kind, std::string_view json, std::int64_t least,
                                       std::int64_t most) {
  const std::optional<std::int64_t> number = ReadInteger(kind, json);
  return number && *number >= least && *number <= most ? number : std::nullopt;
}

Result<void> ReadFile(const Member& file, std::string_view array, RawFile& into) {
  if (file.kind != ValueKind::kObject) return Bad("must be an object");
  bool has_content = false;
  for (Member& part : Inside(std::string(array.substr(file.raw.offset, file.raw.length)))) {
    if (part.kind == ValueKind::kNull) continue;
    if (part.kind != ValueKind::kString) return Bad("must be a string", part.key);
    if (part.key == "name") {
      into.name = std::move(part.text);
    } else if (part.key == "filename") {
      into.filename = std::move(part.text);
    } else if (part.key == "content" || part.key == "content_base64") {
      if (has_content) return Bad("give \"content\" or \"content_base64\", not both", part.key);
      has_content = true;
      const std::optional<std::string> content =
          part.key == "content" ? std::move(part.text) : Base64Decode(part.text);
      if (!content) return Bad("is not base64", part.key);
      into.content = *content;
    } else {
      return Bad("unknown member", part.key);
    }
  }
  if (into.name.empty() || HasControl(into.name))
    return Bad("a file needs a \"name\" without control characters", "name");
  if (into.filename.empty()) into.filename = into.name;
  if (HasControl(into.filename)) return Bad("must not hold control characters", "filename");
  if (!has_content) return Bad("a file needs \"content\" or \"content_base64\"", "content");
  return {};
}

// The identifier in /v1/customers/{identifier}…; empty for any other path, and for one that no customer can
// have.
std::string CustomerInPath(std::string_view path) {
  constexpr std::string_view kCustomers = "/v1/customers/";
  if (!path.starts_with(kCustomers)) return {};
  path.remove_prefix(kCustomers.size());
  std::string customer = PercentDecode(path.substr(0, path.find_first_of("/?")));
  return customer.size() <= limits::kCustomerIdBytes ? customer : std::string();
}

}  // namespace

Result<void> ReadMethod(const Member& member, Job& job) {
  if (member.kind != ValueKind::kString || !IsToken(member.text) ||
      member.text.size() > limits::kRawMethodBytes)
    return Bad("must be an HTTP method");
  Raw(job).method = member.text;
  return {};
}

Result<void> ReadPath(const Member& member, Job& job) {
  if (member.kind != ValueKind::kString) return Bad("must be a string");
  const std::string& path = member.text;
  if (!path.starts_with("/v1/") && !path.starts_with("/v2/")) return Bad("must start with /v1/ or /v2/");
  if (path.size() > limits::kRawPathBytes)
    return Bad("is longer than " + std::to_string(limits::kRawPathBytes) + " bytes");
  if (HasControl(path) || path.find('#') != std::string::npos)
    return Bad("must not hold control characters or #");
  Raw(job).path = path;
  return {};
}

Result<void> ReadQuery(const Member& member, Job& job) {
  return ReadTextPairs(member, job, Raw(job).query);
}

Result<void> ReadHeaders(const Member& member, Job& job) {
  TextPairs& headers = Raw(job).headers;
  RETURN_IF_ERROR(ReadTextPairs(member, job, headers));
  if (headers.size() > limits::kRawHeaders)
    return Bad("more than " + std::to_string(limits::kRawHeaders) + " headers");
  std::size_t bytes = 0;
  for (const auto& [name, value] : headers) {
    if (!IsToken(name)) return Bad("is not a header name", name);
    if (HasControl(value)) return Bad("must not hold control characters", name);
    bytes += name.size() + value.size();
  }
  if (bytes > limits::kRawHeaderBytes)
    return Bad("are longer than " + std::to_string(limits::kRawHeaderBytes) + " bytes together");
  return {};
}

Result<void> ReadBody(const Member& member, Job& job) {
  if (member.kind == ValueKind::kString) {
    Raw(job).text_body = member.text;
  } else {
    job.body = member.raw;
  }
  return {};
}

Result<void> ReadForm(const Member& member, Job& job) {
  RETURN_IF_ERROR(ReadTextPairs(member, job, Raw(job).form));
  for (const auto& [name, value] : Raw(job).form) {
    if (name.empty() || HasControl(name)) return Bad("a field needs a name without control characters", name);
  }
  return {};
}

Result<void> ReadFiles(const Member& member, Job& job) {
  if (member.kind != ValueKind::kArray) return Bad("must be an array of objects");
  const std::string array(job.Text(member.raw));
  const std::vector<Member> files = Inside(array);
  if (files.size() > limits::kRawFiles)
    return Bad("more than " + std::to_string(limits::kRawFiles) + " files");
  for (std::size_t i = 0; i < files.size(); ++i) {
    Result<void> read = ReadFile(files[i], array, Raw(job).files.emplace_back());
    if (!read)
      return Bad(std::move(read.error().message),
                 std::to_string(i) + (read.error().field.empty() ? "" : "." + read.error().field));
  }
  return {};
}

Result<void> ReadResponseType(const Member& member, Job& job) {
  const std::optional<ResponseType> type =
      member.kind == ValueKind::kString ? kNames<ResponseType>.Find(member.text) : std::nullopt;
  if (!type) return Bad("must be " + ListNames<ResponseType>("\""));
  Raw(job).response_type = type;
  return {};
}

Result<void> ReadTimeout(const Member& member, Job& job) {
  const std::optional<std::int64_t> timeout =
      ReadWithin(member.kind, job.Text(member.raw), 1, limits::kRawTimeoutMs);
  if (!timeout) return Bad("must be whole milliseconds, 1 to " + std::to_string(limits::kRawTimeoutMs));
  Raw(job).timeout = Milliseconds(*timeout);
  return {};
}

Result<void> ReadRetry(const Member& member, Job& job) {
  if (member.kind != ValueKind::kObject && !IsEmptyArray(member, job.Text(member.raw)))
    return Bad("must be an object");
  RawRetry& retry = Raw(job).retry.emplace();
  const std::string text(job.Text(member.raw));
  for (const Member& part : Inside(text)) {
    if (part.kind == ValueKind::kNull) continue;
    const std::string_view json = std::string_view(text).substr(part.raw.offset, part.raw.length);
    if (part.key == "max_retries") {
      const auto count = ReadWithin(part.kind, json, 0, limits::kRawRetries);
      if (!count) return Bad("must be 0 to " + std::to_string(limits::kRawRetries), part.key);
      retry.max_retries = *count;
    } else if (part.key == "delay_ms") {
      const auto delay = ReadWithin(part.kind, json, 0, limits::kRawDelayMs);
      if (!delay) return Bad("must be 0 to " + std::to_string(limits::kRawDelayMs), part.key);
      retry.delay = Milliseconds(*delay);
    } else if (part.key == "exponential" || part.key == "all_errors") {
      if (part.kind != ValueKind::kTrue && part.kind != ValueKind::kFalse)
        return Bad("must be true or false", part.key);
      (part.key == "exponential" ? retry.exponential : retry.all_errors) = part.kind == ValueKind::kTrue;
    } else {
      return Bad("unknown member", part.key);
    }
  }
  return {};
}

Result<void> ReadDebug(const Member& member, Job& job) {
  if (member.kind != ValueKind::kTrue && member.kind != ValueKind::kFalse)
    return Bad("must be true or false");
  Raw(job).debug = member.kind == ValueKind::kTrue;
  return {};
}

Result<void> CheckWhole(Job& job) {
  const RawCall& call = Raw(job);
  const bool multipart = !call.form.empty() || !call.files.empty();
  if (multipart && (call.text_body || !job.body.empty()))
    return Bad("give \"body\" or \"form\" and \"files\", not both", "body");
  if (job.customer.empty()) job.customer = CustomerInPath(call.path);
  return {};
}

}  // namespace outboxd::members::raw
