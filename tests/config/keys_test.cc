#include "config/keys.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "config/config.h"
#include "config/values.h"
#include "core/duration.h"
#include "tests/config/example_file.h"

using namespace outboxd;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view kMark = "(restart)";

bool HasMark(const std::string& text) {
  return text.find(kMark) != std::string::npos;
}

// "a.b.c", "a.b", "a": the key and the sections around it.
std::vector<std::string> WithSections(std::string path) {
  std::vector<std::string> paths = {path};
  for (std::size_t dot = path.rfind('.'); dot != std::string::npos; dot = path.rfind('.')) {
    path.erase(dot);
    paths.push_back(path);
  }
  return paths;
}

bool IsMarked(const std::map<std::string, std::string>& texts, const std::string& path) {
  const std::vector<std::string> paths = WithSections(path);
  return std::any_of(paths.begin(), paths.end(), [&](const std::string& one) {
    const auto text = texts.find(one);
    return text != texts.end() && HasMark(text->second);
  });
}

bool IsSection(const std::string& path) {
  const std::vector<ConfigKey> keys = ConfigKeys();
  return std::any_of(keys.begin(), keys.end(),
                     [&](const ConfigKey& key) { return key.path.starts_with(path + "."); });
}

// The first remark of each key.
std::map<std::string, std::string> Remarks() {
  std::map<std::string, std::string> remarks;
  for (const ExampleLine& line : ReadExample()) remarks.emplace(line.path, line.remark);
  remarks.erase("connections.NAME");
  return remarks;
}

std::string WithoutMark(std::string text) {
  if (text.ends_with(kMark)) text.erase(text.size() - kMark.size());
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

// The manual as key and text: "limits.clients" → "Producers connected at once. 1 to 65536, default 1024."
// Several keys may share a text; that of a section is what stands before its list.
class Manual {
 public:
  static std::map<std::string, std::string> Read() {
    Manual manual;
    std::istringstream stream(ReadText(SourceFile("docs/outboxd.yaml.5")));
    for (std::string line; std::getline(stream, line);) manual.Take(line);
    return manual.texts_;
  }

 private:
  static std::string WithoutMacros(std::string text) {
    text = std::regex_replace(text, std::regex(R"(\\\(dq)"), "");
    text = std::regex_replace(text, std::regex(R"(^\.[A-Z][a-z] )"), "");
    return std::regex_replace(text, std::regex(R"( ([.,:;])$)"), "$1");
  }

  void Take(const std::string& line) {
    if (line.starts_with(".Ss ") || line.starts_with(".Sh ")) return Begin(WithoutMacros(line));
    if (line.starts_with(".Bl")) return Open();
    if (line.starts_with(".El")) return Close();
    if (line.starts_with(".It Ic ")) return Item(line.substr(7));
    for (const std::string& key : now_) texts_[key] += WithoutMacros(line) + ' ';
  }

  void Begin(std::string section) {
    if (section == "connections. Ns Em NAME") section = "connections.NAME";
    if (section == "Others") section = "";
    prefixes_ = {section};
    now_ = {section};
  }
  void Open() {
    const std::string section = now_.empty() ? "" : now_.front();
    prefixes_.push_back(section.empty() ? "" : section + ".");
  }
  void Close() {
    prefixes_.pop_back();
    now_.clear();
  }
  void Item(const std::string& keys) {
    now_.clear();
    std::istringstream stream(keys);
    for (std::string key; stream >> key;) {
      if (key == ",") continue;
      now_.push_back(prefixes_.back() + key);
      texts_[now_.back()];
    }
  }

  std::map<std::string, std::string> texts_;
  std::vector<std::string> prefixes_ = {""};
  std::vector<std::string> now_;
};

// Durations in one way of writing: 72h as 3d.
std::string Normal(const std::string& text) {
  static const std::regex duration(R"(\b\d+(ms|s|min|h|d)\b)");
  std::string normal;
  std::string rest = text;
  for (std::smatch match; std::regex_search(rest, match, duration); rest = match.suffix()) {
    const Result<Milliseconds> value = config_values::ReadDuration(match.str());
    normal += match.prefix().str() + (value ? ShowDuration(*value) : match.str());
  }
  return normal + rest;
}

bool HasWord(const std::string& text, const std::string& word) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const auto is_end = [&](std::size_t place) {
      return place >= text.size() || std::string(" ,.;:()\n").find(text[place]) != std::string::npos;
    };
    if ((at == 0 || is_end(at - 1)) && is_end(at + word.size())) return true;
  }
  return false;
}

bool TellsDefault(const std::string& text, const std::string& value) {
  const std::size_t several = text.find("Defaults: ");
  return HasWord(text, "default " + value) || HasWord(text, "Default: " + value) ||
         HasWord(text, value + " (default)") ||
         (several != std::string::npos && HasWord(text.substr(several), value));
}

// A range as it is, a choice by its names, which the manual explains one by one.
bool TellsAllowed(const std::string& text, const std::string& allowed) {
  if (allowed == "true or false") return true;
  if (allowed.find(" or ") == std::string::npos) return HasWord(text, allowed);
  std::istringstream names(std::regex_replace(allowed, std::regex(",| or "), " "));
  for (std::string name; names >> name;) {
    if (!HasWord(text, name)) return false;
  }
  return true;
}

Config WithRestartKeysChanged() {
  Config config;
  config.outbox.path = "/elsewhere.db";
  config.producer.mode = 0600;
  config.admin.users = {0};
  config.track.emplace_back().tcp = "127.0.0.1:8480";
  config.metrics.tcp = "127.0.0.1:9480";
  config.workers = 3;
  return config;
}

}  // namespace

TEST_CASE("config keys: every key stands once, with its default, its range and its remark") {
  std::map<std::string, ConfigKey> keys;
  for (const ConfigKey& key : ConfigKeys()) CHECK_MESSAGE(keys.emplace(key.path, key).second, key.path);
  CHECK(keys.at("limits.line_bytes").default_value == "512KiB");
  CHECK(keys.at("limits.line_bytes").allowed == "256 to 16MiB");
  CHECK(keys.at("limits.line_bytes").effect == Effect::kReload);
  CHECK(keys.at("limits.line_bytes").help == "of one line from a producer");
  CHECK(keys.at("workers").effect == Effect::kRestart);
  CHECK(keys.at("listen.admin.path").default_value == "/run/outboxd/admin.sock");
  CHECK(keys.at("listen.producer.mode").default_value == "0660");
  CHECK(keys.at("listen.producer.group").default_value.empty());
  CHECK(keys.at("connections.NAME.region").allowed == "us or eu");
  CHECK(keys.at("connections.NAME.rate_limit").default_value == "1000");
  CHECK(keys.at("connections.NAME.batch.same_lane").default_value == "false");
  CHECK(keys.at("retry.max_age").default_value == "3d");
  CHECK(keys.contains("listen.track"));
  CHECK(keys.contains("listen.track.unix"));
}

TEST_CASE("config keys: what needs a restart is named by the keys that differ") {
  CHECK(NeedsRestart(Config(), Config()).empty());
  CHECK(NeedsRestart(Config(), WithRestartKeysChanged()) ==
        "outbox.path, listen.producer.mode, listen.admin.users, listen.track, metrics.tcp, workers");
  CHECK(NeedsRestart(WithRestartKeysChanged(), WithRestartKeysChanged()).empty());
}

TEST_CASE("config keys: what a reload applies needs no restart") {
  Config after;
  after.outbox.max_jobs = 1;
  after.retry.base = 2s;
  after.limits.clients = 7;
  after.history.keep = 1h;
  after.drain_timeout = 1s;
  after.log_level = LogLevel::kDebug;
  after.connections["other"].max_in_flight = 3;
  CHECK(NeedsRestart(Config(), after).empty());
}

TEST_CASE("config keys: the example file shows every key and no other") {
  std::set<std::string> known, shown;
  for (const ConfigKey& key : ConfigKeys()) known.insert(key.path);
  for (const auto& [path, remark] : Remarks()) shown.insert(path);
  for (const std::string& key : known) CHECK_MESSAGE(shown.contains(key), key);
  for (const std::string& key : shown) CHECK_MESSAGE(known.contains(key), key);
}

TEST_CASE("config keys: the example file's remarks and (restart) marks are those of the table") {
  const std::map<std::string, std::string> remarks = Remarks();
  for (const ConfigKey& key : ConfigKeys()) {
    CAPTURE(key.path);
    REQUIRE(remarks.contains(key.path));
    const std::string remark = WithoutMark(remarks.at(key.path));
    CHECK((remark == key.help || (key.path.starts_with("connections.NAME.retry.") && remark == "as below")));
    if (!IsSection(key.path)) CHECK(IsMarked(remarks, key.path) == (key.effect == Effect::kRestart));
  }
}

TEST_CASE("config keys: the manual has every key with its default, range and (restart) mark, and no other") {
  const std::map<std::string, std::string> manual = Manual::Read();
  const auto is_below_retry = [](const std::string& path) {
    return path.starts_with("connections.NAME.retry.");  // told with `retry`
  };
  std::set<std::string> known;
  for (const ConfigKey& key : ConfigKeys()) {
    known.insert(key.path);
    if (is_below_retry(key.path) || IsSection(key.path)) continue;
    CAPTURE(key.path);
    REQUIRE(manual.contains(key.path));
    const std::string text = Normal(manual.at(key.path));
    CAPTURE(text);
    if (!key.default_value.empty()) CHECK(TellsDefault(text, key.default_value));
    if (!key.allowed.empty()) CHECK(TellsAllowed(text, Normal(key.allowed)));
    CHECK(IsMarked(manual, key.path) == (key.effect == Effect::kRestart));
  }
  for (const auto& [path, text] : manual) {
    if (path.find_first_of(" ABCDEFGHIJKLMOPQRSTUVWXYZ") == std::string::npos && !path.empty())
      CHECK_MESSAGE((known.contains(path) || path == "connections.NAME"), path);
  }
}
