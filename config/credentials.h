// config/credentials.h — the site id and API key of a connection, and whom its TLS trusts: files that the
// config names, read when asked.
#pragma once

#include <string>

#include "config/config.h"
#include "core/result.h"

namespace outboxd {

struct Credentials {
  std::string site_id;
  std::string api_key;
  friend bool operator==(const Credentials&, const Credentials&) = default;
};

// Site id and API key of a connection, read now. Trailing newlines are cut; an empty or unreadable one, or
// one with control bytes or (site id) a colon, is an error that names the key and never shows the value.
Result<Credentials> ReadCredentials(const ConnectionConfig& connection);

// That `ca_file`, where there is one, can be read and holds certificates in PEM: otherwise each request would
// fail for it.
Result<void> CheckCaFile(const ConnectionConfig& connection);

}  // namespace outboxd
