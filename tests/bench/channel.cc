#include "tests/bench/channel.h"

#include <sys/socket.h>

#include <cerrno>
#include <stdexcept>

namespace outboxd::bench {
namespace {

void DemandTls(int code) {
  if (code < 0) throw std::runtime_error(std::string("GnuTLS: ") + gnutls_strerror(code));
}

// What a call that would block, or met something harmless, leaves: later the same again.
bool IsForLater(ssize_t code) {
  return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
}

}  // namespace

Identity::Identity(const std::string& certificate, const std::string& key) {
  gnutls_certificate_credentials_t credentials = nullptr;
  DemandTls(gnutls_certificate_allocate_credentials(&credentials));
  credentials_.reset(credentials);
  DemandTls(gnutls_certificate_set_x509_key_file(credentials, certificate.c_str(), key.c_str(),
                                                 GNUTLS_X509_FMT_PEM));
}

Channel::Channel(Descriptor socket, const Identity* identity) : socket_(std::move(socket)) {
  if (identity == nullptr) return;
  gnutls_session_t session = nullptr;
  DemandTls(gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL));
  session_.reset(session);
  DemandTls(gnutls_set_default_priority(session));
  DemandTls(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, identity->Credentials()));
  gnutls_transport_set_int(session, socket_.number());
}

std::optional<std::size_t> Channel::Receive(std::span<char> buffer) {
  if (session_ == nullptr) {
    const ssize_t count = recv(socket_.number(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count > 0) return static_cast<std::size_t>(count);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    return std::nullopt;
  }
  while (!has_shaken_hands_) {
    const int code = gnutls_handshake(session_.get());
    if (IsForLater(code)) return 0;
    if (code < 0 && gnutls_error_is_fatal(code) != 0) return std::nullopt;
    has_shaken_hands_ = code == GNUTLS_E_SUCCESS;
  }
  const ssize_t count = gnutls_record_recv(session_.get(), buffer.data(), buffer.size());
  if (count > 0) return static_cast<std::size_t>(count);
  if (IsForLater(count)) return 0;
  return std::nullopt;
}

bool Channel::Send(std::string& out) {
  return session_ == nullptr ? SendSome(socket_.number(), out) : SendRecords(out);
}

bool Channel::SendRecords(std::string& out) {
  if (!has_shaken_hands_) return true;
  while (!out.empty()) {
    // A record that GnuTLS holds is asked for by nothing, as `out` may have moved since.
    const ssize_t count = is_sending_ ? gnutls_record_send(session_.get(), nullptr, 0)
                                      : gnutls_record_send(session_.get(), out.data(), out.size());
    is_sending_ = IsForLater(count);
    if (is_sending_) return true;
    if (count < 0) return false;
    out.erase(0, static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace outboxd::bench
