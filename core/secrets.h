// core/secrets.h — credentials that nobody is to read: found in text of foreign origin and replaced.
//
// A server, a gateway or a proxy may echo the request that it got. What of its words is kept, shown or logged
// goes through here first. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/ascii.h"

namespace outboxd {

inline constexpr std::string_view kRedacted = "[redacted]";

enum class TextEnd : std::uint8_t {
  kWhole,
  kCut,  // the text went on: at its end may stand the beginning of a secret
};

class Secrets {
 public:
  // Of basic authentication: the password, "user:password" and its base64. Nothing without a password.
  void Add(std::string_view user, std::string_view password);

  bool StandIn(std::string_view text) const;
  // `text` with kRedacted for each secret, also for one that JSON, a URL or HTML has escaped. A secret of
  // less than eight bytes counts only where it stands whole, not inside a word.
  std::string Redact(std::string_view text, TextEnd end = TextEnd::kWhole) const;

 private:
  void AddForm(std::string form);
  std::size_t LengthAt(std::string_view text, std::size_t at, TextEnd end) const;

  std::vector<std::string> forms_;  // the longest first
  ByteTable starts_{};              // what one of them may begin with
  std::size_t shortest_ = 0;
};

}  // namespace outboxd
