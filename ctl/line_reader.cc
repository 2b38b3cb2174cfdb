#include "ctl/line_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"
#include "ctl/byte_source.h"

namespace outboxd {

LineReader::LineReader(ByteSource& source, std::uint64_t offset, std::uint64_t lines_before)
    : source_(source), offset_(offset), lines_(lines_before) {}

Result<ReadStatus> LineReader::Next(InputLine& line, std::optional<Milliseconds> wait) {
  while (true) {
    if (TakeLine(line)) return ReadStatus::kLine;
    if (ended_) return ReadStatus::kEnd;
    buffer_.erase(0, start_);
    scanned_ -= start_;
    start_ = 0;
    ASSIGN_OR_RETURN(const BytesStatus status, source_.Read(buffer_, wait));
    if (status == BytesStatus::kNothingYet) return ReadStatus::kNothingYet;
    ended_ = status == BytesStatus::kEnd;
  }
}

bool LineReader::TakeLine(InputLine& line) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // Windows writes one before UTF-8
  if (offset_ == 0 && start_ == 0 && buffer_.starts_with(kByteOrderMark)) {
    offset_ = start_ = kByteOrderMark.size();
    scanned_ = std::max(scanned_, start_);
  }
  std::size_t end = buffer_.find('\n', scanned_);
  std::size_t newline = 1;
  if (end == std::string::npos) {
    scanned_ = buffer_.size();
    if (buffer_.size() - start_ > kReaderLineBytesMax) {  // keep nothing of it but its length
      offset_ += buffer_.size() - start_;
      start_ = scanned_ = 0;
      buffer_.clear();
      skipping_ = true;
    }
    if (!ended_ || (buffer_.size() == start_ && !skipping_)) return false;
    end = buffer_.size();
    newline = 0;
  }
  line.too_long = skipping_ || end - start_ > kReaderLineBytesMax;
  line.text = line.too_long ? std::string() : buffer_.substr(start_, end - start_);
  offset_ += end - start_ + newline;
  line.end_offset = offset_;
  line.number = ++lines_;
  start_ = scanned_ = end + newline;
  skipping_ = false;
  return true;
}

}  // namespace outboxd
