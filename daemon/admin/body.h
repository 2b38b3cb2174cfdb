// daemon/admin/body.h — the JSON bodies of the admin API's requests → what they ask for. Pure.
//
// No body is an empty object. Strict, as filters are: an unknown member, or a value that cannot be meant, is
// kInvalid with the member as `field`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"
#include "storage/filter.h"

namespace outboxd {

enum class Extent : std::uint8_t { kAll, kCountOnly };

struct DeadScope {
  DeadFilter filter;
  Extent extent = Extent::kAll;
};
// An empty filter has to say that it means all.
Result<DeadScope> ParseDeadScope(std::string_view body, Timestamp now);

struct ForgetScope {
  std::string customer;
  std::optional<std::string> connection;
};
Result<ForgetScope> ParseForgetScope(std::string_view body);

enum class EventIdChoice : std::uint8_t { kNotSaid, kSame, kNew };

struct AmendScope {
  std::string line;  // its bytes as they came, without line breaks
  EventIdChoice event_id = EventIdChoice::kNotSaid;
};
Result<AmendScope> ParseAmendScope(std::string_view body);

// An absolute path.
Result<std::filesystem::path> ParseBackupPath(std::string_view body);

}  // namespace outboxd
