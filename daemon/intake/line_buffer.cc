#include "daemon/intake/line_buffer.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace outboxd {

LineBuffer::Next LineBuffer::Take(std::string_view& bytes, std::size_t line_bytes_max, std::string& line) {
  if (bytes.empty()) return Next::kNeedsMore;
  const std::size_t newline = bytes.find('\n');
  const std::size_t length = std::min(newline, bytes.size());
  if (unfinished_.size() + length > line_bytes_max) {
    Clear();
    return Next::kTooLong;
  }
  if (newline == std::string_view::npos) {
    unfinished_ += bytes;
    bytes = {};
    return Next::kNeedsMore;
  }
  if (unfinished_.empty()) {
    line.assign(bytes.data(), length);
  } else {
    unfinished_ += bytes.substr(0, length);
    line = std::exchange(unfinished_, {});
  }
  bytes.remove_prefix(length + 1);
  return Next::kLine;
}

std::string LineBuffer::TakeUnfinished() {
  return std::exchange(unfinished_, {});
}

std::string LineBuffer::TakeKept() {
  return std::exchange(kept_, {});
}

std::string LineBuffer::TakeAll() {
  return TakeUnfinished() + TakeKept();
}

void LineBuffer::Clear() {
  unfinished_ = {};
  kept_ = {};
}

}  // namespace outboxd
