#include "config/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>

#include "core/result.h"

namespace outboxd {
namespace {

Failure CannotRead(const std::filesystem::path& file, ErrorKind kind, const std::string& reason) {
  return Fail(kind, "cannot read " + file.string() + ": " + reason);
}

Result<std::string> ReadAll(int descriptor, const std::filesystem::path& file, std::size_t bytes_max) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0)
    return CannotRead(file, ErrorKind::kIo, std::generic_category().message(errno));
  if (!S_ISREG(status.st_mode)) return CannotRead(file, ErrorKind::kInvalid, "it is not a regular file");
  std::string text(bytes_max + 1, '\0');
  std::size_t length = 0;
  while (length < text.size()) {
    const ssize_t count = ::read(descriptor, text.data() + length, text.size() - length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return CannotRead(file, ErrorKind::kIo, std::generic_category().message(errno));
    if (count == 0) break;
    length += static_cast<std::size_t>(count);
  }
  if (length > bytes_max)
    return CannotRead(file, ErrorKind::kInvalid, "it is longer than " + std::to_string(bytes_max) + " bytes");
  text.resize(length);
  return text;
}

}  // namespace

Result<std::string> ReadSmallFile(const std::filesystem::path& file, std::size_t bytes_max) {
  // Without O_NONBLOCK the open of a pipe would wait for its writer.
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return CannotRead(file, ErrorKind::kIo, std::generic_category().message(errno));
  Result<std::string> text = ReadAll(descriptor, file, bytes_max);
  ::close(descriptor);
  return text;
}

}  // namespace outboxd
