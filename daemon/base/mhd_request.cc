#include "daemon/base/mhd_request.h"

#include <microhttpd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string_view>

#include "config/system_user.h"
#include "core/ascii.h"
#include "daemon/base/http_message.h"
#include "daemon/base/http_server.h"

namespace outboxd {
namespace {

constexpr std::size_t kHeadersUsual = 8;

// What RFC 9110 section 5.6.2 lets a header's name have. Among others it has no space, which some take for
// the end of the name.
constexpr ByteTable kTokenBytes = LettersDigitsAnd("!#$%&'*+-.^_`|~");

bool IsToken(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return kTokenBytes[Byte(c)]; });
}

// The version of libmicrohttpd of which we know how it leaves a head behind: each line's end has become a NUL
// a byte, and of a folded header the name, with the next line behind it, was copied to after the value. It
// takes both from its clients, whatever is told to it.
bool KnowsItsTraces() {
  static const bool knows = std::string_view(MHD_get_version()) == "0.9.75";
  return knows;
}

// `text` ends with its line: two NULs are there where it ended with CR LF.
bool EndsWithCrLf(const char* text, std::size_t length) {
  return text[length] == '\0' && text[length + 1] == '\0';
}

bool IsUnambiguousHeader(std::string_view name, std::string_view value) {
  if (!IsToken(name) || value.find('\r') != std::string_view::npos) return false;
  if (!KnowsItsTraces()) return true;
  return std::less<>()(name.data(), value.data()) && EndsWithCrLf(value.data(), value.size());
}
constexpr std::size_t kBodyReserve = 4096;  // a body that is only announced takes no more

MHD_Result CollectHeader(void* view, MHD_ValueKind, const char* name, const char* value) {
  static_cast<HttpRequestView*>(view)->headers.emplace_back(name, value != nullptr ? value : "\0");
  return MHD_YES;
}

// libmicrohttpd would read a body without an end.
bool HasUnknownEncoding(MHD_Connection* connection) {
  const char* encoding =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
  return encoding != nullptr && !EqualsIgnoringCase(encoding, "chunked");
}

bool IsChunked(MHD_Connection* connection) {
  return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING) !=
         nullptr;
}

std::uint64_t AnnouncedBytes(MHD_Connection* connection) {
  const char* length =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
  // libmicrohttpd has refused anything but digits already; too many of them overflow to ULLONG_MAX.
  return length != nullptr ? std::strtoull(length, nullptr, 10) : 0;
}

}  // namespace

const HttpResponse* MhdRequest::Begin(MHD_Connection* connection, const HttpServerOptions& options) {
  has_begun_ = true;
  began_ = std::chrono::steady_clock::now();
  client_.Enter(MhdClient::Turn::kBody);
  body_bytes_max_ = options.body_bytes_max;
  announced_ = AnnouncedBytes(connection);
  is_chunked_ = IsChunked(connection);
  if (!options.users.empty() && !IsAllowed(client_.user(), options.users)) return &options.forbidden;
  if (is_chunked_) {
    if (HasUnknownEncoding(connection)) return &options.malformed;
    // libmicrohttpd lets a chunk's line end with LF alone. A proxy in front that does not would see the end
    // of the body elsewhere: what follows is not read as a request.
    client_.EndWithThis();
  }
  return nullptr;
}

void MhdRequest::Limit(std::size_t body_bytes_max) {
  body_bytes_max_ = std::min(body_bytes_max_, body_bytes_max);
}

void MhdRequest::CheckAnnounced(const HttpServerOptions& options) {
  if (refusal_ == nullptr && announced_ > body_bytes_max_) refusal_ = &options.too_large;
  if (refusal_ == nullptr) body_.reserve(std::min<std::size_t>(announced_, kBodyReserve));
}

bool MhdRequest::IsRefusedAtOnce(MHD_Connection* connection, const HttpServerOptions& options) const {
  if (refusal_ == nullptr) return false;
  return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT) != nullptr ||
         announced_ > options.discarded_bytes_max;
}

bool MhdRequest::Collect(std::string_view bytes, const HttpServerOptions& options) {
  if (!IsInTime(options)) return false;
  if (refusal_ == nullptr && Fits(bytes)) {
    Append(bytes);
    return true;
  }
  if (refusal_ == nullptr) refusal_ = &options.too_large;
  return Discard(bytes, options);
}

bool MhdRequest::IsInTime(const HttpServerOptions& options) const {
  return std::chrono::steady_clock::now() - began_ <= options.body_patience;
}

bool MhdRequest::Discard(std::string_view bytes, const HttpServerOptions& options) {
  body_ = {};
  discarded_bytes_ += bytes.size();
  return discarded_bytes_ <= options.discarded_bytes_max;
}

HttpRequestView MhdRequest::View(MHD_Connection* connection, const char* method) const {
  HttpRequestView view;
  view.method = method;
  view.target = target_;
  const std::size_t question_mark = view.target.find('?');
  view.path = view.target.substr(0, question_mark);
  if (question_mark != std::string_view::npos) view.query = view.target.substr(question_mark + 1);
  view.headers.reserve(kHeadersUsual);
  MHD_get_connection_values(connection, MHD_HEADER_KIND, &CollectHeader, &view);
  view.body = body_;
  view.uid = client_.user();
  view.socket = client_.socket();
  return view;
}

// A NUL ends the target for us, and for a proxy in front it may not. The version stands one byte behind it.
bool MhdRequest::IsWholeTarget(const char* url, const char* version) const {
  return !KnowsItsTraces() || url + target_.size() + 1 == version;
}

// Two lengths, or two ways to tell one, are how requests are smuggled past a proxy.
bool MhdRequest::IsUnambiguous(const HttpRequestView& view, const char* url, const char* version) const {
  if (!IsWholeTarget(url, version)) return false;
  constexpr std::string_view kVersion = "HTTP/1.1";
  const std::string_view given(version);
  if (KnowsItsTraces() && given.size() == kVersion.size() && !EndsWithCrLf(version, given.size()))
    return false;
  int lengths = 0;
  int hosts = 0;
  for (const auto& [name, value] : view.headers) {
    if (!IsUnambiguousHeader(name, value)) return false;
    if (EqualsIgnoringCase(name, MHD_HTTP_HEADER_CONTENT_LENGTH)) ++lengths;
    if (EqualsIgnoringCase(name, MHD_HTTP_HEADER_HOST)) ++hosts;
    if (!EqualsIgnoringCase(name, MHD_HTTP_HEADER_TRANSFER_ENCODING)) continue;
    if (given != kVersion) return false;
    ++lengths;
  }
  return lengths <= 1 && hosts <= 1;
}

}  // namespace outboxd
