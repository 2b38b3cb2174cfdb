#include "daemon/base/http_message.h"

#include <optional>
#include <string_view>

#include "core/ascii.h"

namespace outboxd {

std::optional<std::string_view> HttpRequestView::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoringCase(key, name)) return value;
  }
  return std::nullopt;
}

}  // namespace outboxd
