#include "core/raw_request.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ascii.h"
#include "core/encoding.h"
#include "core/header_rules.h"
#include "core/job.h"
#include "core/multipart.h"
#include "core/object_scan.h"
#include "core/request.h"

namespace outboxd {
namespace {

// What may stand in a path with its query (RFC 3986 appendix A: pchar, "/" and "?").
constexpr ByteTable kPathAndQuery = LettersDigitsAnd("-._~!$&'()*+,;=:@/?");

// No less than the target has, so that it never grows.
std::size_t TargetBytesMax(const RawCall& call) {
  std::size_t bytes = call.path.size();
  for (const auto& [name, value] : call.query) bytes += name.size() + value.size() + 2;
  return bytes * 3 + 8;
}

bool HasHeader(const HttpRequest& request, std::string_view name) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [name](const auto& header) { return EqualsIgnoringCase(header.first, name); });
}

// Whether it leaves with the request. What speaks to the next hop alone would act on other jobs' requests;
// the content type of a multipart body (its boundary) is ours.
bool IsProducersHeader(const std::pair<std::string, std::string>& header, bool is_multipart) {
  constexpr std::string_view kLineBreakers("\r\n\0", 3);
  const HeaderRule rule = RuleOfHeader(header.first);
  if (header.first.empty() || rule == HeaderRule::kOurs || rule == HeaderRule::kHop) return false;
  if (is_multipart && EqualsIgnoringCase(header.first, "Content-Type")) return false;
  return header.first.find_first_of(kLineBreakers) == std::string::npos &&
         header.second.find_first_of(kLineBreakers) == std::string::npos;
}

std::string_view AcceptOf(ResponseType type) {
  switch (type) {
    case ResponseType::kJson:
      return "application/json";
    case ResponseType::kText:
      return "text/*";
    case ResponseType::kBinary:
      break;
  }
  return "*/*";
}

std::string_view ContentTypeOf(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kJsonWhiteSpace);
  const bool looks_like_json = first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
  return looks_like_json ? "application/json" : "text/plain; charset=utf-8";
}

}  // namespace

// The path as its producer wrote it, but for bytes that cannot stand in a request line; escapes already there
// stay.
std::string RawTarget(const RawCall& call) {
  std::string target = "/api";
  target.reserve(TargetBytesMax(call));
  for (std::size_t i = 0; i < call.path.size(); ++i) {
    const char byte = call.path[i];
    if (kPathAndQuery[Byte(byte)] || IsPercentEscape(call.path, i)) {
      target += byte;
    } else {
      AppendPercentEscape(target, byte);
    }
  }
  bool has_query = call.path.find('?') != std::string::npos;
  for (const auto& [name, value] : call.query) {
    if (!has_query) {
      target += '?';
    } else if (!target.ends_with('?') && !target.ends_with('&')) {
      target += '&';
    }
    has_query = true;
    AppendPercentEncoded(target, name);
    target += '=';
    AppendPercentEncoded(target, value);
  }
  return target;
}

HttpRequest BuildRaw(const Job& job, const Stamp& stamp) {
  static const RawCall kNone;
  const RawCall& call = job.raw ? *job.raw : kNone;
  HttpRequest request;
  request.method = call.method;
  request.target = RawTarget(call);
  request.timeout = call.timeout;
  request.debug = call.debug;
  const bool is_multipart = !call.form.empty() || !call.files.empty();
  for (const auto& header : call.headers) {
    if (IsProducersHeader(header, is_multipart)) request.headers.push_back(header);
  }
  if (!HasHeader(request, "Accept"))
    request.headers.emplace_back("Accept", AcceptOf(call.response_type.value_or(ResponseType::kJson)));
  if (is_multipart) {
    MultipartBody body = BuildMultipart(call.form, call.files, stamp.id);
    request.headers.emplace_back("Content-Type", "multipart/form-data; boundary=" + body.boundary);
    request.body = std::move(body.bytes);
    return request;
  }
  request.body = call.text_body ? *call.text_body : job.Text(job.body);
  if (!request.body.empty() && !HasHeader(request, "Content-Type")) {
    request.headers.emplace_back("Content-Type",
                                 call.text_body ? ContentTypeOf(request.body) : "application/json");
  }
  return request;
}

}  // namespace outboxd
