#include "core/request.h"

#include <algorithm>
#include <array>
#include <optional>

#include "core/ascii.h"
#include "core/object_scan.h"
#include "core/splice.h"
#include "core/track_call.h"

namespace outboxd {
namespace {

constexpr std::string_view kCustomers = "/api/v1/customers/";

using ByteTable = std::array<bool, 256>;

constexpr ByteTable MakeTable(std::string_view more) {
  ByteTable table{};
  for (unsigned byte = '0'; byte <= '9'; ++byte) table[byte] = true;
  for (unsigned byte = 'A'; byte <= 'Z'; ++byte) table[byte] = true;
  for (unsigned byte = 'a'; byte <= 'z'; ++byte) table[byte] = true;
  for (const char byte : more) table[static_cast<unsigned char>(byte)] = true;
  return table;
}

constexpr ByteTable kUnreserved = MakeTable("-._~");
// What may stand in a path with its query (RFC 3986 appendix A: pchar, "/" and "?").
constexpr ByteTable kPathAndQuery = MakeTable("-._~!$&'()*+,;=:@/?");

constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 0xff;

constexpr std::array<std::uint8_t, 256> kBase64Values = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (std::size_t i = 0; i < kBase64Digits.size(); ++i) {
    values[static_cast<unsigned char>(kBase64Digits[i])] = static_cast<std::uint8_t>(i);
  }
  values['-'] = 62;
  values['_'] = 63;
  return values;
}();

int HexValue(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  const char lower = Lower(byte);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool IsPercentEscape(std::string_view text, std::size_t at) {
  return text[at] == '%' && at + 2 < text.size() && HexValue(text[at + 1]) >= 0 &&
         HexValue(text[at + 2]) >= 0;
}

void AppendPercentEncoded(std::string& out, std::string_view text) {
  for (const char byte : text) {
    if (kUnreserved[Byte(byte)]) {
      out += byte;
    } else {
      AppendEscaped(out, byte);
    }
  }
}

// One segment of a path. "." and ".." would be taken for steps in the tree by clients and proxies on the way.
void AppendSegment(std::string& out, std::string_view segment) {
  if (segment != "." && segment != "..") return AppendPercentEncoded(out, segment);
  for (const char byte : segment) AppendEscaped(out, byte);
}

void SetJsonBody(HttpRequest& request, std::string body) {
  request.headers.emplace_back("Content-Type", "application/json");
  request.body = std::move(body);
}

HttpRequest MakeRequest(std::string_view method, std::string target) {
  HttpRequest request;
  request.method = method;
  request.target = std::move(target);
  return request;
}

std::string CustomerTarget(const Job& job, std::string_view rest) {
  std::string target;
  target.reserve(kCustomers.size() + job.customer.size() * 3 + rest.size());
  target += kCustomers;
  AppendSegment(target, job.customer);
  target += rest;
  return target;
}

HttpRequest BuildIdentify(const Job& job, const Stamp& stamp) {
  HttpRequest request = MakeRequest("PUT", CustomerTarget(job, {}));
  const std::string_view attributes = job.Text(job.body);
  if (job.has_own_timestamp) {
    SetJsonBody(request, std::string(attributes));
    return request;
  }
  std::string body;
  body.reserve(attributes.size() + 40);
  body += "{\"_timestamp\":";
  AppendTimestamp(body, job, stamp);
  const std::size_t first = attributes.find_first_not_of(kJsonWhiteSpace, 1);
  if (first == std::string_view::npos || attributes[first] == '}') {
    body += '}';
  } else {
    body += ',';
    body += attributes.substr(1);
  }
  SetJsonBody(request, std::move(body));
  return request;
}

// track and pageview, of a known or an anonymous customer.
HttpRequest BuildEvent(const Job& job, const Stamp& stamp) {
  const std::string_view data = job.Text(job.body);
  std::string body;
  body.reserve(job.customer.size() + job.name.size() + data.size() + job.timestamp.length + 128);
  body += '{';
  if (job.anonymous) {
    body += "\"anonymous_id\":";
    AppendJsonString(body, job.customer);
    body += ',';
  }
  if (job.type == JobType::kPageview) body += "\"type\":\"page\",";
  body += "\"name\":";
  AppendJsonString(body, job.name);
  body += ",\"id\":";
  AppendEventId(body, job, stamp);
  body += ",\"timestamp\":";
  AppendTimestamp(body, job, stamp);
  if (!data.empty()) {
    body += ",\"data\":";
    body += data;
  }
  body += '}';
  HttpRequest request =
      MakeRequest("POST", job.anonymous ? "/api/v1/events" : CustomerTarget(job, "/events"));
  SetJsonBody(request, std::move(body));
  return request;
}

std::string OneMember(std::string_view name, std::string_view value) {
  std::string body;
  body.reserve(name.size() + value.size() + 8);
  body.append("{\"").append(name).append("\":").append(value).append("}");
  return body;
}

HttpRequest BuildAddDevice(const Job& job) {
  HttpRequest request = MakeRequest("PUT", CustomerTarget(job, "/devices"));
  SetJsonBody(request, OneMember("device", job.Text(job.body)));
  return request;
}

HttpRequest BuildDeleteDevice(const Job& job, const OtherMembers& other) {
  std::string target = CustomerTarget(job, "/devices/");
  AppendSegment(target, other.device_id);
  return MakeRequest("DELETE", std::move(target));
}

HttpRequest BuildMerge(const Job& job, const OtherMembers& other) {
  HttpRequest request = MakeRequest("POST", "/api/v1/merge_customers");
  std::string body = "{\"primary\":";
  body.append(job.Text(other.primary))
      .append(",\"secondary\":")
      .append(job.Text(other.secondary))
      .append("}");
  SetJsonBody(request, std::move(body));
  return request;
}

HttpRequest BuildForm(const Job& job, const OtherMembers& other) {
  std::string target = "/api/v1/forms/";
  AppendSegment(target, other.form_id);
  target += "/submit";
  HttpRequest request = MakeRequest("POST", std::move(target));
  SetJsonBody(request, OneMember("data", job.body.empty() ? "{}" : job.Text(job.body)));
  return request;
}

HttpRequest BuildSegmentChange(const Job& job, const OtherMembers& other) {
  std::string target = "/api/v1/segments/";
  AppendSegment(target, other.segment_id);
  target += job.type == JobType::kAddToSegment ? "/add_customers" : "/remove_customers";
  if (!other.id_type.empty()) {
    target += "?id_type=";
    AppendPercentEncoded(target, other.id_type);
  }
  HttpRequest request = MakeRequest("POST", std::move(target));
  SetJsonBody(request, OneMember("ids", job.Text(job.body)));
  return request;
}

HttpRequest BuildMetric(const Job& job, const Stamp& stamp, const OtherMembers& other) {
  std::string body = "{\"delivery_id\":";
  AppendJsonString(body, other.delivery_id);
  body += ",\"metric\":";
  AppendJsonString(body, other.metric);
  body += ",\"timestamp\":";
  AppendTimestamp(body, job, stamp);
  const std::array<std::pair<std::string_view, std::string_view>, 3> optional_members = {
      {{"recipient", other.recipient}, {"reason", other.reason}, {"href", other.href}}};
  for (const auto& [name, value] : optional_members) {
    if (value.empty()) continue;
    body.append(",\"").append(name).append("\":");
    AppendJsonString(body, value);
  }
  body += '}';
  HttpRequest request = MakeRequest("POST", "/api/v1/metrics");
  SetJsonBody(request, std::move(body));
  return request;
}

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
      AppendEscaped(target, byte);
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

HttpRequest BuildRaw(const Job& job, const RawCall& call) {
  HttpRequest request = MakeRequest(call.method, RawTarget(call));
  request.timeout = call.timeout;
  request.debug = call.debug;
  request.parts = PartsOf(call);
  const bool is_multipart = !request.parts.empty();
  for (const auto& header : call.headers) {
    if (IsProducersHeader(header, is_multipart)) request.headers.push_back(header);
  }
  if (!HasHeader(request, "Accept")) request.headers.emplace_back("Accept", AcceptOf(call.response_type));
  if (is_multipart) return request;
  request.body = call.text_body ? *call.text_body : job.Text(job.body);
  if (!request.body.empty() && !HasHeader(request, "Content-Type")) {
    request.headers.emplace_back("Content-Type",
                                 call.text_body ? ContentTypeOf(request.body) : "application/json");
  }
  return request;
}

}  // namespace

HttpRequest BuildRequest(const Job& job, const Stamp& stamp) {
  static const OtherMembers kNoMembers;
  static const RawCall kNoCall;
  if (job.call) return BuildTrackCall(job, stamp);
  const OtherMembers& other = job.other ? *job.other : kNoMembers;
  switch (job.type) {
    case JobType::kIdentify:
      return BuildIdentify(job, stamp);
    case JobType::kTrack:
    case JobType::kPageview:
      return BuildEvent(job, stamp);
    case JobType::kDestroy:
      return MakeRequest("DELETE", CustomerTarget(job, {}));
    case JobType::kRaw:
      return BuildRaw(job, job.raw ? *job.raw : kNoCall);
    case JobType::kSuppress:
      return MakeRequest("POST", CustomerTarget(job, "/suppress"));
    case JobType::kUnsuppress:
      return MakeRequest("POST", CustomerTarget(job, "/unsuppress"));
    case JobType::kAddDevice:
      return BuildAddDevice(job);
    case JobType::kDeleteDevice:
      return BuildDeleteDevice(job, other);
    case JobType::kMerge:
      return BuildMerge(job, other);
    case JobType::kForm:
      return BuildForm(job, other);
    case JobType::kAddToSegment:
    case JobType::kRemoveFromSegment:
      return BuildSegmentChange(job, other);
    case JobType::kMetric:
      return BuildMetric(job, stamp, other);
  }
  return {};
}

HttpRequest BuildRegionProbe() {
  return MakeRequest("GET", "/api/v1/accounts/region");
}

std::string PercentEncode(std::string_view text) {
  std::string encoded;
  encoded.reserve(text.size() * 3);
  AppendPercentEncoded(encoded, text);
  return encoded;
}

std::string PercentDecode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (IsPercentEscape(text, i)) {
      decoded += static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

std::string Base64Encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(bytes.size() - i, 3);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? Byte(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) text += k <= count ? kBase64Digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::optional<std::string> Base64Decode(std::string_view text) {
  if (text.ends_with('=')) {
    if (text.size() % 4 != 0) return std::nullopt;
    text.remove_suffix(text.ends_with("==") ? 2 : 1);
  }
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t pending = 0;
  int bits = 0;
  for (const char character : text) {
    const std::uint8_t value = kBase64Values[Byte(character)];
    if (value == kNoDigit) return std::nullopt;
    pending = (pending << 6 | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(pending >> bits & 0xff);
  }
  if ((pending & ((1U << bits) - 1)) != 0) return std::nullopt;  // bits that belong to no byte
  return bytes;
}

}  // namespace outboxd
