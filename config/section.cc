#include "config/section.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/findings.h"
#include "config/tree.h"
#include "config/values.h"
#include "core/result.h"

namespace outboxd {
namespace {

// Of a value in a message. A site id and an API key have 20; near secrets one may be of the operator's own
// making.
constexpr std::size_t kShownBytes = 19;
constexpr std::size_t kShownNearSecretsBytes = 7;

const ConfigNode& Nothing() {
  static const ConfigNode nothing;
  return nothing;
}

}  // namespace

ConfigSection::ConfigSection(ConfigFindings& findings, const ConfigNode& node, int line, std::string path)
    : findings_(&findings), node_(&node), line_(line), path_(std::move(path)) {
  if (IsWrong()) Problem("", "must be a mapping: keys with their values, one a line and indented");
  ReportDuplicates();
}

bool ConfigSection::IsWrong() const {
  return node_->kind != ConfigNode::Kind::kNothing && node_->kind != ConfigNode::Kind::kMapping;
}

void ConfigSection::ReportDuplicates() const {
  if (IsWrong()) return;
  for (const ConfigNode::Entry& entry : node_->entries) {
    const ConfigNode::Entry* first = Find(entry.key);
    if (first != &entry)
      findings_->Add(entry.line, PathOf(entry.key),
                     "is given twice, first in line " + std::to_string(first->line));
  }
}

const ConfigNode::Entry* ConfigSection::Find(std::string_view key) const {
  const auto& entries = node_->entries;
  const auto entry = std::find_if(entries.begin(), entries.end(),
                                  [&](const ConfigNode::Entry& candidate) { return candidate.key == key; });
  return entry == entries.end() ? nullptr : &*entry;
}

std::string ConfigSection::PathOf(std::string_view key) const {
  return path_.empty() || key.empty() ? path_ + std::string(key) : path_ + '.' + std::string(key);
}

int ConfigSection::LineOf(std::string_view key) const {
  const ConfigNode::Entry* entry = Find(key);
  return entry ? entry->line : line_;
}

void ConfigSection::Problem(std::string_view key, const std::string& message) const {
  findings_->Add(LineOf(key), PathOf(key), message);
}

void ConfigSection::WrongValue(std::string_view key, const std::string& message,
                               const std::string& written) const {
  const bool may_be_secret = written.size() > (is_near_secrets_ ? kShownNearSecretsBytes : kShownBytes);
  Problem(key, may_be_secret ? message : message + ", not \"" + ShownInFinding(written) + '"');
}

void ConfigSection::RefuseOthers(const std::vector<std::string>& known) const {
  if (IsWrong()) return;
  for (const ConfigNode::Entry& entry : node_->entries) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    const std::string_view nearest = config_values::Nearest(entry.key, known);
    const std::string hint = nearest.empty() ? "" : "; did you mean \"" + std::string(nearest) + "\"?";
    findings_->Add(entry.line, PathOf(entry.key), "is not a known key" + hint);
  }
}

ConfigSection ConfigSection::NearSecrets() const {
  ConfigSection section = *this;
  section.is_near_secrets_ = true;
  return section;
}

ConfigSection ConfigSection::Inner(const ConfigNode& node, int line, std::string path) const {
  ConfigSection section(*findings_, node, line, std::move(path));
  section.is_near_secrets_ = is_near_secrets_;
  return section;
}

ConfigSection ConfigSection::Child(std::string_view key) const {
  const ConfigNode::Entry* entry = Find(key);
  return Inner(entry == nullptr ? Nothing() : entry->value, LineOf(key), PathOf(key));
}

std::vector<std::pair<std::string, ConfigSection>> ConfigSection::Children() const {
  std::vector<std::pair<std::string, ConfigSection>> children;
  if (IsWrong()) return children;
  for (const ConfigNode::Entry& entry : node_->entries) {
    if (Find(entry.key) == &entry) children.emplace_back(entry.key, Child(entry.key));
  }
  return children;
}

std::vector<ConfigSection> ConfigSection::Elements(std::string_view key) const {
  const ConfigNode::Entry* entry = Find(key);
  if (entry == nullptr) return {};
  if (entry->value.kind != ConfigNode::Kind::kList) {
    Problem(key, "must be a list of mappings");
    return {};
  }
  std::vector<ConfigSection> elements;
  for (const ConfigNode::Entry& element : entry->value.entries) {
    const std::string path = PathOf(key) + "[" + std::to_string(elements.size()) + "]";
    elements.push_back(Inner(element.value, element.line, path));
  }
  return elements;
}

std::optional<ConfigText> ConfigSection::Substituted(std::string_view key, const std::string& written) const {
  Result<std::string> text = config_values::SubstituteEnvironment(written);
  if (text) return ConfigText{std::move(*text), written};
  Problem(key, text.error().message);
  return std::nullopt;
}

std::optional<ConfigText> ConfigSection::Text(std::string_view key) const {
  const ConfigNode::Entry* entry = Find(key);
  if (entry == nullptr) return std::nullopt;
  switch (entry->value.kind) {
    case ConfigNode::Kind::kNothing:
      Problem(key, "has no value; remove the key to get its default");
      return std::nullopt;
    case ConfigNode::Kind::kList:
      Problem(key, "must be a single value, not a list");
      return std::nullopt;
    case ConfigNode::Kind::kMapping:
      Problem(key, "must be a single value, not a mapping");
      return std::nullopt;
    case ConfigNode::Kind::kText:
      break;
  }
  return Substituted(key, entry->value.text);
}

std::vector<ConfigText> ConfigSection::Texts(std::string_view key) const {
  const ConfigNode::Entry* entry = Find(key);
  if (entry == nullptr || entry->value.kind != ConfigNode::Kind::kList) {
    std::optional<ConfigText> one = Text(key);
    return one ? std::vector{std::move(*one)} : std::vector<ConfigText>();
  }
  std::vector<ConfigText> texts;
  for (const ConfigNode::Entry& item : entry->value.entries) {
    if (item.value.kind != ConfigNode::Kind::kText) {
      Problem(key, "a list holds single values only");
      return {};
    }
    std::optional<ConfigText> text = Substituted(key, item.value.text);
    if (!text) return {};
    texts.push_back(std::move(*text));
  }
  if (texts.empty()) Problem(key, "is an empty list; remove the key to get its default");
  return texts;
}

}  // namespace outboxd
