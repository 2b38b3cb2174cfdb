// config/section.h — one mapping of the config file: its keys as written, with their lines. Knows shapes
// (a text, a list, a mapping), not values. What is wrong is reported to the findings, not returned.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/findings.h"
#include "config/tree.h"

namespace outboxd {

struct ConfigText {
  std::string text;     // with the environment's variables put in
  std::string written;  // as the file has it: this alone may be shown
};

// The findings and the node outlive the section.
class ConfigSection {
 public:
  // The file as a whole.
  ConfigSection(ConfigFindings& findings, const ConfigNode& root) : ConfigSection(findings, root, 1, "") {}

  // The same section, near secrets: what is written under one of its keys, and of those inside it, may be a
  // secret that belongs to another.
  ConfigSection NearSecrets() const;

  // It is there and no mapping: reported already, and nothing is in it.
  bool IsWrong() const;
  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  // Reports at the key's line, or at the section's when it is absent. An empty key means the section itself.
  void Problem(std::string_view key, const std::string& message) const;
  // The same, with what was written: "must be a number, not "x"". Left out where it is long enough to be a
  // secret.
  void WrongValue(std::string_view key, const std::string& message, const std::string& written) const;
  // Reports every key that is not one of `known`, with the one it was probably meant to be.
  void RefuseOthers(const std::vector<std::string>& known) const;

  // Empty when the key is absent.
  ConfigSection Child(std::string_view key) const;
  // Every key with its mapping, whatever it is called.
  std::vector<std::pair<std::string, ConfigSection>> Children() const;
  // The mappings of a list.
  std::vector<ConfigSection> Elements(std::string_view key) const;
  // nullopt when absent or (reported) not a single value.
  std::optional<ConfigText> Text(std::string_view key) const;
  // The values of a list, or a single one. Empty when absent or (reported) wrong.
  std::vector<ConfigText> Texts(std::string_view key) const;

 private:
  ConfigSection(ConfigFindings& findings, const ConfigNode& node, int line, std::string path);
  ConfigSection Inner(const ConfigNode& node, int line, std::string path) const;

  const ConfigNode::Entry* Find(std::string_view key) const;
  std::string PathOf(std::string_view key) const;
  int LineOf(std::string_view key) const;
  std::optional<ConfigText> Substituted(std::string_view key, const std::string& written) const;
  void ReportDuplicates() const;

  ConfigFindings* findings_;
  const ConfigNode* node_;
  int line_;
  std::string path_;
  bool is_near_secrets_ = false;
};

}  // namespace outboxd
