// daemon/intake/read_size.h — how many bytes the next read of a producer's socket asks for.
//
// A line of one byte asks for a reply of a hundred, so the lines taken at once are bounded, and bytes that
// are read and not taken cost memory. The size follows the producer: as large as its last lines allow, so
// that with lines of a usual length one read brings much, and what cannot be taken stays in the kernel.
#pragma once

#include <algorithm>
#include <cstddef>

namespace outboxd {

inline constexpr std::size_t kLinesAtOnce = 4096;

class ReadSize {
 public:
  static constexpr std::size_t kLeast = 4096;       // bytes: never more lines than are taken at once
  static constexpr std::size_t kFirst = 64 * 1024;  // no line that is a job has less than 16 bytes
  static constexpr std::size_t kMost = 256 * 1024;

  std::size_t bytes() const { return bytes_; }

  // A read brought `read_bytes`, of which the first `lines` lines were taken, `taken_bytes` long.
  void Follow(std::size_t read_bytes, std::size_t taken_bytes, std::size_t lines) {
    if (taken_bytes < read_bytes) {
      bytes_ = std::clamp(taken_bytes, kLeast, kMost);
    } else if (read_bytes >= bytes_ && lines <= kLinesAtOnce / 2) {
      bytes_ = std::min(bytes_ * 2, kMost);
    }
  }

 private:
  std::size_t bytes_ = kFirst;
};

}  // namespace outboxd
