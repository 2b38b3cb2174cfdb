#include "config/named_files.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/credentials.h"
#include "config/loopback_certificate.h"
#include "config/outbox_disk.h"
#include "config/small_file.h"
#include "config/system_user.h"
#include "config/tls_identity.h"
#include "core/result.h"

namespace outboxd {
namespace {

constexpr std::size_t kIdentityBytes = 256UL * 1024;

struct IdentityFiles {
  std::filesystem::path certificate, key;
};

bool IsMade(const TrackListenerConfig& config) {
  return config.certificate.empty();
}

IdentityFiles FilesOf(const TrackListenerConfig& config, const LoopbackFiles& made) {
  if (IsMade(config)) return {made.certificate, made.key};
  return {config.certificate, config.key};
}

void CheckGroup(const std::string& key, const SocketConfig& socket, std::vector<FileProblem>& problems) {
  if (!socket.group) return;
  if (const Result<std::uint32_t> group = GroupId(*socket.group); !group)
    problems.push_back(
        {Error{ErrorKind::kInvalid, key + ".group: " + group.error().message, key + ".group"}, {}});
}

void CheckGroups(const Config& config, std::vector<FileProblem>& problems) {
  CheckGroup("listen.producer", config.producer, problems);
  CheckGroup("listen.admin", config.admin, problems);
  for (std::size_t i = 0; i < config.track.size(); ++i)
    CheckGroup("listen.track[" + std::to_string(i) + "]", config.track[i].socket, problems);
}

}  // namespace

Result<std::optional<TlsIdentity>> ReadIdentity(const TrackListenerConfig& config,
                                                const std::filesystem::path& tls_directory) {
  if (!config.tls) return std::nullopt;
  const IdentityFiles files = FilesOf(config, LoopbackFiles(tls_directory));
  const Result<std::string> certificate = ReadSmallFile(files.certificate, kIdentityBytes);
  const Result<std::string> key = ReadSmallFile(files.key, kIdentityBytes);
  const std::string hint = IsMade(config) ? "; run outboxctl tls-init, or give certificate and key" : "";
  if (!certificate)
    return Fail(certificate.error().kind, "listen.track: " + certificate.error().message + hint);
  if (!key) return Fail(key.error().kind, "listen.track: " + key.error().message + hint);
  if (Result<void> pair = CheckKeyPair(*certificate, *key); !pair) {
    return Fail(pair.error().kind,
                "listen.track: " + files.certificate.string() + ": " + pair.error().message);
  }
  return TlsIdentity{*certificate, *key};
}

std::vector<FileProblem> CheckFiles(const Config& config) {
  std::vector<FileProblem> problems;
  for (const auto& [name, connection] : config.connections) {
    if (const Result<Credentials> credentials = ReadCredentials(connection); !credentials) {
      problems.push_back({credentials.error(), {connection.site_id.file, connection.api_key.file}});
    }
    if (const Result<void> trust = CheckCaFile(connection); !trust)
      problems.push_back({trust.error(), {connection.ca_file}});
  }
  const std::filesystem::path tls_directory = LoopbackDirectory(config.outbox.path);
  const LoopbackFiles made(tls_directory);
  for (const TrackListenerConfig& listener : config.track) {
    const bool is_made_anew = IsMade(listener) && access(made.authority.c_str(), F_OK) == 0;
    if (is_made_anew) continue;
    const IdentityFiles files = FilesOf(listener, made);
    if (const auto identity = ReadIdentity(listener, tls_directory); !identity) {
      problems.push_back({identity.error(), {files.certificate, files.key}});
    }
  }
  CheckGroups(config, problems);
  const FileSystem disk = FileSystemOf(config.outbox.path);
  if (RateDisk(config.outbox, disk) == DiskRating::kRefused)
    problems.push_back({DiskRefusal(config.outbox, disk), {}});
  return problems;
}

}  // namespace outboxd
