// daemon/delivery/answer_buffer.h — what has arrived of one answer, bounded.
//
// The body is kept up to limits::kAnswerBytes; more is read and dropped up to kDroppedAnswerBytes, then the
// transfer is to be cut and the status counts. Headers are counted only, since libcurl keeps them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "core/limits.h"

namespace outboxd {

inline constexpr std::size_t kDroppedAnswerBytes = 1024UL * 1024;
// Of all headers of an answer: those of interim answers before it and the trailers behind it as well.
inline constexpr std::size_t kAnswerHeadBytes = 64UL * 1024;

class AnswerBuffer {
 public:
  void Clear() {
    body_.clear();
    body_bytes_ = 0;
    head_bytes_ = 0;
    head_is_whole_ = false;
  }

  // False: too much arrived, cut the transfer.
  bool AddHeaderLine(std::string_view line) {
    head_is_whole_ = line == "\r\n" || line == "\n";
    head_bytes_ += line.size();
    return head_bytes_ <= kAnswerHeadBytes;
  }
  bool AddBody(std::string_view bytes) {
    body_.append(bytes.substr(0, limits::kAnswerBytes - body_.size()));
    body_bytes_ += bytes.size();
    return !IsBodyTooLong();
  }

  bool HasBegun() const { return head_bytes_ != 0 || body_bytes_ != 0; }
  bool IsBodyCut() const { return body_bytes_ > limits::kAnswerBytes; }
  bool IsBodyTooLong() const { return body_bytes_ > limits::kAnswerBytes + kDroppedAnswerBytes; }
  // libcurl takes a connection that ends among the headers for a whole answer. Trailers of a chunked body
  // come after the body, so an answer with a body had its whole head.
  bool HasWholeHead() const { return head_is_whole_ || body_bytes_ != 0; }
  std::size_t BodyBytes() const { return body_bytes_; }  // arrived, not all of them kept
  std::string TakeBody() { return std::exchange(body_, {}); }

 private:
  std::string body_;
  std::size_t body_bytes_ = 0;
  std::size_t head_bytes_ = 0;
  bool head_is_whole_ = false;
};

}  // namespace outboxd
