#include "core/given_time.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/ascii.h"
#include "core/job.h"
#include "core/member_values.h"
#include "core/object_scan.h"
#include "core/time.h"

namespace outboxd {
namespace {

constexpr std::int64_t kLastUnixSecond = 253'402'300'799;  // 9999-12-31T23:59:59Z
constexpr std::size_t kSecondsDigits = 12;                 // of the last one
constexpr std::size_t kMillisecondsDigits = 13;

bool AreDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsDigit) &&
         (text.size() == 1 || text.front() != '0');
}

// What of `json`, a number or the text of one, is its Unix seconds; empty: it is not a time.
std::string_view SecondsIn(std::string_view json) {
  const std::string_view whole = json.substr(0, json.find('.'));
  const std::string_view fraction = json.substr(std::min(whole.size() + 1, json.size()));
  const bool is_plain = AreDigits(whole) && std::all_of(fraction.begin(), fraction.end(), IsDigit);
  if (!is_plain || whole.size() > kMillisecondsDigits) return {};
  return whole.size() > kSecondsDigits ? whole.substr(0, whole.size() - 3) : whole;
}

bool HasNoEscapes(const Member& member, std::string_view json) {
  return member.kind == ValueKind::kString && member.text.size() + 2 == json.size();
}

}  // namespace

GivenTime ReadGivenTime(const Member& member, std::string_view json) {
  const bool is_text = HasNoEscapes(member, json);
  if (!is_text && member.kind != ValueKind::kNumber) return {};
  const std::string_view given = is_text ? json.substr(1, member.text.size()) : json;
  if (!is_text && given.find_first_of("eE-") != std::string_view::npos) return {TimeForm::kSeconds, {}};
  const std::string_view seconds = SecondsIn(given);
  if (!seconds.empty() && seconds.size() == given.size()) return {TimeForm::kSeconds, {}};
  const std::uint32_t quote = is_text ? 1 : 0;
  if (!seconds.empty())
    return {TimeForm::kOther, {member.raw.offset + quote, static_cast<std::uint32_t>(seconds.size())}};
  if (is_text && ParseRfc3339(given)) return {TimeForm::kOther, member.raw};
  return {};
}

bool IsLineTime(const Member& member, std::string_view json) {
  if (member.kind == ValueKind::kString) {
    const std::optional<Timestamp> at = ParseRfc3339(member.text);
    return at && ToUnixMs(*at) >= 0 && ToUnixMs(*at) / 1000 <= kLastUnixSecond && HasNoEscapes(member, json);
  }
  const std::optional<std::int64_t> seconds =
      members::ReadInteger(member.kind, json.substr(0, std::min(json.find('.'), json.size())));
  const bool is_plain = json.find_first_of("eE-") == std::string_view::npos;
  return is_plain && seconds && *seconds <= kLastUnixSecond;
}

}  // namespace outboxd
