// config/section.h — one mapping of the config file, read key by key; what is wrong is collected, not
// returned.
//
// Knows the values' shape and range, not their meaning, and nothing of YAML. Used by config/config.cc alone.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/values.h"
#include "core/result.h"
#include "core/time.h"

namespace outboxd {

struct ConfigNode {
  struct Entry;
  enum class Kind : std::uint8_t { kNothing, kText, kList, kMapping };
  Kind kind = Kind::kNothing;
  std::string text;  // kText
  std::vector<Entry>
      entries;  // kMapping and kList (without keys), in the file's order; a key may stand there twice
};

struct ConfigNode::Entry {
  std::string key;
  int line = 1;
  ConfigNode value;
};

// What is wrong with the file, and every key that was asked for.
class ConfigFindings {
 public:
  explicit ConfigFindings(std::filesystem::path file) : file_(std::move(file)) {}

  // `key` may be empty: then the file as a whole is meant.
  void Add(int line, const std::string& key, const std::string& message);
  void AddKnown(std::string key) { known_.insert(std::move(key)); }
  const std::set<std::string>& Known() const { return known_; }
  bool empty() const { return problems_.empty(); }
  // The first ten by line, one a line. Requires !empty().
  Failure ToFailure() const;

 private:
  struct Problem {
    int line = 1;
    std::string key;
    std::string text;
  };
  std::filesystem::path file_;
  std::vector<Problem> problems_;  // by line
  std::set<std::string> known_;
};

// Each reader takes one key. It leaves `out`, which holds the default, as it is when the key is absent or its
// value (reported) wrong. Finish() reports the keys that no reader took. The findings and the node outlive
// the section.
class ConfigSection {
 public:
  static ConfigSection Root(ConfigFindings& findings, const ConfigNode& node) {
    return {findings, node, 1, "", ""};
  }

  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  // Reports at the key's line, or at the section's when it is absent. An empty key means the section itself.
  void Problem(std::string_view key, const std::string& message);

  ConfigSection Child(std::string_view key);
  // One child for each key, whatever it is called; `pattern` stands for the name in the list of known keys.
  std::vector<std::pair<std::string, ConfigSection>> Children(const std::string& pattern);

  // One for each mapping of a list.
  std::vector<ConfigSection> Elements(std::string_view key);

  // The value with the environment's variables put in; nullopt when absent or (reported) not a single value.
  std::optional<std::string> Text(std::string_view key);

  // A value of Text() through `convert`, which makes a Result of it. kHidden keeps a wrong value, which may
  // be a secret, out of the message.
  enum class Show : std::uint8_t { kValue, kHidden };
  template <typename Convert>
  auto Converted(std::string_view key, Convert convert, Show show = Show::kValue)
      -> std::optional<typename std::invoke_result_t<Convert, const std::string&>::value_type> {
    const std::optional<std::string> text = Text(key);
    if (!text) return std::nullopt;
    auto value = convert(*text);
    if (value) return std::move(*value);
    Problem(key, value.error().message + (show == Show::kValue ? ", not " + AsWritten(key) : ""));
    return std::nullopt;
  }

  // The values of a list, or a single value, each through `convert`.
  template <typename T, typename Convert>
  void List(std::string_view key, std::vector<T>& out, Convert convert) {
    std::vector<T> values;
    for (const std::string& text : Texts(key)) {
      auto value = convert(text);
      if (!value) return Problem(key, value.error().message + ", not " + Quoted(text));
      values.push_back(std::move(*value));
    }
    if (!values.empty()) out = std::move(values);
  }

  void Duration(std::string_view key, Milliseconds& out, Milliseconds low, Milliseconds high);
  void WholeSeconds(std::string_view key, std::chrono::seconds& out, std::chrono::seconds low,
                    std::chrono::seconds high);
  void Size(std::string_view key, std::uint64_t& out, std::uint64_t low, std::uint64_t high);
  void Number(std::string_view key, double& out, double low, double high);
  void Flag(std::string_view key, bool& out);
  // The absolute path of a file.
  static constexpr std::size_t kPathBytes = 4095;
  void Path(std::string_view key, std::filesystem::path& out, std::size_t bytes_max = kPathBytes,
            Show show = Show::kValue);

  template <typename T>
  void Count(std::string_view key, T& out, std::type_identity_t<T> low, std::type_identity_t<T> high) {
    const auto convert = [](const std::string& text) -> Result<T> {
      T number{};
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size()) return number;
      return Fail(ErrorKind::kInvalid, "must be a whole number");
    };
    Ranged(key, out, low, high, convert, [](T number) { return std::to_string(number); });
  }

  // One of the enum's names.
  template <typename Enum>
  void Choice(std::string_view key, Enum& out) {
    const auto convert = [](const std::string& text) -> Result<Enum> {
      if (const std::optional<Enum> value = kNames<Enum>.Find(text)) return *value;
      return Fail(ErrorKind::kInvalid, "must be " + ListNames<Enum>());
    };
    if (std::optional<Enum> value = Converted(key, convert)) out = *value;
  }

  void Finish();

 private:
  // `pattern` is the path as the list of known keys has it.
  ConfigSection(ConfigFindings& findings, const ConfigNode& node, int line, std::string path,
                std::string pattern);

  // `show` writes the borders for people.
  template <typename T, typename Convert, typename ShowBorder>
  void Ranged(std::string_view key, T& out, T low, T high, Convert convert, ShowBorder show) {
    const auto checked = [&](const std::string& text) -> Result<T> {
      Result<T> value = convert(text);
      if (!value || (*value >= low && *value <= high)) return value;
      return Fail(ErrorKind::kInvalid, "must be from " + show(low) + " to " + show(high));
    };
    if (std::optional<T> value = Converted(key, checked)) out = *value;
  }

  const ConfigNode::Entry* Find(std::string_view key) const;
  const ConfigNode::Entry* Take(std::string_view key);
  std::string PathOf(std::string_view key) const;
  std::string PatternOf(std::string_view key) const;
  int LineOf(std::string_view key) const;
  std::string AsWritten(std::string_view key) const;
  static std::string Quoted(const std::string& text);  // and cut, for people
  std::vector<std::string> Texts(std::string_view key);
  void ReportDuplicates();

  ConfigFindings* findings_;
  const ConfigNode* node_;
  int line_;
  std::string path_;
  std::string pattern_;
  std::vector<std::string> taken_;
};

}  // namespace outboxd
