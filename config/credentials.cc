#include "config/credentials.h"

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "config/config.h"
#include "config/small_file.h"
#include "config/values.h"
#include "core/result.h"

namespace outboxd {
namespace {

using config_values::CredentialKind;

constexpr std::size_t kCredentialBytes = 4096;
constexpr std::size_t kCaFileBytes = 16 << 20;  // the system's own store has 200 KiB

bool IsFromServiceManager(const std::filesystem::path& file) {
  const char* place = std::getenv("CREDENTIALS_DIRECTORY");
  if (place == nullptr || file.empty()) return false;
  return file.lexically_normal().parent_path() ==
         (std::filesystem::path(place) / "").lexically_normal().parent_path();
}

// Empty: it is awaited.
Result<std::string> ReadCredential(const CredentialSource& source, CredentialKind kind,
                                   const std::string& key) {
  std::string text = source.value;
  const std::string where = source.file.empty() ? key : key + "_file";
  if (!source.file.empty()) {
    Result<std::string> content = ReadSmallFile(source.file, kCredentialBytes);
    if (!content) return Fail(content.error().kind, where + ": " + content.error().message, where);
    if (content->starts_with("\xFF\xFE") || content->starts_with("\xFE\xFF")) {
      return Fail(ErrorKind::kInvalid,
                  where + ": " + source.file.string() + " is text in UTF-16: write it in UTF-8", where);
    }
    if (content->starts_with("\xEF\xBB\xBF")) content->erase(0, 3);  // Windows writes one before UTF-8
    text = content->substr(0, content->find_last_not_of("\r\n") + 1);
    if (text.empty() && IsFromServiceManager(source.file)) return text;
  }
  if (Result<void> checked = config_values::CheckCredential(text, kind); !checked) {
    const std::string file = source.file.empty() ? "" : source.file.string() + " ";
    const bool is_json = text.starts_with('{') || text.starts_with('[');
    const std::string hint = is_json ? "; it looks like JSON: write the value alone" : "";
    return Fail(ErrorKind::kInvalid, where + ": " + file + checked.error().message + hint, where);
  }
  return text;
}

}  // namespace

Result<Credentials> ReadCredentials(const ConnectionConfig& connection) {
  const std::string prefix = "connections." + connection.name + ".";
  ASSIGN_OR_RETURN(std::string site_id,
                   ReadCredential(connection.site_id, CredentialKind::kSiteId, prefix + "site_id"));
  ASSIGN_OR_RETURN(std::string api_key,
                   ReadCredential(connection.api_key, CredentialKind::kApiKey, prefix + "api_key"));
  Credentials credentials{std::move(site_id), std::move(api_key)};
  if (credentials.site_id.empty()) credentials.awaited.push_back(connection.site_id.file.filename());
  if (credentials.api_key.empty()) credentials.awaited.push_back(connection.api_key.file.filename());
  return credentials;
}

std::string AwaitedText(const Credentials& credentials, const std::filesystem::path& config_file) {
  const char* told = std::getenv("OUTBOXD_CREDENTIALS");
  const std::filesystem::path folder = told != nullptr ? told : config_file.parent_path() / "credentials";
  std::string files;
  for (const std::string& name : credentials.awaited) {
    files += (files.empty() ? "" : " and ") + (folder / name).string();
  }
  return files.empty() ? ""
                       : "its credentials are not there yet: write " + files + ", then it delivers by itself";
}

Result<void> CheckCaFile(const ConnectionConfig& connection) {
  if (connection.ca_file.empty()) return {};
  const std::string key = "connections." + connection.name + ".ca_file";
  const Result<std::string> content = ReadSmallFile(connection.ca_file, kCaFileBytes);
  if (!content) return Fail(content.error().kind, key + ": " + content.error().message, key);
  if (content->find("-----BEGIN ") == std::string::npos) {
    return Fail(ErrorKind::kInvalid,
                key + ": " + connection.ca_file.string() + " holds no certificate in PEM", key);
  }
  return {};
}

}  // namespace outboxd
