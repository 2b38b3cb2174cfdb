// daemon/delivery/debug_text.h — what the log shows of a raw job with `debug`: its request, later its answer,
// one line each, safe for a terminal, bodies cut. Credentials never appear: `secrets` are replaced in either.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/request.h"
#include "core/secrets.h"
#include "core/user_shares.h"
#include "core/verdict.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {

// `user` is the one whose program handed the job over.
using DebugLog = std::function<void(User user, std::string line)>;

std::string DebugRequestText(const Transfer& transfer, const HttpRequest& request, const Secrets& secrets);

// `headers` as received; `body_bytes` is the length of the whole body, of which Answer::body may be the
// beginning.
std::string DebugAnswerText(const Transfer& transfer, const Answer& answer,
                            const std::vector<std::pair<std::string, std::string>>& headers,
                            std::size_t body_bytes, const Secrets& secrets);

}  // namespace outboxd
