#include "core/path_segments.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/ascii.h"
#include "core/encoding.h"

namespace outboxd {
namespace {

// The first bytes of escapes, and those of overlong UTF-8: U+0000 to U+007F in two, three or four bytes.
constexpr ByteTable kStartsEscape = [] {
  ByteTable table{};
  for (const unsigned byte : {0x25U, 0xc0U, 0xc1U, 0xe0U, 0xf0U}) table[byte] = true;
  return table;
}();

bool MayDecode(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char byte) { return kStartsEscape[Byte(byte)]; });
}

bool IsTrailByte(char byte) {
  return (Byte(byte) & 0xc0) == 0x80;
}

struct Decoded {
  std::size_t length;  // of what it stood for, in bytes
  char byte;
};

// %u0000 to %u007F.
std::optional<Decoded> WideEscapeAtEnd(std::string_view text) {
  if (text.size() < 6) return std::nullopt;
  const std::string_view end = text.substr(text.size() - 6);
  if (Lower(end[1]) != 'u' || end[0] != '%' || end[2] != '0' || end[3] != '0') return std::nullopt;
  const std::string byte = PercentDecode(std::string("%") + std::string(end.substr(4)));
  if (byte.size() != 1 || Byte(byte.front()) > 0x7f) return std::nullopt;
  return Decoded{6, byte.front()};
}

std::optional<Decoded> OverlongAtEnd(std::string_view text) {
  const std::size_t size = text.size();
  if (size < 2 || !IsTrailByte(text[size - 1])) return std::nullopt;
  const unsigned low = Byte(text[size - 1]) & 0x3fU;
  const unsigned before = Byte(text[size - 2]);
  if (before == 0xc0 || before == 0xc1) return Decoded{2, static_cast<char>((before & 1U) << 6 | low)};
  if (before != 0x80 && before != 0x81) return std::nullopt;
  const char byte = static_cast<char>((before & 1U) << 6 | low);
  if (size >= 3 && Byte(text[size - 3]) == 0xe0) return Decoded{3, byte};
  if (size >= 4 && Byte(text[size - 3]) == 0x80 && Byte(text[size - 4]) == 0xf0) return Decoded{4, byte};
  return std::nullopt;
}

std::optional<Decoded> EscapeAtEnd(std::string_view text) {
  if (text.size() >= 3 && text[text.size() - 3] == '%') {
    const std::string byte = PercentDecode(text.substr(text.size() - 3));
    if (byte.size() == 1) return Decoded{3, byte.front()};
  }
  if (const std::optional<Decoded> wide = WideEscapeAtEnd(text)) return wide;
  return OverlongAtEnd(text);
}

// What is left when no decoding changes it any more. An escape may become whole only by another's decoding,
// and always ends with the byte put last: so one pass finds them all.
std::string DecodeFully(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (const char byte : text) {
    decoded += byte;
    while (const std::optional<Decoded> last = EscapeAtEnd(decoded)) {
      decoded.resize(decoded.size() - last->length);
      decoded += last->byte;
    }
  }
  return decoded;
}

bool IsBlankByte(char byte) {
  return byte == ' ' || IsControl(byte);
}

bool IsDots(std::string_view segment) {
  segment = segment.substr(0, segment.find(';'));
  std::size_t dots = 0;
  for (const char byte : segment) {
    if (byte == '.') {
      ++dots;
    } else if (!IsBlankByte(byte)) {
      return false;
    }
  }
  return dots == 1 || dots == 2;
}

bool AnyIsDots(std::string_view path) {
  for (;;) {
    const std::size_t end = path.find_first_of("/\\?#");
    if (IsDots(path.substr(0, end))) return true;
    if (end == std::string_view::npos) return false;
    path.remove_prefix(end + 1);
  }
}

}  // namespace

bool HasDotSegment(std::string_view path) {
  if (MayDecode(path)) return AnyIsDots(DecodeFully(path));
  return path.find('.') != std::string_view::npos && AnyIsDots(path);
}

bool IsBlankWhenDecoded(std::string_view text) {
  if (!text.empty() && (IsLetter(text.front()) || IsDigit(text.front()))) return false;
  const std::string decoded = DecodeFully(text);
  return std::all_of(decoded.begin(), decoded.end(), IsBlankByte);
}

}  // namespace outboxd
