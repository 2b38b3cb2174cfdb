#include "config/warnings.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/credentials.h"
#include "config/outbox_disk.h"
#include "config/small_file.h"
#include "config/values.h"
#include "core/names.h"
#include "core/result.h"

namespace outboxd {
namespace {

constexpr std::size_t kFileBytes = 1 << 20;

bool IsPlainHttpElsewhere(std::string_view url) {
  constexpr std::string_view kHttp = "http://";
  if (!url.starts_with(kHttp)) return false;
  const std::string_view authority = url.substr(kHttp.size(), url.find('/', kHttp.size()) - kHttp.size());
  const std::size_t bracket = authority.rfind(']');
  const std::string_view host =
      authority.substr(0, authority.find(':', bracket == std::string_view::npos ? 0 : bracket));
  return !config_values::IsLoopbackHost(host);
}

bool OthersMayRead(const Config& config) {
  struct stat status{};
  return ::stat(config.file.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0;
}

// What hardly is a part of a site id or an API key; "" where nothing is.
std::string_view OddIn(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  constexpr std::string_view kNameBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  if (text.empty()) return "";
  if (text.front() == '{' || text.front() == '[') return "looks like JSON, which is not read as such";
  if (text.find_first_of(kBlanks) != text.npos) return "has blanks in it";
  if (text.front() == '"' || text.front() == '\'' || text.back() == '"' || text.back() == '\'')
    return "stands in quotes, which count";
  if (text.find_first_of("\"\\") != text.npos) return "has \" or \\ in it, as JSON escapes them";
  const std::size_t name = text.find_first_not_of(kNameBytes);
  const bool is_assignment =
      name != text.npos && name > 0 && text[name] == '=' && text.find_first_not_of('=', name) != text.npos;
  return is_assignment ? "begins with NAME=, which counts" : "";
}

void WarnOfDisk(const OutboxConfig& outbox, std::vector<std::string>& warnings) {
  const FileSystem disk = FileSystemOf(outbox.path);
  const std::string place = "outbox.path: " + outbox.path.string() + " is on ";
  switch (RateDisk(outbox, disk)) {
    case DiskRating::kGood:
    case DiskRating::kRefused:  // that is more than a warning (config/named_files.h)
      return;
    case DiskRating::kDoubtful:
      warnings.push_back(place + std::string(disk.name) +
                         ", not on a local disk: it is as safe as what stands behind");
      return;
    case DiskRating::kUnsafe:
      warnings.push_back(
          place + "a network file system (" + std::string(disk.name) +
          "), where jobs may be lost: move it to a local disk, or set outbox.allow_network_fs");
      return;
  }
}

void WarnOfAwaited(const ConnectionConfig& connection, const std::filesystem::path& config_file,
                   std::vector<std::string>& warnings) {
  const Result<Credentials> credentials = ReadCredentials(connection);
  if (!credentials || credentials->awaited.empty()) return;
  warnings.push_back("connections." + connection.name + ": " + AwaitedText(*credentials, config_file));
}

}  // namespace

std::vector<std::string> CredentialWarnings(const ConnectionConfig& connection) {
  std::vector<std::string> warnings;
  const Result<Credentials> credentials = ReadCredentials(connection);
  if (!credentials) return warnings;
  const auto warn = [&](const char* key, const CredentialSource& source, std::string_view odd) {
    if (odd.empty()) return;
    const std::string where = source.file.empty() ? ": it" : "_file: " + source.file.string();
    warnings.push_back("connections." + connection.name + "." + key + where + " " + std::string(odd) +
                       ": is that a part of it?");
  };
  warn("site_id", connection.site_id, OddIn(credentials->site_id));
  warn("api_key", connection.api_key, OddIn(credentials->api_key));
  return warnings;
}

std::vector<std::string> RenamedKeys(const Config& config) {
  std::vector<std::string> renamed;
  for (const auto& [name, connection] : config.connections) {
    if (!connection.batch.enabled) continue;
    renamed.push_back("connections." + name +
                      ".batch.enabled: write mode: " + std::string(NameOf(connection.batch.mode)) +
                      " instead; the next release no longer knows enabled");
  }
  return renamed;
}

std::vector<std::string> ConfigWarnings(const Config& config) {
  std::vector<std::string> warnings = RenamedKeys(config);
  WarnOfDisk(config.outbox, warnings);
  const Result<std::string> text = ReadSmallFile(config.file, kFileBytes);
  const bool is_public = OthersMayRead(config);
  for (const auto& [name, connection] : config.connections) {
    const std::string path = "connections." + name + ".";
    if (connection.base_url && IsPlainHttpElsewhere(*connection.base_url)) {
      warnings.push_back(
          path +
          "base_url: http sends the credentials and all data in the clear; use https, or http to this "
          "machine alone");
    }
    WarnOfAwaited(connection, config.file, warnings);
    std::ranges::move(CredentialWarnings(connection), std::back_inserter(warnings));
    // One that came from the environment does not stand in the file.
    const std::string& key = connection.api_key.value;
    if (is_public && text && !key.empty() && text->find(key) != std::string::npos) {
      warnings.push_back(path + "api_key: every user of this machine may read " + config.file.string() +
                         "; use api_key_file, or chmod o-r");
    }
  }
  return warnings;
}

}  // namespace outboxd
