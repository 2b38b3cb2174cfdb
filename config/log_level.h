// config/log_level.h — how much is logged, from everything to errors alone.
#pragma once

#include <cstdint>

#include "core/names.h"

namespace outboxd {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
template <>
inline constexpr Names<LogLevel> kNames<LogLevel>{{{LogLevel::kDebug, "debug"},
                                                   {LogLevel::kInfo, "info"},
                                                   {LogLevel::kWarn, "warn"},
                                                   {LogLevel::kError, "error"}}};

}  // namespace outboxd
