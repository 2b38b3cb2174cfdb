// config/tls_identity.h — what a TLS server shows of itself, and its key.
#pragma once

#include <string>

namespace outboxd {

// PEM texts.
struct TlsIdentity {
  std::string certificate;  // with those that it was signed by, if any
  std::string key;

  bool operator==(const TlsIdentity&) const = default;
};

}  // namespace outboxd
