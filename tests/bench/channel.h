// tests/bench/channel.h — one accepted connection of the sink: plain, or TLS as the real API has it.
//
// Errors: what is wrong with the certificate is thrown; what is wrong with the other end ends the connection.
#pragma once

#include <gnutls/gnutls.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "tests/bench/sockets.h"

namespace outboxd::bench {

// Who the sink is: a certificate and its key, both PEM files.
class Identity {
 public:
  Identity(const std::string& certificate, const std::string& key);
  gnutls_certificate_credentials_t Credentials() const { return credentials_.get(); }

 private:
  struct Free {
    void operator()(gnutls_certificate_credentials_t one) const { gnutls_certificate_free_credentials(one); }
  };
  std::unique_ptr<std::remove_pointer_t<gnutls_certificate_credentials_t>, Free> credentials_;
};

class Channel {
 public:
  explicit Channel(Descriptor socket, const Identity* identity = nullptr);  // null: plain
  int Number() const { return socket_.number(); }

  // 0: nothing now. nullopt: the other end is gone.
  std::optional<std::size_t> Receive(std::span<char> buffer);
  // Whether a read of fewer bytes than were asked for says that nothing more is there.
  bool ShortReadsDrain() const { return session_ == nullptr; }
  // Sends what the socket takes now and removes it from the front of `out`. False when the other end is gone.
  bool Send(std::string& out);

 private:
  struct End {
    void operator()(gnutls_session_t session) const { gnutls_deinit(session); }
  };
  bool SendRecords(std::string& out);

  Descriptor socket_;
  std::unique_ptr<std::remove_pointer_t<gnutls_session_t>, End> session_;
  bool has_shaken_hands_ = false;
  bool is_sending_ = false;  // GnuTLS holds a record that the socket did not take
};

}  // namespace outboxd::bench
