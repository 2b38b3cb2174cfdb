#include "ctl/line_reader.h"

#include <poll.h>
#include <sys/poll.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "core/result.h"
#include "core/time.h"

namespace outboxd {

LineReader::LineReader(int fd, std::uint64_t offset, std::uint64_t lines_before)
    : fd_(fd), offset_(offset), lines_(lines_before) {}

Result<ReadStatus> LineReader::Next(InputLine& line, std::optional<Milliseconds> wait) {
  while (true) {
    if (TakeLine(line)) return ReadStatus::kLine;
    if (ended_) return ReadStatus::kEnd;
    Result<ReadStatus> filled = Fill(wait);
    if (!filled || *filled == ReadStatus::kNothingYet) return filled;
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

Result<ReadStatus> LineReader::Fill(std::optional<Milliseconds> wait) {
  pollfd ready{fd_, POLLIN, 0};
  const int count = ::poll(&ready, 1, wait ? static_cast<int>(wait->count()) : -1);
  if (count == 0 || (count < 0 && errno == EINTR)) return ReadStatus::kNothingYet;
  buffer_.erase(0, start_);
  scanned_ -= start_;
  start_ = 0;
  std::array<char, 262144> chunk;
  const ssize_t bytes = ::read(fd_, chunk.data(), chunk.size());
  if (bytes < 0 && (errno == EINTR || errno == EAGAIN)) return ReadStatus::kNothingYet;
  if (bytes < 0) return Fail(ErrorKind::kIo, std::string("cannot read the input: ") + std::strerror(errno));
  if (bytes == 0) ended_ = true;
  buffer_.append(chunk.data(), static_cast<std::size_t>(bytes));
  return ReadStatus::kLine;
}

}  // namespace outboxd
