// tests/track_sim/checks.h — the checks that v1 and v2 share. Each returns what is wrong, or nothing.
#pragma once

#include "tests/track_sim/rules.h"

namespace outboxd::sim {

inline constexpr std::size_t kIdBytes = 150;
inline constexpr std::size_t kEventNameBytes = 100;
inline constexpr std::size_t kEventDataBytes = 100'000;
inline constexpr std::size_t kAttributes = 300;
inline constexpr std::size_t kAttributeNameBytes = 150;
inline constexpr std::size_t kAttributeValueBytes = 1000;
inline constexpr std::size_t kSegmentIds = 1000;
inline constexpr std::size_t kEntityBytes = 32'768;
inline constexpr std::size_t kBatchBytes = 500'000;

Problem Required(std::string field);
Problem Invalid(std::string field, std::string message);
Problem TooLarge(std::string field, std::string message);

// "42" for "42" and for 42: identifiers are text. nullopt for anything else.
std::optional<std::string> IdentifierText(const Node& value);
bool IsUlid(std::string_view text);
Check CheckIdentifier(std::string_view field, std::string_view text);  // 1 to 150 bytes of UTF-8
Check CheckText(const Node& object, std::string_view field);           // a string that is not empty
Check CheckOneOf(const Node& object, std::string_view field, std::initializer_list<std::string_view> allowed);
Check CheckNumberIfPresent(const Node& object, std::string_view field);
Check CheckObjectIfPresent(const Node& object, std::string_view field);  // null counts as absent
Check CheckUlidIfPresent(const Node& object, std::string_view field);
Check CheckAttributes(const Node& attributes);
// Exactly one of `names`, a string or an integer. `value` becomes the customer it names.
Check CheckOneIdentifier(const Node& object, std::initializer_list<std::string_view> names,
                         std::string_view field, std::string& value);
// Name, id and timestamp of an event, which v1 and v2 share.
Check CheckEvent(const Node& event);

std::uint64_t HashOf(std::string_view bytes);
std::string_view EventType(std::string_view api_type);  // "event" → "track", "page" → "pageview"

// POST /api/v2/entity and /api/v2/batch.
Check JudgeEntity(const Node& item, Effect& effect);
Check JudgeBatch(const Node& root, Judged& judged);

}  // namespace outboxd::sim
