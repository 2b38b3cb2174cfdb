// daemon/intake/line_buffer.h — one producer's bytes → lines: keeps the beginning of a line whose end has not
// come, and what was read but has to wait. A byte of an ordinary line is copied once, from the read into its
// line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace outboxd {

class LineBuffer {
 public:
  enum class Next {
    kLine,
    kNeedsMore,  // all bytes are taken
    kTooLong,    // a line of more than the bound: its bytes are dropped
  };

  // Takes the next line off the front of `bytes`; `line` is without its newline and at most `line_bytes_max`
  // long.
  Next Take(std::string_view& bytes, std::size_t line_bytes_max, std::string& line);
  // The producer sends no more: what stands behind its last newline.
  std::string TakeUnfinished();

  // Bytes that are read and not to be taken now; none may be kept already.
  void Keep(std::string_view bytes) { kept_ = bytes; }
  bool HasKept() const { return !kept_.empty(); }
  std::string TakeKept();
  // All that was read and is no line yet.
  std::string TakeAll();

  std::size_t HeldBytes() const { return unfinished_.size() + kept_.size(); }
  void Clear();

 private:
  std::string unfinished_;
  std::string kept_;
};

}  // namespace outboxd
