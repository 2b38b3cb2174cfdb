// daemon/base/listening_address.h — where a socket listens, as the config writes it.
#pragma once

#include <string>
#include <string_view>

namespace outboxd {

// "/run/outboxd/outboxd.sock", "127.0.0.1:8480", "[::1]:8480"; empty for what is no listening stream socket
// of these kinds.
std::string ListeningAddress(int descriptor);

// Whether this is the address that the config has in its own words ("[0:0:0:0:0:0:0:1]:8480").
bool IsAddress(std::string_view listening, std::string_view configured);

}  // namespace outboxd
