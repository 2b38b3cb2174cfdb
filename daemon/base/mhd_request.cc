#include "daemon/base/mhd_request.h"

#include <microhttpd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/system_user.h"
#include "daemon/base/http_message.h"
#include "daemon/base/http_server.h"

namespace outboxd {
namespace {

constexpr std::size_t kHeadersUsual = 8;
constexpr std::size_t kBodyReserve = 4096;  // a body that is only announced takes no more

MHD_Result CollectHeader(void* view, MHD_ValueKind, const char* name, const char* value) {
  static_cast<HttpRequestView*>(view)->headers.emplace_back(name, value != nullptr ? value : "");
  return MHD_YES;
}

// Of a body and of what is discarded, each.
std::size_t ReadBytesMax(const HttpServerOptions& options) {
  return options.body_bytes_max * 2;
}

}  // namespace

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

const HttpResponse* MhdRequest::Begin(MHD_Connection* connection, const HttpServerOptions& options) {
  has_begun_ = true;
  began_ = std::chrono::steady_clock::now();
  client_.Enter(MhdClient::Turn::kBody);
  body_bytes_max_ = options.body_bytes_max;
  if (!options.users.empty() && !IsAllowed(client_.user(), options.users)) return &options.forbidden;
  return AnnouncedBytes(connection) > ReadBytesMax(options) ? &options.too_large : nullptr;
}

void MhdRequest::Limit(std::size_t body_bytes_max) {
  body_bytes_max_ = std::min(body_bytes_max_, body_bytes_max);
}

void MhdRequest::CheckAnnounced(MHD_Connection* connection, const HttpServerOptions& options) {
  const std::uint64_t announced = AnnouncedBytes(connection);
  if (refusal_ == nullptr && announced > body_bytes_max_) refusal_ = &options.too_large;
  if (refusal_ == nullptr) body_.reserve(std::min<std::size_t>(announced, kBodyReserve));
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
  return discarded_bytes_ <= ReadBytesMax(options);
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
  return view;
}

}  // namespace outboxd
