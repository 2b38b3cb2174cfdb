// core/job_members.h — every member a job line may have: its name, how it is read, what it must hold. Which
// types take it says core/job_types.h.
//
// Errors: kInvalid; `field` is the path below the member ("" for the member itself).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

#include "core/job.h"
#include "core/names.h"
#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd::members {

enum class Name : std::uint8_t {
  kType,
  kConnection,
  kId,
  kAnonymousId,
  kAttributes,
  kName,
  kData,
  kUrl,
  kTimestamp,
  kEventId,
  kMaxAge,
  kRegion,
  kRef,
  kMethod,
  kPath,
  kQuery,
  kHeaders,
  kBody,
  kForm,
  kFiles,
  kResponseType,
  kTimeoutMs,
  kRetry,
  kDebug,
  kDevice,
  kDeviceId,
  kPrimary,
  kSecondary,
  kFormId,
  kSegmentId,
  kIds,
  kIdType,
  kDeliveryId,
  kMetric,
  kRecipient,
  kReason,
  kHref,
  kRequest,
};
inline constexpr std::size_t kCount = Names<Name>::kCount;

class Set {
 public:
  constexpr Set() = default;
  constexpr Set(std::initializer_list<Name> names) {
    for (const Name name : names) Add(name);
  }

  constexpr void Add(Name name) { bits_ |= BitOf(name); }
  constexpr bool Has(Name name) const { return (bits_ & BitOf(name)) != 0; }
  constexpr bool IsEmpty() const { return bits_ == 0; }
  constexpr Set operator|(Set other) const { return Set(bits_ | other.bits_); }
  constexpr Set Without(Set other) const { return Set(bits_ & ~other.bits_); }
  constexpr bool operator==(const Set&) const = default;

  // The first one in the order of Name, of a set that is not empty.
  constexpr Name First() const { return static_cast<Name>(std::countr_zero(bits_)); }

 private:
  constexpr explicit Set(std::uint64_t bits) : bits_(bits) {}
  static constexpr std::uint64_t BitOf(Name name) {
    static_assert(kCount <= 64);
    return std::uint64_t{1} << static_cast<unsigned>(name);
  }

  std::uint64_t bits_ = 0;
};

// What every line may have. The others say what their type asks for, and so do not stand beside `request`,
// which says all of it.
inline constexpr Set kOfEveryType = {Name::kType,   Name::kConnection, Name::kMaxAge,
                                     Name::kRegion, Name::kRef,        Name::kRequest};

// What `metric` may be.
inline constexpr std::array<std::string_view, 8> kMetrics = {"bounced",   "clicked", "converted", "deferred",
                                                             "delivered", "dropped", "opened",    "spammed"};

struct Rule {
  Name name;
  std::string_view text;
  Result<void> (*read)(const Member& member, Job& job);
};
std::span<const Rule, kCount> Rules();  // in the order of Name

std::string_view TextOf(Name name);
std::optional<Name> FromText(std::string_view text);

// Of an identify: how many, how long. `field` is the attribute's name.
Result<void> CheckAttributes(std::span<const Member> attributes);

}  // namespace outboxd::members
