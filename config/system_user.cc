#include "config/system_user.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <system_error>

#include "core/result.h"

namespace outboxd {
namespace {

constexpr std::size_t kEntryBytes = 16'384;  // of a user's or group's entry, with all its texts

std::optional<std::uint32_t> AsNumber(const std::string& text) {
  std::uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && rest == end ? std::optional(number) : std::nullopt;
}

}  // namespace

Result<std::uint32_t> UserId(const std::string& user) {
  if (const auto number = AsNumber(user)) return *number;
  std::array<char, kEntryBytes> texts{};
  passwd entry{};
  passwd* found = nullptr;
  getpwnam_r(user.c_str(), &entry, texts.data(), texts.size(), &found);
  if (found == nullptr) return Fail(ErrorKind::kInvalid, "must be the name or number of a user");
  return found->pw_uid;
}

Result<std::uint32_t> GroupId(const std::string& name) {
  if (const auto number = AsNumber(name)) return *number;
  std::array<char, kEntryBytes> texts{};
  group entry{};
  group* found = nullptr;
  const int error = getgrnam_r(name.c_str(), &entry, texts.data(), texts.size(), &found);
  if (found != nullptr) return found->gr_gid;
  const std::string why = error == 0 ? "" : ": " + std::generic_category().message(error);
  return Fail(ErrorKind::kInvalid, "no group \"" + name + "\"" + why);
}

std::string UserName(std::uint32_t uid) {
  std::array<char, kEntryBytes> texts{};
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, texts.data(), texts.size(), &found);
  return found == nullptr ? "" : found->pw_name;
}

std::uint32_t UserGroup(std::uint32_t uid) {
  std::array<char, kEntryBytes> texts{};
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, texts.data(), texts.size(), &found);
  return found == nullptr ? uid : found->pw_gid;
}

std::optional<std::uint32_t> PeerUser(int descriptor) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid == 0)
    return std::nullopt;
  return peer.uid;
}

bool IsAllowed(std::optional<std::uint32_t> peer, std::span<const std::uint32_t> users) {
  return users.empty() || (peer && std::find(users.begin(), users.end(), *peer) != users.end());
}

}  // namespace outboxd
