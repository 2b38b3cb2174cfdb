// tests/track_sim/http.h — HTTP/1.1 as the simulated Track API reads and writes it. Strict: what is doubtful
// is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outboxd::sim {

inline constexpr std::size_t kHeadBytes = 16 * 1024;
inline constexpr std::size_t kBodyBytes = 1024 * 1024;

// Views into the connection's buffer: valid until the buffer changes.
struct SimRequest {
  std::string_view method;
  std::string_view target;
  std::string_view body;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  bool keep_alive = true;

  // The first value of a header, name in any case; empty when absent.
  std::string_view Header(std::string_view name) const;
  std::string_view Path() const { return target.substr(0, target.find('?')); }
  // The raw text behind "name=" in the query; nullopt when absent.
  std::optional<std::string_view> Query(std::string_view name) const;
};

enum class ReadState : std::uint8_t { kComplete, kNeedMore, kBad };

struct ReadOutcome {
  ReadState state = ReadState::kNeedMore;
  std::size_t consumed = 0;       // with kComplete
  bool expects_continue = false;  // with kNeedMore: the head is there and asks for "100 Continue"
  int status = 400;               // with kBad: what to answer before closing
  std::string error;
};

// Reads one request from the front of `buffer`.
ReadOutcome ReadRequest(std::string_view buffer, SimRequest& request);

// One answer as bytes. `extra_headers` are complete lines ending in CRLF.
std::string MakeAnswer(int status, std::string_view body, std::string_view extra_headers, bool with_body,
                       bool keep_alive);

// nullopt when a "%" is not followed by two hex digits.
std::optional<std::string> DecodePercent(std::string_view text);
std::string EncodeBase64(std::string_view bytes);
// Both alphabets, with or without padding.
std::optional<std::string> DecodeBase64(std::string_view text);
bool IsUtf8(std::string_view text);
bool EqualIgnoringCase(std::string_view left, std::string_view right);

}  // namespace outboxd::sim
