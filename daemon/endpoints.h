// daemon/endpoints.h — config → what the dispatcher needs of it.
#pragma once

#include <string>

#include "core/result.h"
#include "daemon/config.h"
#include "daemon/dispatcher.h"

namespace outboxd {

// Every connection with its credentials, read now.
Result<Endpoints> MakeEndpoints(const Config& config);

// The changed keys that a reload cannot apply, comma-separated; empty when there are none.
std::string NeedsRestart(const Config& before, const Config& after);

}  // namespace outboxd
