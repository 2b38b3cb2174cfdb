// core/path_segments.h — whether a path stays where it says: no segment of it may lead upwards for any server
// or proxy on its way, however often they decode it and whatever they take for a separator.
//
// Decoded are %XX, %uXXXX and overlong UTF-8, until nothing changes. Segments end at "/", "\\", "?" and "#";
// a segment's parameters (";…") and its blanks and control characters do not count. Pure.
#pragma once

#include <string_view>

namespace outboxd {

// Whether a segment of `path` (without its query) is "." or "..", or becomes that.
bool HasDotSegment(std::string_view path);

// Whether nothing but blanks and control characters is left of `text` when it is decoded.
bool IsBlankWhenDecoded(std::string_view text);

}  // namespace outboxd
