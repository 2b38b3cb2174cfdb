// ctl/line_reader.h — lines of a source of bytes with their numbers and byte offsets, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "core/result.h"
#include "core/time.h"
#include "ctl/byte_source.h"

namespace outboxd {

// No line a daemon would ever take is this long; such a line is passed over.
inline constexpr std::size_t kReaderLineBytesMax = 16U << 20;

struct InputLine {
  std::uint64_t number = 0;      // from 1
  std::uint64_t end_offset = 0;  // of the byte after its newline
  std::string text;              // without the newline; empty when too long
  bool too_long = false;
};

enum class ReadStatus { kLine, kNothingYet, kEnd };

class LineReader {
 public:
  // `source` outlives it. Counting starts at `offset` (where the source stands) and at line `lines_before` +
  // 1.
  explicit LineReader(ByteSource& source, std::uint64_t offset = 0, std::uint64_t lines_before = 0);

  // Waits at most `wait` for input, or (nullopt) until there is some; kNothingYet then, or when a signal
  // came. A last line without a newline counts as a line, unless the source failed behind it.
  Result<ReadStatus> Next(InputLine& line, std::optional<Milliseconds> wait);

 private:
  bool TakeLine(InputLine& line);

  ByteSource& source_;
  std::string buffer_;
  std::size_t start_ = 0;    // of the current line in buffer_
  std::size_t scanned_ = 0;  // no newline before this
  std::uint64_t offset_;     // of buffer_[start_]
  std::uint64_t lines_;
  bool skipping_ = false;  // inside a line that is too long
  bool ended_ = false;
};

}  // namespace outboxd
