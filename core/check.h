// core/check.h — CHECK(condition): states what the code alone guarantees. On in every build; a false one ends
// the process.
//
// For look-ups that must succeed and invariants of our own objects. Never for what was read from the file,
// the network, the API or the config: that is a Result, or a recount that is logged once. Included by .cc
// files only, so that a test, where CHECK is doctest's, can include any header.
#pragma once

namespace outboxd {

// Writes "FILE:LINE: CHECK failed: CONDITION" to stderr, unless nobody reads it, and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition) noexcept;

}  // namespace outboxd

#define CHECK(...) \
  ((__VA_ARGS__) ? static_cast<void>(0) : ::outboxd::CheckFailed(__FILE__, __LINE__, #__VA_ARGS__))
