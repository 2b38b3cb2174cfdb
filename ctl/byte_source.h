// ctl/byte_source.h — where lines are read from: a file, a pipe, or what is made of one.
#pragma once

#include <optional>
#include <string>

#include "core/result.h"
#include "core/time.h"

namespace outboxd {

enum class BytesStatus { kSome, kNothingYet, kEnd };

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Appends some bytes to `buffer`. Waits at most `wait` for them, or (nullopt) until there are some;
  // kNothingYet then, or when a signal came.
  virtual Result<BytesStatus> Read(std::string& buffer, std::optional<Milliseconds> wait) = 0;
};

// What a descriptor, which it does not own, gives.
class DescriptorBytes : public ByteSource {
 public:
  explicit DescriptorBytes(int fd) : fd_(fd) {}
  Result<BytesStatus> Read(std::string& buffer, std::optional<Milliseconds> wait) override;

 private:
  int fd_;
};

}  // namespace outboxd
