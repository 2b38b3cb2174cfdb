#include "config/config.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "config/section.h"
#include "config/small_file.h"
#include "config/system_user.h"
#include "config/values.h"
#include "core/json.h"
#include "core/limits.h"

namespace outboxd {
namespace {

using config_values::CredentialKind;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t kConfigBytes = 1 << 20;
constexpr std::size_t kSocketPathBytes = 107;  // sockaddr_un's, without its NUL
constexpr std::size_t kGroupNameBytes = 32;
// What recording outcomes can take on the disk: a full WAL before its checkpoint, as much again until the
// next checkpoint, and what producers hand over between two looks at the free space. With less, the outbox
// itself can fill the disk to the last byte and stay so.
constexpr std::uint64_t kHeadroomBytes = 64ULL << 20;

constexpr std::uint64_t kKilobyte = 1000;
constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr std::uint64_t kGibibyte = 1 << 30;
constexpr std::uint64_t kTerabyte = 1'000'000'000'000;

// Far beyond any honest config: bounds what aliases of aliases can blow up to.
constexpr std::size_t kNodes = 10'000;
constexpr int kDepth = 16;

int LineOf(const YAML::Mark& mark) {
  return std::max(0, mark.line) + 1;
}

// Where the second document of a text begins. The library's own loading of all documents never ends on some
// malformed texts.
class SecondDocument : public YAML::EventHandler {
 public:
  static std::optional<int> LineIn(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    SecondDocument second;
    if (!parser.HandleNextDocument(second) || !parser.HandleNextDocument(second)) return std::nullopt;
    return second.line_;
  }

  void OnDocumentStart(const YAML::Mark& mark) override { line_ = LineOf(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}

 private:
  int line_ = 0;
};

// Copies a YAML document out of the library's reach.
class TreeBuilder {
 public:
  explicit TreeBuilder(ConfigFindings& findings) : findings_(findings) {}

  ConfigNode Build(const YAML::Node& from, int depth = 0) {
    ConfigNode node;
    CountNode(from, depth);
    if (from.IsScalar()) {
      node.kind = ConfigNode::Kind::kText;
      node.text = from.Scalar();
    } else if (from.IsSequence()) {
      node.kind = ConfigNode::Kind::kList;
      for (const YAML::Node& item : from) AddItem(item, depth, node);
    } else if (from.IsMap()) {
      node.kind = ConfigNode::Kind::kMapping;
      for (const auto& pair : from) AddEntry(pair.first, pair.second, depth, node);
    }
    return node;
  }

 private:
  void CountNode(const YAML::Node& node, int depth) {
    if (depth > kDepth || ++nodes_ > kNodes)
      throw YAML::Exception(node.Mark(), "nested too deeply or too large");
  }

  void AddEntry(const YAML::Node& key, const YAML::Node& value, int depth, ConfigNode& mapping) {
    const int line = LineOf(key.Mark());
    if (!key.IsScalar()) return findings_.Add(line, "", "a key must be a plain word");
    mapping.entries.push_back({key.Scalar(), line, Build(value, depth + 1)});
  }

  void AddItem(const YAML::Node& item, int depth, ConfigNode& list) {
    list.entries.push_back({"", LineOf(item.Mark()), Build(item, depth + 1)});
  }

  ConfigFindings& findings_;
  std::size_t nodes_ = 0;
};

void ReadOutbox(ConfigSection section, OutboxConfig& outbox) {
  section.Path("path", outbox.path);
  section.Count("max_jobs", outbox.max_jobs, 1, 1'000'000'000);
  section.Size("max_bytes", outbox.max_bytes, 100 * kKilobyte, 100 * kTerabyte);
  section.Size("min_free_bytes", outbox.min_free_bytes, kHeadroomBytes, 100 * kTerabyte);
  section.Finish();
}

void ReadSocketMembers(ConfigSection& section, std::string_view path_key, SocketConfig& socket) {
  section.Path(path_key, socket.path, kSocketPathBytes);
  if (std::optional<std::uint32_t> mode = section.Converted("mode", config_values::ReadMode))
    socket.mode = *mode;
  const auto to_group = [](const std::string& text) -> Result<std::string> {
    const bool is_word = text.find_first_of(" \t\n:/") == std::string::npos;
    if (!text.empty() && text.size() <= kGroupNameBytes && is_word) return text;
    return Fail(ErrorKind::kInvalid, "must be the name or number of a group");
  };
  if (std::optional<std::string> group = section.Converted("group", to_group)) socket.group = *group;
  section.List("users", socket.users, UserId);
}

void ReadSocket(ConfigSection section, SocketConfig& socket) {
  ReadSocketMembers(section, "path", socket);
  section.Finish();
}

void ReadLoopback(ConfigSection& section, std::string& tcp) {
  const auto checked = [](const std::string& text) {
    return config_values::CheckLoopback(text).map([&] { return text; });
  };
  if (std::optional<std::string> address = section.Converted("tcp", checked)) tcp = *address;
}

// A Unix socket or a loopback address, and what speaks on it.
TrackListenerConfig ReadTrackListener(ConfigSection& section) {
  TrackListenerConfig listener;
  ReadLoopback(section, listener.tcp);
  ReadSocketMembers(section, "unix", listener.socket);
  if (section.Has("tcp") == section.Has("unix")) section.Problem("", "give either tcp or unix");
  if (section.Has("tcp") && (section.Has("mode") || section.Has("group") || section.Has("users"))) {
    section.Problem("tcp", "mode, group and users belong to Unix sockets");
  }
  section.Flag("tls", listener.tls);
  section.Path("certificate", listener.certificate);
  section.Path("key", listener.key);
  if (listener.certificate.empty() != listener.key.empty())
    section.Problem("", "certificate and key go together");
  if (!listener.certificate.empty()) {
    if (section.Has("tls") && !listener.tls) section.Problem("tls", "must not be false beside a certificate");
    listener.tls = true;
  }
  section.Finish();
  return listener;
}

void ReadListen(ConfigSection section, Config& config) {
  ReadSocket(section.Child("producer"), config.producer);
  ReadSocket(section.Child("admin"), config.admin);
  if (config.producer.path == config.admin.path)
    section.Problem("admin", "must have another path than the producer socket");
  for (ConfigSection& element : section.Elements("track")) config.track.push_back(ReadTrackListener(element));
  section.Finish();
}

void ReadRetry(ConfigSection section, RetryPolicy& retry) {
  section.Duration("base", retry.base, Milliseconds(1), hours(1));
  section.Duration("cap", retry.cap, Milliseconds(1), hours(24 * 7));
  section.Count("max_attempts", retry.max_attempts, 1, 1'000'000);
  section.WholeSeconds("max_age", retry.max_age, seconds(1), seconds(limits::kMaxAgeSeconds));
  section.Duration("retry_after_cap", retry.retry_after_cap, Milliseconds(0), hours(24 * 7));
  if (retry.cap < retry.base) {
    section.Problem(section.Has("cap") ? "cap" : "base",
                    "the cap (" + config_values::ShowDuration(retry.cap) +
                        ") must not be less than the base (" + config_values::ShowDuration(retry.base) + ")");
  }
  section.Finish();
}

void ReadBatch(ConfigSection section, BatchConfig& batch) {
  section.Flag("enabled", batch.enabled);
  section.Count("max_items", batch.max_items, 1, 10'000);
  section.Size("max_bytes", batch.max_bytes, kKilobyte, limits::kBatchBytes);
  section.Duration("linger", batch.linger, Milliseconds(0), seconds(10));
  section.Flag("same_lane", batch.same_lane);
  section.Finish();
}

void ReadCredentialSource(ConfigSection& section, const std::string& key, CredentialKind kind,
                          CredentialSource& source) {
  const std::string file_key = key + "_file";
  if (const std::optional<std::string> value = section.Text(key)) {
    source.value = *value;
    if (Result<void> checked = config_values::CheckCredential(*value, kind); !checked)
      section.Problem(key, checked.error().message);
  }
  // Hidden when wrong: it may be the secret itself, given under the wrong key.
  section.Path(file_key, source.file, ConfigSection::kPathBytes, ConfigSection::Show::kHidden);
  if (section.Has(key) && section.Has(file_key))
    section.Problem(file_key, "must not be given together with " + key);
  if (!section.Has(key) && !section.Has(file_key)) section.Problem(key, "is missing; give it or " + file_key);
}

ConnectionConfig ReadConnection(ConfigSection section, const std::string& name, const RetryPolicy& retry) {
  ConnectionConfig connection;
  connection.name = name;
  section.Choice("region", connection.region);
  if (const std::optional<std::string> text = section.Text("base_url")) {
    // Not shown when wrong: people put passwords into URLs.
    Result<std::string> url = config_values::ReadBaseUrl(*text);
    if (url) connection.base_url = *url;
    if (!url) section.Problem("base_url", url.error().message);
  }
  section.Choice("order", connection.order);
  ReadCredentialSource(section, "site_id", CredentialKind::kSiteId, connection.site_id);
  ReadCredentialSource(section, "api_key", CredentialKind::kApiKey, connection.api_key);
  section.Number("rate_limit", connection.rate_limit, 0, 1'000'000);
  section.Count("max_in_flight", connection.max_in_flight, 1, 10'000);
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

void ReadConnections(ConfigSection section, Config& config) {
  auto children = section.Children("NAME");
  if (children.empty()) section.Problem("", "at least one connection is needed");
  for (auto& [name, child] : children) {
    if (Result<void> checked = config_values::CheckConnectionName(name); !checked)
      child.Problem("", checked.error().message);
    config.connections.emplace(name, ReadConnection(std::move(child), name, config.retry));
  }
}

void ReadLimits(ConfigSection section, LimitsConfig& limits) {
  section.Size("line_bytes", limits.line_bytes, 256, 16 * kMebibyte);
  section.Count("clients", limits.clients, 1, 65536);
  section.Size("unread_reply_bytes", limits.unread_reply_bytes, kKilobyte, kGibibyte);
  section.Duration("unread_reply_timeout", limits.unread_reply_timeout, Milliseconds(10), hours(1));
  section.Size("intake_bytes", limits.intake_bytes, kKilobyte, 64 * kGibibyte);
  section.Size("producer_bytes", limits.producer_bytes, kKilobyte, 64 * kGibibyte);
  section.Size("window_bytes", limits.window_bytes, kKilobyte, 64 * kGibibyte);
  section.Count("window_jobs", limits.window_jobs, 1, 10'000'000);
  section.Count("lane_jobs", limits.lane_jobs, 1, 1'000'000);
  section.Count("deferred_jobs", limits.deferred_jobs, 1, 10'000'000);
  if (limits.intake_bytes < limits.line_bytes) {
    section.Problem(section.Has("intake_bytes") ? "intake_bytes" : "line_bytes",
                    "intake_bytes must not be less than line_bytes");
  }
  if (limits.producer_bytes < limits.line_bytes) {
    section.Problem(section.Has("producer_bytes") ? "producer_bytes" : "line_bytes",
                    "producer_bytes must not be less than line_bytes");
  }
  section.Finish();
}

void ReadHistory(ConfigSection section, HistoryConfig& history) {
  section.WholeSeconds("keep", history.keep, seconds(0), seconds(limits::kMaxAgeSeconds));
  section.Count("max_rows", history.max_rows, 0, 1'000'000'000);
  section.Finish();
}

void ReadMetrics(ConfigSection section, MetricsConfig& metrics) {
  ReadLoopback(section, metrics.tcp);
  section.Finish();
}

void ReadLog(ConfigSection section, LogLevel& level) {
  section.Choice("level", level);
  section.Finish();
}

Config ReadRoot(ConfigSection root, const std::filesystem::path& file) {
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
  root.Count("workers", config.workers, 1, 64);
  root.Duration("drain_timeout", config.drain_timeout, Milliseconds(0), hours(1));
  root.Finish();
  return config;
}

Config ReadListenOnly(ConfigSection root, const std::filesystem::path& file) {
  Config config;
  config.file = file;
  ReadListen(root.Child("listen"), config);
  return config;
}

using RootReader = Config (*)(ConfigSection, const std::filesystem::path&);

Config ReadDocuments(const std::string& text, const std::filesystem::path& file, ConfigFindings& findings,
                     RootReader read) {
  try {
    if (const std::optional<int> line = SecondDocument::LineIn(text))
      findings.Add(*line, "", "a second document begins here; a config is one");
    const ConfigNode root = TreeBuilder(findings).Build(YAML::Load(text));
    return read(ConfigSection::Root(findings, root), file);
  } catch (const YAML::Exception& error) {
    findings.Add(LineOf(error.mark), "", "not valid YAML: " + EscapeForTerminal(error.msg));
    return {};
  }
}

Result<Config> Parse(const std::string& text, const std::filesystem::path& file, RootReader read) {
  ConfigFindings findings(file);
  Config config = ReadDocuments(text, file, findings, read);
  if (!findings.empty()) return findings.ToFailure();
  return config;
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
  return Parse(text, file, ReadRoot);
}

Result<Sockets> LoadSockets(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(file, kConfigBytes));
  return Parse(text, file, ReadListenOnly).map([](const Config& config) {
    return Sockets{config.producer, config.admin};
  });
}

std::vector<std::string> KnownConfigKeys() {
  ConfigFindings findings("");
  (void)ReadDocuments("{connections: {NAME: {}}, listen: {track: [{}]}}", "", findings, ReadRoot);
  return {findings.Known().begin(), findings.Known().end()};
}

}  // namespace outboxd
