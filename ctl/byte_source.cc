#include "ctl/byte_source.h"

#include <poll.h>
#include <sys/poll.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>

#include "core/result.h"
#include "core/time.h"

namespace outboxd {

Result<BytesStatus> DescriptorBytes::Read(std::string& buffer, std::optional<Milliseconds> wait) {
  pollfd ready{fd_, POLLIN, 0};
  const int count = ::poll(&ready, 1, wait ? static_cast<int>(wait->count()) : -1);
  if (count == 0 || (count < 0 && errno == EINTR)) return BytesStatus::kNothingYet;
  std::array<char, 262144> chunk;
  const ssize_t bytes = ::read(fd_, chunk.data(), chunk.size());
  if (bytes < 0 && (errno == EINTR || errno == EAGAIN)) return BytesStatus::kNothingYet;
  if (bytes < 0) return Fail(ErrorKind::kIo, std::string("cannot read the input: ") + std::strerror(errno));
  if (bytes == 0) return BytesStatus::kEnd;
  buffer.append(chunk.data(), static_cast<std::size_t>(bytes));
  return BytesStatus::kSome;
}

}  // namespace outboxd
