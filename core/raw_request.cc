#include "core/raw_request.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ascii.h"
#include "core/encoding.h"
#include "core/job.h"
#include "core/object_scan.h"
#include "core/request.h"

namespace outboxd {
namespace {

// What may stand in a path with its query (RFC 3986 appendix A: pchar, "/" and "?").
constexpr ByteTable kPathAndQuery = LettersDigitsAnd("-._~!$&'()*+,;=:@/?");

// The path as its producer wrote it, but for bytes that cannot stand in a request line; escapes already there
// stay.
std::string RawTarget(const RawCall& call) {
  std::string target = "/api";
  target.reserve(target.size() + call.path.size() + 64);
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

bool HasHeader(const HttpRequest& request, std::string_view name) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [name](const auto& header) { return EqualsIgnoringCase(header.first, name); });
}

// Credentials are ours, the length and the host are the transport's, and so is the content type of a
// multipart body (its boundary).
bool IsProducersHeader(const std::pair<std::string, std::string>& header, bool is_multipart) {
  constexpr std::array<std::string_view, 4> kOurs = {"Authorization", "Content-Length", "Host",
                                                     "Transfer-Encoding"};
  constexpr std::string_view kLineBreakers("\r\n\0", 3);
  const auto is_name = [&header](std::string_view name) { return EqualsIgnoringCase(header.first, name); };
  if (header.first.empty() || std::any_of(kOurs.begin(), kOurs.end(), is_name)) return false;
  if (is_multipart && is_name("Content-Type")) return false;
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

std::vector<MultipartPart> PartsOf(const RawCall& call) {
  std::vector<MultipartPart> parts;
  parts.reserve(call.form.size() + call.files.size());
  for (const auto& [name, value] : call.form) parts.push_back({name, {}, value});
  for (const RawFile& file : call.files)
    parts.push_back({file.name, file.filename.empty() ? file.name : file.filename, file.content});
  return parts;
}

}  // namespace

HttpRequest BuildRaw(const Job& job, const Stamp&) {
  static const RawCall kNone;
  const RawCall& call = job.raw ? *job.raw : kNone;
  HttpRequest request;
  request.method = call.method;
  request.target = RawTarget(call);
  request.timeout = call.timeout;
  request.debug = call.debug;
  request.parts = PartsOf(call);
  const bool is_multipart = !request.parts.empty();
  for (const auto& header : call.headers) {
    if (IsProducersHeader(header, is_multipart)) request.headers.push_back(header);
  }
  if (!HasHeader(request, "Accept"))
    request.headers.emplace_back("Accept", AcceptOf(call.response_type.value_or(ResponseType::kJson)));
  if (is_multipart) return request;
  request.body = call.text_body ? *call.text_body : job.Text(job.body);
  if (!request.body.empty() && !HasHeader(request, "Content-Type")) {
    request.headers.emplace_back("Content-Type",
                                 call.text_body ? ContentTypeOf(request.body) : "application/json");
  }
  return request;
}

}  // namespace outboxd
