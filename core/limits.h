// core/limits.h — the fixed limits that several files share: what producers may send, and what the Track API
// takes.
//
// A limit of one file alone stands at the top of that file. What an operator may change is in
// config/config.h, with its default.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outboxd::limits {

// The Track API's own limits (its reference, "Rate limits and payload sizes"). Bytes, not characters.
inline constexpr std::size_t kCustomerIdBytes = 150;
inline constexpr std::size_t kAttributeNameBytes = 150;
inline constexpr std::size_t kAttributeValueBytes = 1000;
inline constexpr std::size_t kAttributesPerIdentify = 300;
inline constexpr std::size_t kEventNameBytes = 100;
inline constexpr std::size_t kEventDataBytes = 100'000;
inline constexpr std::size_t kSegmentIds = 1000;
// Of what we make ourselves for /api/v2/batch ("32 kB": taken as the smaller reading), and of what a library
// made (the larger one).
inline constexpr std::size_t kBatchItemBytes = 32'000;
inline constexpr std::size_t kEntityBytes = 32'768;
inline constexpr std::size_t kBatchBytes = 500'000;

// Ours.
// Of a request that needs no credentials and has none.
inline constexpr std::size_t kOpenBodyBytes = 16UL * 1024;
// What requests under way cost, over all connections (SendCost()); more than that it is by one request for
// each connection, and by a heavy one.
inline constexpr std::size_t kSendingBytes = 96UL * 1024 * 1024;
inline constexpr std::size_t kTrackBatchItems = 10'000;  // of a batch that a library sends
inline constexpr int kListenBacklog = 1024;              // connections of a socket that wait to be accepted
inline constexpr std::size_t kJsonDepth = 64;            // nesting of any JSON text we read
inline constexpr std::size_t kUrlBytes = 4096;           // pageview url
inline constexpr std::size_t kRefBytes = 200;
inline constexpr std::size_t kConnectionNameBytes = 64;
inline constexpr std::size_t kRawMethodBytes = 32;
inline constexpr std::size_t kRawPathBytes = 8192;  // path with its query
inline constexpr std::size_t kRawHeaders = 64;
inline constexpr std::size_t kRawFormFields = 100;
inline constexpr std::size_t kQueryMembers = 200;            // of a path and of `query`, together
inline constexpr std::size_t kRawTargetBytes = 64UL * 1024;  // path and query as they are sent, encoded
inline constexpr std::size_t kRawHeaderBytes = 8192;
inline constexpr std::size_t kRawFiles = 32;
inline constexpr std::int64_t kRawRetries = 100;
inline constexpr std::int64_t kRawDelayMs = 86'400'000;
inline constexpr std::int64_t kRawTimeoutMs = 600'000;
inline constexpr std::size_t kShortTextBytes = 1000;      // device ids, form ids, metric members, recipients
inline constexpr std::size_t kAnswerBytes = 64UL * 1024;  // bytes of an answer's body that are read
inline constexpr std::size_t kAnswerKeptBytes = 1024;     // first bytes of an answer that are kept in history
inline constexpr std::int64_t kMaxAgeSeconds = 10LL * 365 * 24 * 3600;
// A line may ask for so many times its connection's retry.max_age.
inline constexpr std::int64_t kMaxAgeFactor = 10;

}  // namespace outboxd::limits
