// core/result.h — the one way to fail.
//
// A kind says what the caller does next; the message says what the operator or producer does next.
// Nothing outside the file that wraps a throwing library throws.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>  // IWYU pragma: export
#include <utility>

#include "core/names.h"

namespace outboxd {

enum class ErrorKind : std::uint8_t {
  kInvalid,      // the input is wrong: repeat only after changing it
  kMissing,      // as kInvalid: something that is required is absent
  kNotFound,     // what was named does not exist
  kConflict,     // someone else holds it, or its state does not allow this
  kBusy,         // a limit is reached or a stop is under way: try again later, nothing was stored
  kFull,         // no room on disk: nothing was stored, try again later
  kUnavailable,  // the other side cannot be reached: try again later
  kCorrupt,      // a damaged or foreign file: stop and tell the operator
  kIo,           // the operating system refused: retry is pointless without a change there
  kInternal,     // a library failed in a way we do not know
};

template <>
inline constexpr Names<ErrorKind> kNames<ErrorKind>{{{ErrorKind::kInvalid, "invalid"},
                                                     {ErrorKind::kMissing, "missing"},
                                                     {ErrorKind::kNotFound, "not_found"},
                                                     {ErrorKind::kConflict, "conflict"},
                                                     {ErrorKind::kBusy, "busy"},
                                                     {ErrorKind::kFull, "full"},
                                                     {ErrorKind::kUnavailable, "unavailable"},
                                                     {ErrorKind::kCorrupt, "corrupt"},
                                                     {ErrorKind::kIo, "io"},
                                                     {ErrorKind::kInternal, "internal"}}};

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;
  std::string field;  // the member, key or flag at fault; empty when none is
};

template <typename T>
using Result = tl::expected<T, Error>;

using Failure = tl::unexpected<Error>;

inline Failure Fail(ErrorKind kind, std::string message, std::string field = {}) {
  return Failure(Error{kind, std::move(message), std::move(field)});
}

}  // namespace outboxd

// In a function that returns a Result. RETURN_IF_ERROR(f()) goes on unless f() failed; ASSIGN_OR_RETURN(const
// auto x, f()) also takes its value. Otherwise the function returns the error as it is.
#define RETURN_IF_ERROR(...) RETURN_IF_ERROR_NAMED(OUTBOXD_UNIQUE(result_, __LINE__), __VA_ARGS__)
#define ASSIGN_OR_RETURN(declaration, ...) \
  ASSIGN_OR_RETURN_NAMED(OUTBOXD_UNIQUE(result_, __LINE__), declaration, __VA_ARGS__)

// Their parts. Not for use elsewhere.
#define RETURN_IF_ERROR_NAMED(result, ...) \
  if (auto result = (__VA_ARGS__); !result) return ::outboxd::Failure(std::move(result).error())
#define ASSIGN_OR_RETURN_NAMED(result, declaration, ...)             \
  auto result = (__VA_ARGS__);                                       \
  if (!result) return ::outboxd::Failure(std::move(result).error()); \
  declaration = *std::move(result)
#define OUTBOXD_UNIQUE(name, line) OUTBOXD_UNIQUE_JOINED(name, line)
#define OUTBOXD_UNIQUE_JOINED(name, line) name##line
