#include "config/section.h"

#include <array>

#include "core/json.h"

namespace outboxd {
namespace {

constexpr std::size_t kProblemsShown = 10;
constexpr std::size_t kValueBytesShown = 80;

const ConfigNode& Nothing() {
  static const ConfigNode nothing;
  return nothing;
}

std::string Shown(std::string_view text) {
  const std::string_view end = text.size() > kValueBytesShown ? "…" : "";
  return EscapeForTerminal(text.substr(0, kValueBytesShown)) + std::string(end);
}

std::string Joined(const std::string& path, std::string_view key) {
  return path.empty() || key.empty() ? path + std::string(key) : path + '.' + std::string(key);
}

Result<Milliseconds> ReadWholeSeconds(const std::string& text) {
  Result<Milliseconds> duration = config_values::ReadDuration(text);
  if (duration && *duration % std::chrono::seconds(1) != Milliseconds(0))
    return Fail(ErrorKind::kInvalid, "must be whole seconds");
  return duration;
}

Result<double> ReadNumber(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return Fail(ErrorKind::kInvalid, "must be a number");
}

std::string ShowNumber(double number) {
  std::array<char, 32> text{};
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  return error == std::errc() ? std::string(text.data(), end) : std::to_string(number);
}

}  // namespace

void ConfigFindings::Add(int line, const std::string& key, const std::string& message) {
  const std::string where = key.empty() ? "" : Shown(key) + ": ";
  const auto is_before = [](int at, const Problem& problem) { return at < problem.line; };
  const auto place = std::upper_bound(problems_.begin(), problems_.end(), line, is_before);
  problems_.insert(place, {line, key, file_.string() + ':' + std::to_string(line) + ": " + where + message});
}

Failure ConfigFindings::ToFailure() const {
  std::string message;
  for (std::size_t i = 0; i < std::min(problems_.size(), kProblemsShown); ++i)
    message += (i == 0 ? "" : "\n") + problems_[i].text;
  if (problems_.size() > kProblemsShown)
    message += "\nand " + std::to_string(problems_.size() - kProblemsShown) + " more";
  return Fail(ErrorKind::kInvalid, std::move(message), problems_.front().key);
}

ConfigSection::ConfigSection(ConfigFindings& findings, const ConfigNode& node, int line, std::string path,
                             std::string pattern)
    : findings_(&findings), node_(&node), line_(line), path_(std::move(path)), pattern_(std::move(pattern)) {
  if (node.kind != ConfigNode::Kind::kNothing && node.kind != ConfigNode::Kind::kMapping) {
    Problem("", "must be a mapping: keys with their values, one a line and indented");
  }
  ReportDuplicates();
}

void ConfigSection::ReportDuplicates() {
  for (std::size_t i = 0; i < node_->entries.size(); ++i) {
    const ConfigNode::Entry& entry = node_->entries[i];
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

const ConfigNode::Entry* ConfigSection::Take(std::string_view key) {
  taken_.emplace_back(key);
  findings_->AddKnown(PatternOf(key));
  return Find(key);
}

std::string ConfigSection::PathOf(std::string_view key) const {
  return Joined(path_, key);
}
std::string ConfigSection::PatternOf(std::string_view key) const {
  return Joined(pattern_, key);
}
int ConfigSection::LineOf(std::string_view key) const {
  const ConfigNode::Entry* entry = Find(key);
  return entry ? entry->line : line_;
}
std::string ConfigSection::AsWritten(std::string_view key) const {
  return Quoted(Find(key)->value.text);
}
std::string ConfigSection::Quoted(const std::string& text) {
  return '"' + Shown(text) + '"';
}

void ConfigSection::Problem(std::string_view key, const std::string& message) {
  findings_->Add(LineOf(key), PathOf(key), message);
}

ConfigSection ConfigSection::Child(std::string_view key) {
  const ConfigNode::Entry* entry = Take(key);
  return {*findings_, entry == nullptr ? Nothing() : entry->value, LineOf(key), PathOf(key), PatternOf(key)};
}

std::vector<std::pair<std::string, ConfigSection>> ConfigSection::Children(const std::string& pattern) {
  std::vector<std::pair<std::string, ConfigSection>> children;
  for (const ConfigNode::Entry& entry : node_->entries) {
    if (Find(entry.key) != &entry) continue;
    taken_.push_back(entry.key);
    children.emplace_back(
        entry.key, ConfigSection(*findings_, entry.value, entry.line, PathOf(entry.key), PatternOf(pattern)));
  }
  return children;
}

std::vector<ConfigSection> ConfigSection::Elements(std::string_view key) {
  const ConfigNode::Entry* entry = Take(key);
  if (entry == nullptr) return {};
  if (entry->value.kind != ConfigNode::Kind::kList) {
    Problem(key, "must be a list of mappings");
    return {};
  }
  std::vector<ConfigSection> elements;
  for (const ConfigNode::Entry& element : entry->value.entries) {
    const std::string path = PathOf(key) + "[" + std::to_string(elements.size()) + "]";
    elements.push_back(ConfigSection(*findings_, element.value, element.line, path, PatternOf(key)));
  }
  return elements;
}

std::optional<std::string> ConfigSection::Text(std::string_view key) {
  const ConfigNode::Entry* entry = Take(key);
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
  Result<std::string> text = config_values::SubstituteEnvironment(entry->value.text);
  if (text) return std::move(*text);
  Problem(key, text.error().message);
  return std::nullopt;
}

std::vector<std::string> ConfigSection::Texts(std::string_view key) {
  const ConfigNode::Entry* entry = Find(key);
  if (entry == nullptr || entry->value.kind != ConfigNode::Kind::kList) {
    const std::optional<std::string> one = Text(key);
    return one ? std::vector{*one} : std::vector<std::string>();
  }
  Take(key);
  std::vector<std::string> texts;
  for (const ConfigNode::Entry& item : entry->value.entries) {
    if (item.value.kind != ConfigNode::Kind::kText) {
      Problem(key, "a list holds single values only");
      return {};
    }
    Result<std::string> text = config_values::SubstituteEnvironment(item.value.text);
    if (!text) {
      Problem(key, text.error().message);
      return {};
    }
    texts.push_back(std::move(*text));
  }
  if (texts.empty()) Problem(key, "is an empty list; remove the key to get its default");
  return texts;
}

void ConfigSection::Duration(std::string_view key, Milliseconds& out, Milliseconds low, Milliseconds high) {
  Ranged(key, out, low, high, config_values::ReadDuration, config_values::ShowDuration);
}

void ConfigSection::WholeSeconds(std::string_view key, std::chrono::seconds& out, std::chrono::seconds low,
                                 std::chrono::seconds high) {
  Milliseconds duration = out;
  Ranged<Milliseconds>(key, duration, low, high, ReadWholeSeconds, config_values::ShowDuration);
  out = std::chrono::duration_cast<std::chrono::seconds>(duration);
}

void ConfigSection::Size(std::string_view key, std::uint64_t& out, std::uint64_t low, std::uint64_t high) {
  Ranged(key, out, low, high, config_values::ReadSize, config_values::ShowSize);
}

void ConfigSection::Number(std::string_view key, double& out, double low, double high) {
  Ranged(key, out, low, high, ReadNumber, ShowNumber);
}

void ConfigSection::Flag(std::string_view key, bool& out) {
  const auto convert = [](const std::string& text) -> Result<bool> {
    if (text == "true" || text == "false") return text == "true";
    return Fail(ErrorKind::kInvalid, "must be true or false");
  };
  if (std::optional<bool> value = Converted(key, convert)) out = *value;
}

void ConfigSection::Path(std::string_view key, std::filesystem::path& out, std::size_t bytes_max, Show show) {
  const auto convert = [&](const std::string& text) -> Result<std::string> {
    const bool is_file =
        text.starts_with('/') && !text.ends_with('/') && text.find('\0') == std::string::npos;
    if (!is_file) return Fail(ErrorKind::kInvalid, "must be the absolute path of a file");
    if (text.size() > bytes_max)
      return Fail(ErrorKind::kInvalid, "must be at most " + std::to_string(bytes_max) + " bytes long");
    return text;
  };
  if (std::optional<std::string> value = Converted(key, convert, show)) out = *value;
}

void ConfigSection::Finish() {
  for (const ConfigNode::Entry& entry : node_->entries) {
    if (std::find(taken_.begin(), taken_.end(), entry.key) != taken_.end()) continue;
    const std::string_view nearest = config_values::Nearest(entry.key, taken_);
    const std::string hint = nearest.empty() ? "" : "; did you mean \"" + std::string(nearest) + "\"?";
    findings_->Add(entry.line, PathOf(entry.key), "is not a known key" + hint);
  }
}

}  // namespace outboxd
