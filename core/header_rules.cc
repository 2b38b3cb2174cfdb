#include "core/header_rules.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "core/ascii.h"

namespace outboxd {
namespace {

// All in lower case.
constexpr std::array<std::string_view, 4> kOurHeaders = {"authorization", "content-length", "host",
                                                         "transfer-encoding"};
constexpr std::array<std::string_view, 8> kHopHeaders = {
    "connection", "keep-alive", "te", "trailer", "upgrade", "expect", "http2-settings", "cookie"};
constexpr std::string_view kProxyPrefix = "proxy-";
constexpr std::array<std::string_view, 9> kOverrideHeaders = {
    "x-http-method-override", "x-http-method",      "x-method-override",  "x-original-url", "x-original-uri",
    "x-rewrite-url",          "x-forwarded-prefix", "x-forwarded-method", "x-forwarded-uri"};

constexpr char Plain(char byte) {
  return byte == '_' ? '-' : Lower(byte);
}

bool BeginsWith(std::string_view name, std::string_view lower) {
  return name.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), name.begin(), [](char a, char b) { return a == Plain(b); });
}

template <std::size_t kCount>
bool IsOneOf(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [name](std::string_view lower) {
    return lower.size() == name.size() && BeginsWith(name, lower);
  });
}

}  // namespace

HeaderRule RuleOfHeader(std::string_view name) {
  if (IsOneOf(kOurHeaders, name)) return HeaderRule::kOurs;
  if (IsOneOf(kHopHeaders, name) || BeginsWith(name, kProxyPrefix)) return HeaderRule::kHop;
  if (IsOneOf(kOverrideHeaders, name)) return HeaderRule::kOverride;
  return HeaderRule::kFree;
}

}  // namespace outboxd
