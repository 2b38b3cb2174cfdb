// config/values.h — the texts that config values are written in. Used within config/ alone.
//
// Errors: kInvalid; the message says what is allowed and never repeats the text, which may be a secret.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"

namespace outboxd::config_values {

// ParseDuration() with its error.
Result<Milliseconds> ReadDuration(std::string_view text);

// Digits alone. Not beyond what 64 bits hold.
Result<std::uint64_t> ReadWholeNumber(std::string_view text);

// "500kB", "20GiB", or a plain number of bytes. kB, MB, GB, TB count by 1000; KiB, MiB, GiB, TiB by 1024.
Result<std::uint64_t> ReadSize(std::string_view text);
std::string ShowSize(std::uint64_t bytes);

// Three or four octal digits, at most 0777, that let the owner read and write.
Result<std::uint32_t> ReadMode(std::string_view text);

// `${NAME}` becomes the environment variable's value; `$${` stands for `${` itself.
Result<std::string> SubstituteEnvironment(std::string_view text);

// http:// or https://, a host, a port and a path if wanted; no user, query or fragment. Returned without
// slashes at its end.
Result<std::string> ReadBaseUrl(std::string_view text);

// Of a URL: localhost, 127.0.0.0/8 or [::1].
bool IsLoopbackHost(std::string_view host);

// "127.0.0.1:9480" or "[::1]:9480": an address of this machine only, and a port.
Result<void> CheckLoopback(std::string_view text);
Result<void> CheckAddress(std::string_view text);  // any numeric address of this machine, and a port

// The name of a host without a port, as a Host header may have it.
Result<void> CheckHostName(std::string_view text);

// A connection's name: 1 to 64 of A-Z a-z 0-9 _ . -
Result<void> CheckConnectionName(std::string_view text);

enum class CredentialKind { kSiteId, kApiKey };
// Not empty, no control bytes, and (site id) no colon, which ends the user part of basic authentication.
Result<void> CheckCredential(std::string_view text, CredentialKind kind);

// The one of `known` that `text` was probably meant to be; empty when none is near.
std::string_view Nearest(std::string_view text, const std::vector<std::string>& known);

}  // namespace outboxd::config_values
