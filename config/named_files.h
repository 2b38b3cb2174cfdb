// config/named_files.h — what a config names: credentials, CA files, certificates, groups, and the outbox's
// place. One check for outboxd and outboxctl.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "config/config.h"
#include "config/tls_identity.h"
#include "core/result.h"

namespace outboxd {

struct FileProblem {
  Error error;                               // says what to do
  std::vector<std::filesystem::path> files;  // the cause is in one of them; empty: it is not in a file
};

// All that cannot be read or does not hold what it should, groups that do not exist, and a disk on
// which no outbox may be made. A certificate of `outboxctl tls-init` is not a problem while its authority is
// there: it is made anew.
std::vector<FileProblem> CheckFiles(const Config& config);

// Nullopt for a listener without TLS. `tls_directory`: of the certificate that `outboxctl tls-init` made.
Result<std::optional<TlsIdentity>> ReadIdentity(const TrackListenerConfig& config,
                                                const std::filesystem::path& tls_directory);

}  // namespace outboxd
