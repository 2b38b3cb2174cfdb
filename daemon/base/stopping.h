// daemon/base/stopping.h — what everyone is told who asks for something while outboxd stops.
#pragma once

#include "core/result.h"

namespace outboxd {

inline Error StoppingError() {
  return {ErrorKind::kBusy, "outboxd is stopping", {}};
}

}  // namespace outboxd
