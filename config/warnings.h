// config/warnings.h — what a config may say and a careful operator would not: told by `outboxd --check`,
// `outboxctl check` and, of credentials, `outboxctl probe`, never refused.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace outboxd {

// Sentences that begin with the key. Looks at the file again: who may read it, and whether a key stands in
// it.
std::vector<std::string> ConfigWarnings(const Config& config);

// Keys of an earlier release that are read for this one more, with what stands for them now.
std::vector<std::string> RenamedKeys(const Config& config);

// Of a connection's site id and API key, read now, alone; they are not shown.
std::vector<std::string> CredentialWarnings(const ConnectionConfig& connection);

}  // namespace outboxd
