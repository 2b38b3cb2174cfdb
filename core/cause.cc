#include "core/cause.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/ascii.h"
#include "core/object_scan.h"
#include "core/text.h"

namespace outboxd {
namespace {

bool IsHexLetter(char byte) {
  return (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

bool IsAlnum(char byte) {
  return IsDigit(byte) || IsLetter(byte);
}

bool IsWordByte(char byte) {
  return IsAlnum(byte) || std::string_view("_-.@+%").find(byte) != std::string_view::npos;
}

bool IsBlank(char byte) {
  return byte == ' ' || IsControl(byte);
}

// Builds a cause; stops taking once it is more than long enough, so that the cut shows whether a character
// goes on.
class CauseWriter {
 public:
  void Add(std::string_view text) {
    const std::size_t start = text.find_first_not_of(kJsonWhiteSpace);
    const bool is_json = start != std::string_view::npos && (text[start] == '{' || text[start] == '[');
    while (!text.empty() && cause_.size() <= kCauseBytes) text.remove_prefix(AddPiece(text, is_json));
  }
  void AddVerbatim(std::string_view text) { cause_ += text; }
  bool IsEmpty() const { return cause_.empty(); }

  std::string Take() {
    cause_.resize(CutAtCharacter(cause_, kCauseBytes).size());
    while (cause_.ends_with(' ')) cause_.pop_back();
    return std::move(cause_);
  }

 private:
  // Returns how many bytes of `text` it has dealt with, at least 1.
  std::size_t AddPiece(std::string_view text, bool is_json) {
    if (IsBlank(text.front())) {
      if (!cause_.empty() && !cause_.ends_with(' ')) cause_ += ' ';
      return 1;
    }
    if (const std::size_t quoted = QuotedLength(text, is_json); quoted > 0) {
      cause_ += "<value>";
      return quoted;
    }
    if (!IsWordByte(text.front())) {
      cause_ += text.front();
      return 1;
    }
    return AddWord(text);
  }

  // Length of the quoted value at the start of `text`, 0 if there is none. The double quotes of a JSON text
  // are its structure, those escaped in it are quotes; an apostrophe between letters is none.
  std::size_t QuotedLength(std::string_view text, bool is_json) const {
    constexpr std::size_t kLongestValue = 200;
    std::string_view quote = text.substr(0, 1);
    if (is_json && text.starts_with("\\\"")) {
      quote = text.substr(0, 2);
    } else if (quote != "'" && quote != "`" && (quote != "\"" || is_json)) {
      return 0;
    }
    if (!cause_.empty() && IsAlnum(cause_.back())) return 0;
    const std::size_t close = text.substr(0, kLongestValue).find(quote, quote.size());
    if (close == std::string_view::npos) return 0;
    const std::size_t end = close + quote.size();
    return end < text.size() && IsAlnum(text[end]) ? 0 : end;
  }

  std::size_t AddWord(std::string_view text) {
    const auto* const stop = std::find_if_not(text.begin(), text.end(), IsWordByte);
    std::string_view word = text.substr(0, static_cast<std::size_t>(stop - text.begin()));
    while (word.size() > 1 && (word.ends_with('.') || word.ends_with('-')))
      word.remove_suffix(1);  // end of a sentence
    const std::size_t at = word.find('@');
    if (at != std::string_view::npos && at > 0 && at + 1 < word.size()) {
      cause_ += "<email>";
    } else if (IsId(word)) {
      cause_ += '#';
    } else {
      AddParts(word);
    }
    return word.size();
  }

  void AddParts(std::string_view word) {
    while (!word.empty()) {
      const auto* const stop = std::find_if_not(word.begin(), word.end(), IsAlnum);
      const std::size_t length = std::max<std::size_t>(static_cast<std::size_t>(stop - word.begin()), 1);
      const std::string_view part = word.substr(0, length);
      if (IsId(part)) {
        cause_ += '#';
      } else {
        AddWithoutDigits(part);
      }
      word.remove_prefix(length);
    }
  }

  void AddWithoutDigits(std::string_view part) {
    bool was_digit = false;
    for (const char byte : part) {
      if (!IsDigit(byte)) {
        cause_ += byte;
      } else if (!was_digit) {
        cause_ += '#';
      }
      was_digit = IsDigit(byte);
    }
  }

  // Hex runs (with dashes: UUIDs), ULIDs and the like: long, and letters mixed with digits.
  static bool IsId(std::string_view word) {
    constexpr std::ptrdiff_t kShortestHex = 8;
    constexpr std::ptrdiff_t kShortestOther = 16;
    const auto digits = std::count_if(word.begin(), word.end(), IsDigit);
    const auto hex = digits + std::count_if(word.begin(), word.end(), IsHexLetter);
    const auto dashes = std::count(word.begin(), word.end(), '-');
    const auto alnum = std::count_if(word.begin(), word.end(), IsAlnum);
    const auto length = static_cast<std::ptrdiff_t>(word.size());
    if (digits == 0 || digits == alnum) return false;
    return (hex >= kShortestHex && hex + dashes == length) ||
           (digits > 1 && alnum >= kShortestOther && alnum == length);
  }

  std::string cause_;
};

bool StartsWithStatus(std::string_view reason) {
  return reason.size() >= 3 && std::all_of(reason.begin(), reason.begin() + 3, IsDigit) &&
         (reason.size() == 3 || reason[3] == ' ');
}

}  // namespace

std::string NormaliseCause(std::string_view reason, std::string_view body) {
  CauseWriter cause;
  if (StartsWithStatus(reason)) {
    cause.AddVerbatim(reason.substr(0, 3));
    reason.remove_prefix(3);
  }
  cause.Add(reason);
  if (std::any_of(body.begin(), body.end(), [](char byte) { return !IsBlank(byte); })) {
    if (!cause.IsEmpty()) cause.AddVerbatim(": ");
    cause.Add(body);
  }
  return cause.Take();
}

}  // namespace outboxd
