#include "core/object_scan.h"

#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/ascii.h"
#include "core/result.h"

namespace outboxd {
namespace {

using rapidjson::SizeType;
// It decodes strings in place, in a copy of the text: quicker than putting every byte on a stack of its own.
using Stream = rapidjson::InsituStringStream;

constexpr std::string_view kNumberBytes = "0123456789+-.eE";

// Takes RapidJSON's events as Members, those of the outermost value, or as TreeNodes, all values.
//
// RapidJSON tells where it stands: at the start of a scalar's token while reporting it (it parses scalars on
// a copy of the stream), just behind the bracket when reporting a container's start or end.
//
// Size: RapidJSON asks for a method per kind of event, thirteen of them.
template <typename Entry>
class ScanHandler {
 public:
  // `hides_numbers`: the stream has other numbers than `text`.
  ScanHandler(const std::string& text, Stream& stream, std::vector<Entry>& entries, std::size_t depth_max,
              bool hides_numbers)
      : text_(text),
        stream_(stream),
        entries_(entries),
        depth_max_(depth_max),
        has_escapes_(text.find('\\') != std::string::npos),
        hides_numbers_(hides_numbers) {}

  bool Null() { return Literal(ValueKind::kNull, 4); }
  bool Bool(bool value) { return value ? Literal(ValueKind::kTrue, 4) : Literal(ValueKind::kFalse, 5); }
  bool RawNumber(const char*, SizeType length, bool) { return Number(length); }
  // What else it could make of a number: never, it is to leave them as text.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }

  bool String(const char* decoded, SizeType length, bool) {
    if (HasLoneSurrogate(std::string_view(decoded, length))) return false;
    if (!IsWanted()) return depth_ != 0;
    const std::size_t start = stream_.Tell();
    const std::size_t end = has_escapes_ ? EndOfString(start) : start + length + 2;
    Scalar(ValueKind::kString, start, end).text.assign(decoded, length);
    return true;
  }

  bool Key(const char* decoded, SizeType length, bool) {
    if (HasLoneSurrogate(std::string_view(decoded, length))) return false;
    if (IsWanted()) key_.assign(decoded, length);
    return true;
  }

  bool StartObject() { return Open(ValueKind::kObject); }
  bool StartArray() { return Open(ValueKind::kArray); }
  bool EndObject(SizeType) { return Close(); }
  bool EndArray(SizeType) { return Close(); }

  bool too_deep() const { return depth_ > depth_max_; }
  bool lone_surrogate() const { return lone_surrogate_; }
  ValueKind root() const { return root_; }

 private:
  static constexpr bool kIsTree = std::is_same_v<Entry, TreeNode>;

  bool IsWanted() const { return kIsTree || depth_ == 1; }

  // RapidJSON lets an escaped low surrogate without its high one pass; decoded it would not be UTF-8.
  bool HasLoneSurrogate(std::string_view decoded) {
    if (!has_escapes_) return false;
    for (std::size_t at = decoded.find('\xed'); at != std::string_view::npos;
         at = decoded.find('\xed', at + 1)) {
      if (at + 1 < decoded.size() && Byte(decoded[at + 1]) >= 0xa0) lone_surrogate_ = true;
    }
    return lone_surrogate_;
  }

  Entry& Begin(ValueKind kind, std::size_t start) {
    Entry& entry = entries_.emplace_back();
    entry.key.swap(key_);
    entry.kind = kind;
    entry.raw.offset = static_cast<std::uint32_t>(start);
    return entry;
  }

  Entry& Scalar(ValueKind kind, std::size_t start, std::size_t end) {
    Entry& entry = Begin(kind, start);
    entry.raw.length = static_cast<std::uint32_t>(end - start);
    if constexpr (kIsTree) entry.end = static_cast<std::uint32_t>(entries_.size());
    return entry;
  }

  // RapidJSON takes literals from the stream itself, so it stands behind them.
  bool Literal(ValueKind kind, std::size_t length) {
    if (!IsWanted()) return depth_ != 0;
    Scalar(kind, stream_.Tell() - length, stream_.Tell());
    return true;
  }

  bool Number(std::size_t length) {
    if (!IsWanted()) return depth_ != 0;
    const std::size_t start = stream_.Tell();
    const std::size_t end = hides_numbers_
                                ? std::min(text_.find_first_not_of(kNumberBytes, start), text_.size())
                                : start + length;
    Scalar(ValueKind::kNumber, start, end);
    return true;
  }

  bool Open(ValueKind kind) {
    if (depth_ == 0) root_ = kind;
    if (IsWanted()) Begin(kind, stream_.Tell() - 1);
    if constexpr (kIsTree) open_.push_back(entries_.size() - 1);
    ++depth_;
    return !too_deep();
  }

  bool Close() {
    --depth_;
    if (!IsWanted()) return true;
    std::size_t index = entries_.size() - 1;
    if constexpr (kIsTree) {
      index = open_.back();
      open_.pop_back();
      entries_[index].end = static_cast<std::uint32_t>(entries_.size());
    }
    entries_[index].raw.length = static_cast<std::uint32_t>(stream_.Tell() - entries_[index].raw.offset);
    return true;
  }

  std::size_t EndOfString(std::size_t start) const {
    std::size_t at = start + 1;
    while (text_[at] != '"') at += text_[at] == '\\' ? 2U : 1U;
    return at + 1;
  }

  const std::string& text_;
  Stream& stream_;
  std::vector<Entry>& entries_;
  const std::size_t depth_max_;
  const bool has_escapes_;
  const bool hides_numbers_;
  bool lone_surrogate_ = false;
  std::string key_;
  std::size_t depth_ = 0;
  std::vector<std::size_t> open_;  // of a tree: the objects and arrays that are not yet complete
  ValueKind root_ = ValueKind::kNull;
};

bool IsAscii(std::string_view text) {
  std::uint64_t all = 0;
  std::size_t at = 0;
  for (std::uint64_t word = 0; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    all |= word;
  }
  for (; at < text.size(); ++at) all |= Byte(text[at]);
  return (all & 0x8080808080808080) == 0;
}

std::size_t SkipDigits(std::string_view token, std::size_t at) {
  while (at < token.size() && IsDigit(token[at])) ++at;
  return at;
}

// RFC 8259 section 6.
bool IsJsonNumber(std::string_view token) {
  std::size_t at = token.starts_with('-') ? 1 : 0;
  const std::size_t integer = at;
  at = SkipDigits(token, at);
  if (at == integer || (token[integer] == '0' && at > integer + 1)) return false;
  if (at < token.size() && token[at] == '.') {
    const std::size_t fraction = at + 1;
    at = SkipDigits(token, fraction);
    if (at == fraction) return false;
  }
  if (at < token.size() && (token[at] == 'e' || token[at] == 'E')) {
    ++at;
    if (at < token.size() && (token[at] == '+' || token[at] == '-')) ++at;
    const std::size_t exponent = at;
    at = SkipDigits(token, exponent);
    if (at == exponent) return false;
  }
  return at == token.size();
}

// RapidJSON refuses numbers that a double cannot hold, also where it leaves them as text. We carry the bytes,
// so each number is checked here and hidden from it: the same text with every well-formed number written as a
// 0 and spaces. Offsets stay true.
std::string HideNumbers(std::string text) {
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      for (++at; at < text.size() && text[at] != '"';) at += text[at] == '\\' ? 2U : 1U;
      ++at;
    } else if (text[at] == '-' || IsDigit(text[at])) {
      const std::size_t end = std::min(text.find_first_not_of(kNumberBytes, at), text.size());
      if (IsJsonNumber(std::string_view(text).substr(at, end - at))) {
        std::fill(text.begin() + static_cast<std::ptrdiff_t>(at),
                  text.begin() + static_cast<std::ptrdiff_t>(end), ' ');
        text[at] = '0';
      }
      at = end;
    } else {
      ++at;
    }
  }
  return text;
}

constexpr std::size_t kUnitLength = 6;  // \\uXXXX

// The UTF-16 unit whose escape begins at `at`; 0: there is none.
std::uint32_t UnitAt(std::string_view text, std::size_t at) {
  if (at + kUnitLength > text.size() || text[at] != '\\' || text[at + 1] != 'u') return 0;
  std::uint32_t unit = 0;
  const char* end = text.data() + at + kUnitLength;
  return std::from_chars(end - 4, end, unit, 16).ptr == end ? unit : 0;
}

bool IsSurrogate(std::uint32_t unit) {
  return unit >= 0xd800 && unit <= 0xdfff;
}

// JSON's grammar allows half a pair of surrogates as an escape (RFC 8259 section 8.2), and a program that
// cuts a text writes one. It cannot be decoded: the same text with U+FFFD in its place. Offsets stay true.
std::string ReplaceLoneSurrogates(std::string text) {
  for (std::size_t at = text.find('\\'); at != std::string::npos && at + 1 < text.size();) {
    const std::uint32_t unit = UnitAt(text, at);
    std::size_t length = unit != 0 ? kUnitLength : 2;
    if (IsSurrogate(unit)) {
      const std::uint32_t next = unit < 0xdc00 ? UnitAt(text, at + kUnitLength) : 0;
      if (next >= 0xdc00 && next <= 0xdfff) {
        length = 2 * kUnitLength;
      } else {
        text.replace(at, kUnitLength, "\\ufffd");
      }
    }
    at = text.find('\\', at + length);
  }
  return text;
}

// Numbers stay text: what RapidJSON 1.1.0 makes of one with a long negative exponent is a read outside of its
// tables (CVE-2024-38517).
constexpr unsigned kFlags = rapidjson::kParseInsituFlag | rapidjson::kParseNumbersAsStringsFlag;
constexpr std::size_t kScratchKept = 64UL * 1024;  // of memory, for the next text

template <unsigned kAllFlags, typename Handler>
rapidjson::ParseResult Parse(Stream& stream, Handler& handler) {
  thread_local rapidjson::Reader reader;
  return reader.Parse<kAllFlags>(stream, handler);
}

// What RapidJSON is not shown.
struct Hidden {
  bool numbers = false;
  bool lone_surrogates = false;
};

std::string Hide(const std::string& text, Hidden hidden) {
  std::string shown = hidden.lone_surrogates ? ReplaceLoneSurrogates(text) : text;
  return hidden.numbers ? HideNumbers(std::move(shown)) : shown;
}

template <typename Entry>
Failure FailureOf(const rapidjson::ParseResult& result, const ScanHandler<Entry>& handler,
                  std::size_t depth_max) {
  const std::string where = " (byte " + std::to_string(result.Offset() + 1) + ")";
  if (result.Code() != rapidjson::kParseErrorTermination)
    return Fail(ErrorKind::kInvalid, rapidjson::GetParseError_En(result.Code()) + where);
  if (handler.too_deep())
    return Fail(ErrorKind::kInvalid, "nested deeper than " + std::to_string(depth_max) + " levels");
  return Fail(ErrorKind::kConflict, "neither an object nor an array");
}

// `parsed` is a copy of `text` without what is hidden; slices are taken from `text`.
template <typename Entry>
Result<ValueKind> Scan(const std::string& text, std::string& parsed, std::vector<Entry>& entries,
                       std::size_t depth_max, Hidden hidden) {
  const std::size_t before = entries.size();
  Stream stream(parsed.data());
  ScanHandler<Entry> handler(text, stream, entries, depth_max, hidden.numbers);
  const rapidjson::ParseResult result =
      IsAscii(text) ? Parse<kFlags>(stream, handler)
                    : Parse < kFlags | rapidjson::kParseValidateEncodingFlag > (stream, handler);
  if (!result.IsError()) return handler.root();
  const bool is_number = result.Code() == rapidjson::kParseErrorNumberTooBig && !hidden.numbers;
  const bool is_surrogate =
      (result.Code() == rapidjson::kParseErrorStringUnicodeSurrogateInvalid || handler.lone_surrogate()) &&
      !hidden.lone_surrogates;
  if (is_number || is_surrogate) {
    hidden.numbers = hidden.numbers || is_number;
    hidden.lone_surrogates = hidden.lone_surrogates || is_surrogate;
    entries.resize(before);
    parsed = Hide(text, hidden);
    return Scan(text, parsed, entries, depth_max, hidden);
  }
  return FailureOf(result, handler, depth_max);
}

// RapidJSON reads all bytes that a UTF-8 sequence should have before it judges them: of one cut off at the
// end it would read past the text.
bool EndsInsideSequence(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const unsigned char byte = Byte(text[text.size() - back]);
    const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (length > back) return true;
  }
  return false;
}

template <typename Entry>
Result<ValueKind> CheckAndScan(const std::string& text, std::vector<Entry>& entries, std::size_t depth_max) {
  if (EndsInsideSequence(text))
    return Fail(ErrorKind::kInvalid, "invalid UTF-8 (byte " + std::to_string(text.size()) + ")");
  if (const std::size_t nul = text.find('\0'); nul != std::string::npos) {
    return Fail(ErrorKind::kInvalid, "NUL byte (byte " + std::to_string(nul + 1) + ")");
  }
  thread_local std::string scratch;
  scratch = text;
  Result<ValueKind> root = Scan(text, scratch, entries, depth_max, Hidden());
  if (scratch.capacity() > kScratchKept) scratch = {};
  return root;
}

}  // namespace

Result<ValueKind> ScanMembers(const std::string& text, std::vector<Member>& members, std::size_t depth_max) {
  return CheckAndScan(text, members, depth_max);
}

Result<std::vector<TreeNode>> ScanTree(const std::string& text, std::size_t depth_max) {
  std::vector<TreeNode> nodes;
  RETURN_IF_ERROR(CheckAndScan(text, nodes, depth_max));
  return nodes;
}

std::size_t DecodedBytes(std::string_view json) {
  std::size_t bytes = 0;
  bool is_inside = false;
  for (std::size_t at = 0; at < json.size(); ++at) {
    if (json[at] == '"') is_inside = !is_inside;
    if (!is_inside && kJsonWhiteSpace.find(json[at]) != std::string_view::npos) continue;
    const bool is_escape = is_inside && json[at] == '\\';
    if (is_escape && json[at + 1] == 'u') {
      const std::uint32_t unit = UnitAt(json, at);
      // A pair of surrogates has 4.
      bytes += unit < 0x80 ? 1U : unit < 0x800 || IsSurrogate(unit) ? 2U : 3U;
      at += kUnitLength - 1;
      continue;
    }
    if (is_escape) ++at;
    ++bytes;
  }
  return bytes;
}

}  // namespace outboxd
