// config/credentials.h — the site id and API key of a connection, and whom its TLS trusts: files that the
// config names, read when asked.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/result.h"

namespace outboxd {

struct Credentials {
  std::string site_id;
  std::string api_key;
  // Names of those that the service manager does not have yet. While there is one, nothing is sent.
  std::vector<std::string> awaited = {};
  friend bool operator==(const Credentials&, const Credentials&) = default;
};

// Site id and API key of a connection, read now. Trailing newlines are cut; an empty or unreadable one, or
// one with control bytes or (site id) a colon, is an error that names the key and never shows the value. An
// empty one in $CREDENTIALS_DIRECTORY is awaited: what the unit has the service manager put there while the
// operator's file is missing (SetCredential= of systemd.exec(5)).
Result<Credentials> ReadCredentials(const ConnectionConfig& connection);

// For people: which are awaited and what to do; "" when none is. Their folder is what the unit tells in
// $OUTBOXD_CREDENTIALS, or `credentials` beside the config's file.
std::string AwaitedText(const Credentials& credentials, const std::filesystem::path& config_file);

// That `ca_file`, where there is one, can be read and holds certificates in PEM: otherwise each request would
// fail for it.
Result<void> CheckCaFile(const ConnectionConfig& connection);

}  // namespace outboxd
