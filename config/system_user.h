// config/system_user.h — the system's users and groups: by name, by number, and at the other end of a Unix
// socket.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/result.h"

namespace outboxd {

// `user` is a name or a number; a number need not be anybody's. kInvalid when no user has that name.
Result<std::uint32_t> UserId(const std::string& user);

// The same for a group.
Result<std::uint32_t> GroupId(const std::string& group);

// "" when the number is nobody's.
std::string UserName(std::uint32_t uid);

// The primary group; that of the same number when the user is nobody.
std::uint32_t UserGroup(std::uint32_t uid);

// The effective user who connected the Unix socket (SO_PEERCRED); nullopt when `descriptor` is another kind
// of socket.
std::optional<std::uint32_t> PeerUser(int descriptor);

// True when `users` has the peer's user, or nobody at all: then the socket's mode alone says who may connect.
bool IsAllowed(std::optional<std::uint32_t> peer, std::span<const std::uint32_t> users);

}  // namespace outboxd
