#include "config/config.h"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "config/findings.h"
#include "config/keys.h"
#include "config/section.h"
#include "config/small_file.h"
#include "config/tree.h"
#include "core/job.h"
#include "core/result.h"

namespace outboxd {
namespace {

constexpr std::size_t kConfigBytes = 1 << 20;

using Reader = void (*)(const ConfigSection& root, Config& config);

Result<Config> Parse(const std::string& text, const std::filesystem::path& file, Reader read) {
  ConfigFindings findings(file);
  Config config;
  config.file = file;
  if (const std::optional<ConfigNode> root = ReadTree(text, findings))
    read(ConfigSection(findings, *root), config);
  if (!findings.empty()) return findings.ToFailure();
  return config;
}

}  // namespace

std::string ConnectionConfig::BaseUrl(std::optional<Region> override_region) const {
  if (base_url) return *base_url;
  switch (override_region.value_or(region)) {
    case Region::kUs:
      return "https://track.customer.io";
    case Region::kEu:
      return "https://track-eu.customer.io";
  }
  return {};
}

std::set<std::string, std::less<>> Config::ConnectionNames() const {
  std::set<std::string, std::less<>> names;
  for (const auto& [name, connection] : connections) names.insert(name);
  return names;
}

Result<Config> LoadConfig(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(file, kConfigBytes));
  return ParseConfig(text, file);
}

Result<Config> ParseConfig(const std::string& text, const std::filesystem::path& file) {
  return Parse(text, file, ReadKeys);
}

Result<Sockets> LoadSockets(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(file, kConfigBytes));
  return Parse(text, file, ReadListenKeys).map([](const Config& config) {
    return Sockets{config.producer, config.admin};
  });
}

}  // namespace outboxd
