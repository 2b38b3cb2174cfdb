// core/refusal.h — why a job was not taken: the codes of the producer protocol (docs/protocol.md), and what
// its producer does next. The Track-compatible endpoint and the metrics use the same ones.
#pragma once

#include <cstdint>

#include "core/names.h"
#include "core/result.h"

namespace outboxd {

enum class Refusal : std::uint8_t {
  kInvalidJson,
  kInvalidJob,
  kTooLarge,  // and the connection is closed
  kUnknownConnection,
  kForbidden,  // of a user, not of a line; and the connection is closed
  kBusy,
  kSpoolFull,
  kInternal,
};

template <>
inline constexpr Names<Refusal> kNames<Refusal>{{{Refusal::kInvalidJson, "invalid_json"},
                                                 {Refusal::kInvalidJob, "invalid_job"},
                                                 {Refusal::kTooLarge, "too_large"},
                                                 {Refusal::kUnknownConnection, "unknown_connection"},
                                                 {Refusal::kForbidden, "forbidden"},
                                                 {Refusal::kBusy, "busy"},
                                                 {Refusal::kSpoolFull, "spool_full"},
                                                 {Refusal::kInternal, "internal"}}};

enum class AfterRefusal : std::uint8_t {
  kTryAgain,  // the line was not judged: the same line may be taken later
  kSkip,      // fix the line, or drop it
  kStop,      // no line of this producer is taken
};

AfterRefusal AfterRefusalOf(Refusal refusal);

// The daemon closes the connection and has looked at no line behind the refused one.
bool EndsConnection(Refusal refusal);

// Of a job that was good and could not be stored.
Refusal RefusalOf(ErrorKind kind);

}  // namespace outboxd
