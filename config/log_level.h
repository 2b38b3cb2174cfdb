// config/log_level.h — how much is logged, from everything to errors alone.
#pragma once

#include <cstdint>

namespace outboxd {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };

}  // namespace outboxd
