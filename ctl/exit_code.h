// ctl/exit_code.h — how outboxctl ends: a contract with scripts.
#pragma once

#include "core/result.h"

namespace outboxd {

inline constexpr int kExitDone = 0;
inline constexpr int kExitRefused = 1;  // the daemon said no
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUnreachable = 69;  // EX_UNAVAILABLE
inline constexpr int kExitBusy = 75;  // EX_TEMPFAIL: busy, no room on disk or no way to write it, try again
inline constexpr int kExitInterrupted = 130;  // an import stopped by SIGINT, as shells expect it

constexpr int ExitCodeOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUnavailable:
      return kExitUnreachable;
    case ErrorKind::kBusy:
    case ErrorKind::kFull:
      return kExitBusy;
    case ErrorKind::kInvalid:
    case ErrorKind::kMissing:
    case ErrorKind::kNotFound:
    case ErrorKind::kConflict:
    case ErrorKind::kCorrupt:
    case ErrorKind::kIo:
    case ErrorKind::kInternal:
      return kExitRefused;
  }
  return kExitRefused;
}

}  // namespace outboxd
