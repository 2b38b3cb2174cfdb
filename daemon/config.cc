#include "daemon/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <span>
#include <utility>

#include "core/json.h"
#include "core/limits.h"
#include "daemon/config_values.h"
#include "daemon/small_file.h"

namespace outboxd {
namespace {

using config_values::CredentialKind;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t kConfigBytes = 1 << 20;
constexpr std::size_t kProblemsShown = 10;
constexpr std::size_t kValueBytesShown = 80;
constexpr std::size_t kSocketPathBytes = 107;  // sockaddr_un's, without its NUL
constexpr std::size_t kGroupNameBytes = 32;

constexpr std::uint64_t kKilobyte = 1000;
constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr std::uint64_t kGibibyte = 1 << 30;
constexpr std::uint64_t kTerabyte = 1'000'000'000'000;

std::string Quoted(std::string_view text) {
  const std::string_view end = text.size() > kValueBytesShown ? "…" : "";
  return '"' + EscapeForTerminal(text.substr(0, kValueBytesShown)) + std::string(end) + '"';
}

int LineOf(const YAML::Mark& mark) { return std::max(0, mark.line) + 1; }

// What is wrong with the text, and every key that was asked for.
class Findings {
 public:
  explicit Findings(const std::filesystem::path& file) : file_(file) {}

  void Add(int line, std::string key, const std::string& message) {
    std::string text = file_.string() + ':' + std::to_string(line) + ": " + (key.empty() ? "" : key + ": ") + message;
    problems_.push_back({line, std::move(key), std::move(text)});
  }
  void AddKnown(std::string key) { known_.insert(std::move(key)); }
  const std::set<std::string>& Known() const { return known_; }
  bool empty() const { return problems_.empty(); }

  Failure ToFailure() {
    std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) { return a.line < b.line; });
    std::string message;
    for (std::size_t i = 0; i < std::min(problems_.size(), kProblemsShown); ++i) message += (i == 0 ? "" : "\n") + problems_[i].text;
    if (problems_.size() > kProblemsShown) message += "\nand " + std::to_string(problems_.size() - kProblemsShown) + " more";
    return Fail(ErrorKind::kInvalid, std::move(message), problems_.front().key);
  }

 private:
  struct Problem {
    int line;
    std::string key;
    std::string text;
  };
  std::filesystem::path file_;
  std::vector<Problem> problems_;
  std::set<std::string> known_;
};

// One mapping of the file. Each reader below takes one key: it leaves `out`, which holds the default, as it is when the key is absent, and
// reports what is wrong with its value. Finish() reports the keys that nobody asked for.
class Section {
 public:
  // `pattern` is the path with NAME for a connection's name.
  Section(Findings& findings, const YAML::Node& node, int line, std::string path, std::string pattern)
      : findings_(findings), line_(line), path_(std::move(path)), pattern_(std::move(pattern)) {
    if (node.IsMap()) {
      for (const auto& pair : node) AddEntry(pair.first, pair.second);
    } else if (node.IsDefined() && !node.IsNull()) {
      findings_.Add(line_, path_, "must be a mapping: keys with their values, one a line and indented");
    }
  }

  int line() const { return line_; }
  std::string PathOf(std::string_view key) const { return path_.empty() ? std::string(key) : path_ + '.' + std::string(key); }
  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  int LineOfKey(std::string_view key) const { return Has(key) ? Find(key)->line : line_; }
  void Problem(std::string_view key, const std::string& message) { findings_.Add(LineOfKey(key), PathOf(key), message); }

  Section Child(std::string_view key) {
    const Entry* entry = Take(key);
    const std::string pattern = pattern_.empty() ? std::string(key) : pattern_ + '.' + std::string(key);
    return {findings_, entry == nullptr ? YAML::Node() : entry->value, LineOfKey(key), PathOf(key), pattern};
  }

  // One child for each key, whatever it is called; `pattern` stands for the name.
  std::vector<std::pair<std::string, Section>> Children(const std::string& pattern) {
    std::vector<std::pair<std::string, Section>> children;
    for (Entry& entry : entries_) {
      entry.taken = true;
      children.emplace_back(entry.key, Section(findings_, entry.value, entry.line, PathOf(entry.key), pattern_ + '.' + pattern));
    }
    return children;
  }

  // The value with the environment's variables put in; nullopt when absent or (reported) not a single value.
  std::optional<std::string> Text(std::string_view key) {
    const Entry* entry = Take(key);
    if (entry == nullptr) return std::nullopt;
    if (entry->value.IsNull()) {
      Problem(key, "has no value; remove the key to get its default");
    } else if (!entry->value.IsScalar()) {
      Problem(key, entry->value.IsMap() ? "must be a single value, not a mapping" : "must be a single value, not a list");
    } else if (Result<std::string> text = config_values::SubstituteEnvironment(entry->value.Scalar()); !text) {
      Problem(key, text.error().message);
    } else {
      return std::move(*text);
    }
    return std::nullopt;
  }

  // `convert` makes a Result of a text. Only for values that are no secrets: a wrong one is shown as it stands in the file.
  template <typename Convert>
  auto Converted(std::string_view key, Convert convert) -> std::optional<typename decltype(convert(std::string()))::value_type> {
    const std::optional<std::string> text = Text(key);
    if (!text) return std::nullopt;
    auto value = convert(*text);
    if (value) return std::move(*value);
    Problem(key, value.error().message + ", not " + Quoted(Find(key)->value.Scalar()));
    return std::nullopt;
  }

  // A value between two others; `show` writes the borders for people.
  template <typename T, typename Convert, typename Show>
  void Ranged(std::string_view key, T& out, T low, T high, Convert convert, Show show) {
    const auto checked = [&](const std::string& text) {
      auto value = convert(text);
      if (!value || (*value >= low && *value <= high)) return value;
      value = Fail(ErrorKind::kInvalid, "must be from " + show(low) + " to " + show(high));
      return value;
    };
    if (auto value = Converted(key, checked)) out = static_cast<T>(*value);
  }

  void Duration(std::string_view key, Milliseconds& out, Milliseconds low, Milliseconds high) {
    Ranged(key, out, low, high, config_values::ReadDuration, config_values::ShowDuration);
  }
  void WholeSeconds(std::string_view key, seconds& out, seconds low, seconds high) {
    const auto convert = [](const std::string& text) -> Result<Milliseconds> {
      Result<Milliseconds> duration = config_values::ReadDuration(text);
      if (duration && *duration % seconds(1) != Milliseconds(0)) return Fail(ErrorKind::kInvalid, "must be whole seconds");
      return duration;
    };
    Milliseconds duration = out;
    Ranged<Milliseconds>(key, duration, low, high, convert, config_values::ShowDuration);
    out = std::chrono::duration_cast<seconds>(duration);
  }
  void Size(std::string_view key, std::uint64_t& out, std::uint64_t low, std::uint64_t high) {
    Ranged(key, out, low, high, config_values::ReadSize, config_values::ShowSize);
  }
  template <typename T>
  void Count(std::string_view key, T& out, T low, T high) {
    Ranged(key, out, low, high, ReadNumber<T>, [](T number) { return std::to_string(number); });
  }
  void Flag(std::string_view key, bool& out) {
    const auto convert = [](const std::string& text) -> Result<bool> {
      if (text == "true" || text == "false") return text == "true";
      return Fail(ErrorKind::kInvalid, "must be true or false");
    };
    if (std::optional<bool> value = Converted(key, convert)) out = *value;
  }
  template <typename T>
  void Choice(std::string_view key, T& out, std::span<const std::pair<std::string_view, T>> choices) {
    const auto convert = [&](const std::string& text) -> Result<T> {
      std::string names;
      for (const auto& [name, value] : choices) {
        if (name == text) return value;
        names += (names.empty() ? "" : name == choices.back().first ? " or " : ", ") + std::string(name);
      }
      return Fail(ErrorKind::kInvalid, "must be " + names);
    };
    if (std::optional<T> value = Converted(key, convert)) out = *value;
  }
  void Path(std::string_view key, std::filesystem::path& out, std::size_t bytes_max = 4095) {
    const auto convert = [&](const std::string& text) -> Result<std::string> {
      if (!text.starts_with('/') || text.ends_with('/')) return Fail(ErrorKind::kInvalid, "must be the absolute path of a file");
      if (text.find('\0') != std::string::npos) return Fail(ErrorKind::kInvalid, "must not have a NUL byte");
      if (text.size() > bytes_max) return Fail(ErrorKind::kInvalid, "must be at most " + std::to_string(bytes_max) + " bytes long");
      return text;
    };
    if (std::optional<std::string> value = Converted(key, convert)) out = *value;
  }

  void Finish() {
    for (const Entry& entry : entries_) {
      if (entry.taken) continue;
      const std::string_view nearest = config_values::Nearest(entry.key, asked_);
      const std::string hint = nearest.empty() ? "" : "; did you mean \"" + std::string(nearest) + "\"?";
      findings_.Add(entry.line, ShownPathOf(entry.key), "is not a known key" + hint);
    }
  }

 private:
  struct Entry {
    std::string key;
    YAML::Node value;
    int line;
    bool taken;
  };

  template <typename T>
  static Result<T> ReadNumber(const std::string& text) {
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) return number;
    return Fail(ErrorKind::kInvalid, std::is_floating_point_v<T> ? "must be a number" : "must be a whole number");
  }

  std::string ShownPathOf(std::string_view key) const { return PathOf(EscapeForTerminal(key.substr(0, kValueBytesShown))); }

  void AddEntry(const YAML::Node& key, const YAML::Node& value) {
    const int line = LineOf(key.Mark());
    if (!key.IsScalar()) {
      findings_.Add(line, path_, "has a key that is not a plain word");
    } else if (const Entry* earlier = Find(key.Scalar())) {
      findings_.Add(line, ShownPathOf(key.Scalar()), "is given twice, first in line " + std::to_string(earlier->line));
    } else {
      entries_.push_back({key.Scalar(), value, line, false});
    }
  }

  const Entry* Find(std::string_view key) const {
    const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& candidate) { return candidate.key == key; });
    return entry == entries_.end() ? nullptr : &*entry;
  }

  const Entry* Take(std::string_view key) {
    asked_.emplace_back(key);
    findings_.AddKnown(pattern_.empty() ? std::string(key) : pattern_ + '.' + std::string(key));
    const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& candidate) { return candidate.key == key; });
    if (entry == entries_.end()) return nullptr;
    entry->taken = true;
    return &*entry;
  }

  Findings& findings_;
  int line_;
  std::string path_;
  std::string pattern_;
  std::vector<Entry> entries_;
  std::vector<std::string> asked_;
};

void ReadOutbox(Section section, OutboxConfig& outbox) {
  section.Path("path", outbox.path);
  section.Count<std::uint64_t>("max_jobs", outbox.max_jobs, 1, 1'000'000'000);
  section.Size("max_bytes", outbox.max_bytes, 100 * kKilobyte, 100 * kTerabyte);
  section.Size("min_free_bytes", outbox.min_free_bytes, 0, 100 * kTerabyte);
  section.Finish();
}

void ReadSocket(Section section, SocketConfig& socket) {
  section.Path("path", socket.path, kSocketPathBytes);
  if (std::optional<std::uint32_t> mode = section.Converted("mode", config_values::ReadMode)) socket.mode = *mode;
  const auto to_group = [](const std::string& text) -> Result<std::string> {
    const bool is_word = text.find_first_of(" \t\n:/") == std::string::npos;
    if (!text.empty() && text.size() <= kGroupNameBytes && is_word) return text;
    return Fail(ErrorKind::kInvalid, "must be the name or number of a group");
  };
  if (std::optional<std::string> group = section.Converted("group", to_group)) socket.group = *group;
  section.Finish();
}

void ReadListen(Section section, Config& config) {
  ReadSocket(section.Child("producer"), config.producer);
  ReadSocket(section.Child("admin"), config.admin);
  if (config.producer.path == config.admin.path) section.Problem("admin", "must have another path than the producer socket");
  if (section.Has("track")) {
    section.Problem("track", "the Track-compatible endpoint is not supported by this version; remove the key");
    section.Ignore("track");
  }
  section.Finish();
}

void ReadRetry(Section section, RetryPolicy& retry) {
  section.Duration("base", retry.base, Milliseconds(1), hours(1));
  section.Duration("cap", retry.cap, Milliseconds(1), hours(24 * 7));
  section.Count<std::uint32_t>("max_attempts", retry.max_attempts, 1, 1'000'000);
  section.WholeSeconds("max_age", retry.max_age, seconds(1), seconds(limits::kMaxAgeSeconds));
  section.Duration("retry_after_cap", retry.retry_after_cap, Milliseconds(0), hours(24 * 7));
  if (retry.cap < retry.base) {
    section.Problem(section.Has("cap") ? "cap" : "base", "the cap (" + config_values::ShowDuration(retry.cap) +
                                                             ") must not be less than the base (" + config_values::ShowDuration(retry.base) + ")");
  }
  section.Finish();
}

void ReadBatch(Section section, BatchConfig& batch) {
  section.Flag("enabled", batch.enabled);
  if (batch.enabled) section.Problem("enabled", "batches are not supported by this version; leave it false");
  section.Count<std::uint32_t>("max_items", batch.max_items, 1, 10'000);
  section.Size("max_bytes", batch.max_bytes, kKilobyte, 500 * kKilobyte);
  section.Duration("linger", batch.linger, Milliseconds(0), seconds(10));
  section.Flag("same_lane", batch.same_lane);
  section.Finish();
}

void ReadCredentialSource(Section& section, const std::string& key, CredentialKind kind, CredentialSource& source) {
  const std::string file_key = key + "_file";
  if (const std::optional<std::string> value = section.Text(key)) {
    source.value = *value;
    if (Result<void> checked = config_values::CheckCredential(*value, kind); !checked) section.Problem(key, checked.error().message);
  }
  section.Path(file_key, source.file);
  if (section.Has(key) && section.Has(file_key)) section.Problem(file_key, "must not be given together with " + key);
  if (!section.Has(key) && !section.Has(file_key)) section.Problem(key, "is missing; give it or " + file_key);
}

ConnectionConfig ReadConnection(Section section, const std::string& name, const RetryPolicy& retry) {
  constexpr std::pair<std::string_view, Region> kRegions[] = {{"us", Region::kUs}, {"eu", Region::kEu}};
  constexpr std::pair<std::string_view, LaneOrder> kOrders[] = {{"per_customer", LaneOrder::kPerCustomer}, {"none", LaneOrder::kNone}};
  ConnectionConfig connection;
  connection.name = name;
  section.Choice<Region>("region", connection.region, kRegions);
  if (const std::optional<std::string> text = section.Text("base_url")) {
    // Not shown when wrong: people put passwords into URLs.
    Result<std::string> url = config_values::ReadBaseUrl(*text);
    if (url) connection.base_url = *url;
    if (!url) section.Problem("base_url", url.error().message);
  }
  section.Choice<LaneOrder>("order", connection.order, kOrders);
  ReadCredentialSource(section, "site_id", CredentialKind::kSiteId, connection.site_id);
  ReadCredentialSource(section, "api_key", CredentialKind::kApiKey, connection.api_key);
  section.Rate("rate_limit", connection.rate_limit, 0.001, 1'000'000);
  section.Count<std::uint32_t>("max_in_flight", connection.max_in_flight, 1, 10'000);
  section.Duration("connect_timeout", connection.connect_timeout, Milliseconds(1), minutes(5));
  section.Duration("timeout", connection.timeout, Milliseconds(1), hours(1));
  section.Duration("probe_interval", connection.probe_interval, Milliseconds(10), hours(24));
  section.Path("ca_file", connection.ca_file);
  connection.retry = retry;
  ReadRetry(section.Child("retry"), connection.retry);
  ReadBatch(section.Child("batch"), connection.batch);
  section.Finish();
  return connection;
}

void ReadConnections(Section section, Config& config) {
  auto children = section.Children("NAME");
  if (children.empty()) section.Problem("", "at least one connection is needed");
  for (auto& [name, child] : children) {
    if (Result<void> checked = config_values::CheckConnectionName(name); !checked) child.Problem("", checked.error().message);
    config.connections.emplace(name, ReadConnection(std::move(child), name, config.retry));
  }
}

void ReadLimits(Section section, LimitsConfig& limits) {
  section.Size("line_bytes", limits.line_bytes, 256, 16 * kMebibyte);
  section.Count<std::uint32_t>("clients", limits.clients, 1, 65536);
  section.Size("unread_reply_bytes", limits.unread_reply_bytes, kKilobyte, kGibibyte);
  section.Duration("unread_reply_timeout", limits.unread_reply_timeout, Milliseconds(10), hours(1));
  section.Size("intake_bytes", limits.intake_bytes, kKilobyte, 64 * kGibibyte);
  section.Size("window_bytes", limits.window_bytes, kKilobyte, 64 * kGibibyte);
  section.Count<std::uint32_t>("window_jobs", limits.window_jobs, 1, 10'000'000);
  section.Count<std::uint32_t>("lane_jobs", limits.lane_jobs, 1, 1'000'000);
  section.Count<std::uint32_t>("deferred_jobs", limits.deferred_jobs, 1, 10'000'000);
  if (limits.intake_bytes < limits.line_bytes) {
    section.Problem(section.Has("intake_bytes") ? "intake_bytes" : "line_bytes", "intake_bytes must not be less than line_bytes");
  }
  section.Finish();
}

void ReadHistory(Section section, HistoryConfig& history) {
  section.WholeSeconds("keep", history.keep, seconds(0), seconds(limits::kMaxAgeSeconds));
  section.Count<std::uint64_t>("max_rows", history.max_rows, 0, 1'000'000'000);
  section.Finish();
}

void ReadMetrics(Section section, MetricsConfig& metrics) {
  const auto convert = [](const std::string& text) -> Result<std::string> {
    return config_values::CheckLoopback(text).map([&] { return text; });
  };
  if (std::optional<std::string> tcp = section.Converted("tcp", convert)) metrics.tcp = *tcp;
  section.Finish();
}

void ReadLog(Section section, LogLevel& level) {
  constexpr std::pair<std::string_view, LogLevel> kLevels[] = {
      {"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo}, {"warn", LogLevel::kWarn}, {"error", LogLevel::kError}};
  section.Choice<LogLevel>("level", level, kLevels);
  section.Finish();
}

Config ReadRoot(Section root, const std::filesystem::path& file) {
  Config config;
  config.file = file;
  ReadOutbox(root.Child("outbox"), config.outbox);
  ReadListen(root.Child("listen"), config);
  ReadRetry(root.Child("retry"), config.retry);
  ReadConnections(root.Child("connections"), config);  // after `retry`, which theirs begin with
  ReadLimits(root.Child("limits"), config.limits);
  ReadHistory(root.Child("history"), config.history);
  ReadMetrics(root.Child("metrics"), config.metrics);
  ReadLog(root.Child("log"), config.log_level);
  root.Count<std::uint32_t>("workers", config.workers, 1, 64);
  root.Duration("drain_timeout", config.drain_timeout, Milliseconds(0), hours(1));
  root.Finish();
  return config;
}

Config ReadDocuments(const std::string& text, const std::filesystem::path& file, Findings& findings) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) findings.Add(LineOf(documents[1].Mark()), "", "a second document begins here; a config is one");
    return ReadRoot(Section(findings, documents.empty() ? YAML::Node() : documents.front(), 1, "", ""), file);
  } catch (const YAML::Exception& error) {
    findings.Add(LineOf(error.mark), "", "not valid YAML: " + EscapeForTerminal(error.msg));
    return {};
  }
}

}  // namespace

std::string ConnectionConfig::BaseUrl(std::optional<Region> override_region) const {
  if (!base_url.empty()) return base_url;
  switch (override_region.value_or(region)) {
    case Region::kUs:
      return "https://track.customer.io";
    case Region::kEu:
      return "https://track-eu.customer.io";
  }
  return {};
}

Result<Config> LoadConfig(const std::filesystem::path& file) {
  const Result<std::string> text = ReadSmallFile(file, kConfigBytes);
  if (!text) return Failure(text.error());
  return ParseConfig(*text, file);
}

Result<Config> ParseConfig(const std::string& text, const std::filesystem::path& file) {
  Findings findings(file);
  Config config = ReadDocuments(text, file, findings);
  if (!findings.empty()) return findings.ToFailure();
  return config;
}

std::vector<std::string> KnownConfigKeys() {
  Findings findings("");
  (void)ReadDocuments("connections: {NAME: {}}", "", findings);
  return {findings.Known().begin(), findings.Known().end()};
}

}  // namespace outboxd
