// config/small_file.h — a whole small file of the operator's: config or credential.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "core/result.h"

namespace outboxd {

// kIo with the system's reason when it cannot be read; kInvalid when it is not a regular file (reading a pipe
// might never end, and it could not be read again) or longer than `bytes_max`. The message is "cannot read
// FILE: reason".
Result<std::string> ReadSmallFile(const std::filesystem::path& file, std::size_t bytes_max);

}  // namespace outboxd
