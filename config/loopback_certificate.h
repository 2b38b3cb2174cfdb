// config/loopback_certificate.h — a private certificate authority and a certificate for this host's loopback
// names, for libraries that speak nothing but HTTPS. By GnuTLS, which libmicrohttpd brings along.
//
// The authority signs for localhost, 127.0.0.1 and ::1 alone (a critical name constraint), and for servers
// alone (an extended key usage; one that an earlier build made lacks it and works on), so that trusting it
// gives nobody more.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "core/result.h"
#include "core/time.h"

namespace outboxd {

struct LoopbackFiles {
  explicit LoopbackFiles(const std::filesystem::path& directory)
      : authority(directory / "ca.pem"),
        authority_key(directory / "ca-key.pem"),
        certificate(directory / "certificate.pem"),
        key(directory / "key.pem") {}
  std::filesystem::path authority;      // 0644: what clients trust
  std::filesystem::path authority_key;  // 0600
  std::filesystem::path certificate;    // 0644
  std::filesystem::path key;            // 0600
};

// Where they are unless the caller says otherwise: beside the outbox.
std::filesystem::path LoopbackDirectory(const std::filesystem::path& outbox);

// Makes the four files in `directory`, which is made (0755) if it is not there. With `key_owner`, and as
// root, the certificate's key is given to that user, who has to read it; the authority's key is the present
// user's. kConflict when one of them is there already: everyone who trusts an authority would have to be told
// of a new one.
Result<void> MakeLoopbackCertificate(const std::filesystem::path& directory, Timestamp now,
                                     std::optional<uid_t> key_owner = std::nullopt);

// A new certificate by the same authority when the present one ends within 30 days, cannot be read or is not
// of the key beside it; true when one was made. Files are replaced whole.
Result<bool> RenewLoopbackCertificate(const std::filesystem::path& directory, Timestamp now);

// That two PEM texts are a certificate, the first if there are more, and its key. kInvalid.
Result<void> CheckKeyPair(const std::string& certificate, const std::string& key);

}  // namespace outboxd
