#include "config/keys.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/key_row.h"
#include "config/log_level.h"
#include "config/section.h"
#include "config/value_type.h"
#include "config/values.h"
#include "core/batch_switch.h"
#include "core/duration.h"
#include "core/job.h"
#include "core/limits.h"
#include "core/policy.h"
#include "core/time.h"

namespace outboxd {
namespace {

using config_values::CredentialKind;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using value_type::Choice;
using value_type::Count;
using value_type::Duration;
using value_type::File;
using value_type::Flag;
using value_type::Number;
using value_type::Size;
using value_type::WholeSeconds;
using enum Effect;

constexpr std::size_t kSocketPathBytes = 107;  // sockaddr_un's, without its NUL
// What recording outcomes can take on the disk: a full WAL that is not yet checkpointed, as much again until
// the next checkpoint, and what producers submit between two looks at the free space. With less, the outbox
// itself can fill the disk to the last byte and stay so.
constexpr std::uint64_t kHeadroomBytes = 64ULL << 20;

constexpr std::uint64_t kKilobyte = 1000;
constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr std::uint64_t kGibibyte = 1 << 30;
constexpr std::uint64_t kTerabyte = 1'000'000'000'000;
constexpr Milliseconds kNone{0};

SectionKeys<OutboxConfig> OutboxKeys() {
  return {{
      Key("path", &OutboxConfig::path, File(), kRestart, "the queue on disk, one SQLite file"),
      Key("max_jobs", &OutboxConfig::max_jobs, Count<std::uint64_t>(1, 1'000'000'000), kReload,
          "waiting jobs; beyond, producers are told busy"),
      Key("max_bytes", &OutboxConfig::max_bytes, Size(100 * kKilobyte, 100 * kTerabyte), kReload,
          "of the file; beyond, producers are told spool_full"),
      Key("min_free_bytes", &OutboxConfig::min_free_bytes, Size(kHeadroomBytes, 100 * kTerabyte), kReload,
          "kept free on the disk, so that outcomes can still be recorded"),
      Key("allow_network_fs", &OutboxConfig::allow_network_fs, Flag(), kRestart,
          "whether a new outbox may be made on NFS, SMB or Ceph"),
  }};
}

struct SocketHelp {
  std::string path, group, users;
};

KeyRows<SocketConfig> SocketRows(const std::string& path_key, const SocketHelp& help) {
  return {
      Key(path_key, &SocketConfig::path, File(kSocketPathBytes), kRestart, help.path),
      Key("mode", &SocketConfig::mode, value_type::Mode(), kRestart, "octal"),
      Key("group", &SocketConfig::group, value_type::Group(), kRestart, help.group),
      Key("users", &SocketConfig::users, value_type::User(), kRestart, help.users),
  };
}

// A Unix socket or a loopback address, and what speaks on it.
void CheckTrackListener(const ConfigSection& section, TrackListenerConfig& listener) {
  if (section.Has("tcp") == section.Has("unix")) section.Problem("", "give either tcp or unix");
  if (section.Has("tcp") && (section.Has("mode") || section.Has("group") || section.Has("users")))
    section.Problem("tcp", "mode, group and users belong to Unix sockets");
  if (!section.Has("tcp") && section.Has("allowed_hosts")) section.Problem("allowed_hosts", "belongs to tcp");
  if (listener.certificate.empty() != listener.key.empty())
    section.Problem("", "certificate and key go together");
  if (listener.certificate.empty()) return;
  if (section.Has("tls") && !listener.tls) section.Problem("tls", "must not be false beside a certificate");
  listener.tls = true;
}

SectionKeys<TrackListenerConfig> TrackListenerKeys() {
  const SocketHelp help{"or a Unix socket", "as above", "as above"};
  return {KeyRows<TrackListenerConfig>{
              Key("tcp", &TrackListenerConfig::tcp, value_type::Loopback(), kRestart,
                  "a loopback address and port"),
              Key("tls", &TrackListenerConfig::tls, Flag(), kRestart,
                  "HTTPS, with the certificate that `outboxctl tls-init` makes"),
              Key("certificate", &TrackListenerConfig::certificate, File(), kRestart,
                  "PEM, with those that it was signed by; read again on reload"),
              Key("key", &TrackListenerConfig::key, File(), kRestart, "PEM"),
              Key("allowed_hosts", &TrackListenerConfig::allowed_hosts, value_type::HostName(), kRestart,
                  "names that a Host header may have besides addresses and localhost, where credentials are "
                  "missing"),
              Key("open_paths", &TrackListenerConfig::open_paths, Flag(), kRestart,
                  "whether what the API takes without credentials is taken without any"),
          } + Lifted(&TrackListenerConfig::socket, SocketRows("unix", help)),
          CheckTrackListener};
}

void CheckListen(const ConfigSection& section, Config& config) {
  if (config.producer.path == config.admin.path)
    section.Problem("admin", "must have another path than the producer socket");
}

SectionKeys<Config> ListenKeys() {
  const SocketHelp producer{
      "Unix socket", "who may hand over jobs; without it the daemon's own group",
      "of these, only programs of these users (names or numbers; root too must be listed)"};
  const SocketHelp admin{"Unix socket", "who may use outboxctl in full; without it the daemon's own group",
                         "of these, only these users and the daemon's own"};
  return {{
              Section<Config, SocketConfig>("producer", &Config::producer, {SocketRows("path", producer)},
                                            "where producers hand over jobs, one JSON object a line"),
              Section<Config, SocketConfig>("admin", &Config::admin, {SocketRows("path", admin)},
                                            "outboxctl, /metrics, /healthz and /readyz"),
              ListOf("track", &Config::track, TrackListenerKeys(), kRestart,
                     "the Track-compatible endpoint: Customer.io's own libraries; none by default"),
          },
          CheckListen};
}

void CheckRetry(const ConfigSection& section, RetryPolicy& retry) {
  if (retry.cap >= retry.base) return;
  section.Problem(section.Has("cap") ? "cap" : "base", "the cap (" + ShowDuration(retry.cap) +
                                                           ") must not be less than the base (" +
                                                           ShowDuration(retry.base) + ")");
}

SectionKeys<RetryPolicy> RetryKeys() {
  return {{
              Key("base", &RetryPolicy::base, Duration(Milliseconds(1), hours(1)), kReload,
                  "the wait before a second attempt is random up to this, and doubles with each"),
              Key("cap", &RetryPolicy::cap, Duration(Milliseconds(1), hours(24 * 7)), kReload,
                  "but is never longer than this, unless a Retry-After asks for it"),
              Key("max_attempts", &RetryPolicy::max_attempts, Count<std::uint32_t>(1, 1'000'000), kReload,
                  "then a job is a dead letter: exhausted"),
              Key("max_age", &RetryPolicy::max_age, WholeSeconds(seconds(1), seconds(limits::kMaxAgeSeconds)),
                  kReload, "then a job is a dead letter: expired"),
              Key("retry_after_cap", &RetryPolicy::retry_after_cap, Duration(kNone, hours(24 * 7)), kReload,
                  "the longest Retry-After that is obeyed"),
          },
          CheckRetry};
}

// `enabled`, which is read for one release more.
void CheckBatch(const ConfigSection& section, BatchConfig& batch) {
  if (!batch.enabled) return;
  const BatchMode meant = *batch.enabled ? BatchMode::kOn : BatchMode::kOff;
  if (section.Has("mode") && batch.mode != meant)
    section.Problem("enabled", "is the old name of mode and says otherwise; leave it out");
  batch.mode = meant;
}

SectionKeys<BatchConfig> BatchKeys() {
  return {{
              Key("mode", &BatchConfig::mode, Choice<BatchMode>(), kReload,
                  "off, on, or auto: while more jobs wait than single requests carry within a second"),
              Renamed(Key("enabled", &BatchConfig::enabled, Flag(), kReload, "")),
              Key("max_items", &BatchConfig::max_items, Count<std::uint32_t>(1, 10'000), kReload,
                  "jobs in a request"),
              Key("max_bytes", &BatchConfig::max_bytes, Size(kKilobyte, limits::kBatchBytes), kReload,
                  "of a request"),
              Key("linger", &BatchConfig::linger, Duration(kNone, seconds(10)), kReload,
                  "how long a job waits for others to go with, while batches are used"),
              Key("same_lane", &BatchConfig::same_lane, Flag(), kReload,
                  "whether jobs of one customer may share a request"),
          },
          CheckBatch};
}

struct CredentialHelp {
  std::string value, file;
};

KeyRows<CredentialSource> CredentialRows(const std::string& name, CredentialKind kind,
                                         const CredentialHelp& help) {
  const auto read = [kind](const std::string& text) {
    return config_values::CheckCredential(text, kind).map([&] { return text; });
  };
  return {
      Key(name, &CredentialSource::value, value_type::Text(read, Echo::kHidden), kReload, help.value),
      // Hidden when wrong: it may be the secret itself, given under the wrong key.
      Key(name + "_file", &CredentialSource::file, File(value_type::kPathBytes, Echo::kHidden), kReload,
          help.file),
  };
}

void CheckCredentialKeys(const ConfigSection& section, const std::string& key) {
  const std::string file_key = key + "_file";
  if (section.Has(key) && section.Has(file_key))
    section.Problem(file_key, "must not be given together with " + key);
  if (!section.Has(key) && !section.Has(file_key)) section.Problem(key, "is missing; give it or " + file_key);
}

void CheckConnection(const ConfigSection& section, ConnectionConfig&) {
  CheckCredentialKeys(section, "site_id");
  CheckCredentialKeys(section, "api_key");
}

Result<std::string> ReadBaseUrl(const std::string& text) {
  return config_values::ReadBaseUrl(text);
}

KeyRows<ConnectionConfig> DestinationRows() {
  return {
      Key("region", &ConnectionConfig::region, Choice<Region>(), kReload, "us or eu"),
      // Hidden when wrong: people put passwords into URLs.
      Key("base_url", &ConnectionConfig::base_url, value_type::Text(ReadBaseUrl, Echo::kHidden), kReload,
          "instead of the region's host; /api/v1/... and /api/v2/... are appended"),
      Key("order", &ConnectionConfig::order, Choice<LaneOrder>(), kReload,
          "per_customer: a customer's jobs go one after another; none: any order"),
  };
}

KeyRows<ConnectionConfig> RequestRows() {
  return {
      Key("rate_limit", &ConnectionConfig::rate_limit, Number(0, 1'000'000), kReload,
          "requests per second; 0 means no limit"),
      Key("max_in_flight", &ConnectionConfig::max_in_flight, Count<std::uint32_t>(1, 10'000), kReload,
          "requests under way at once"),
      Key("connect_timeout", &ConnectionConfig::connect_timeout, Duration(Milliseconds(1), minutes(5)),
          kReload, "of a request's TCP and TLS handshake"),
      Key("timeout", &ConnectionConfig::timeout, Duration(Milliseconds(1), hours(1)), kReload,
          "of a request as a whole"),
      Key("probe_interval", &ConnectionConfig::probe_interval, Duration(Milliseconds(10), hours(24)), kReload,
          "how often a connection that an answer paused is tried"),
      Key("connection_lifetime", &ConnectionConfig::connection_lifetime, Duration(seconds(1), hours(24)),
          kReload,
          "how long a network connection is used, give or take a fifth; then the host is looked up again"),
      Key("strict_answers", &ConnectionConfig::strict_answers, Flag(), kReload,
          "false believes every status, also of answers that are not the Track API's own"),
      Key("ca_file", &ConnectionConfig::ca_file, File(), kReload,
          "certificates to trust instead of the system's"),
      Section<ConnectionConfig>("retry", &ConnectionConfig::retry, RetryKeys(),
                                "the connection's own, where it differs from `retry` below"),
      Section<ConnectionConfig>("batch", &ConnectionConfig::batch, BatchKeys(),
                                "many jobs in one request (POST /api/v2/batch)"),
  };
}

SectionKeys<ConnectionConfig> ConnectionKeys() {
  const CredentialHelp site_id{"instead of site_id_file", "file with the site id, read again on reload"};
  const CredentialHelp api_key{"instead of api_key_file",
                               "file with the Track API key, read again on reload"};
  return {
      DestinationRows() +
          Lifted(&ConnectionConfig::site_id, CredentialRows("site_id", CredentialKind::kSiteId, site_id)) +
          Lifted(&ConnectionConfig::api_key, CredentialRows("api_key", CredentialKind::kApiKey, api_key)) +
          RequestRows(),
      CheckConnection};
}

void ReadConnections(const ConfigSection& section, Config& config) {
  const SectionKeys<ConnectionConfig> keys = ConnectionKeys();
  const auto children = section.Children();
  if (children.empty() && !section.IsWrong()) section.Problem("", "at least one connection is needed");
  for (const auto& [name, child] : children) {
    if (Result<void> checked = config_values::CheckConnectionName(name); !checked)
      child.Problem("", checked.error().message);
    ConnectionConfig connection;
    connection.name = name;
    connection.retry = config.retry;
    ReadSection(child, keys, connection);
    config.connections.emplace(name, std::move(connection));
  }
}

// Its keys are names. A reload applies all of it.
KeyRow<Config> ConnectionsRow() {
  KeyRow<Config> row{"connections", {}, {}, {}};
  row.read = [](const ConfigSection& section, Config& config) {
    ReadConnections(section.Child("connections").NearSecrets(), config);
  };
  row.describe = [](const Config&, const std::string&, std::vector<ConfigKey>& keys) {
    keys.push_back({"connections",
                    {},
                    {},
                    kReload,
                    "Customer.io workspaces; \"default\" takes the jobs that name none"});
    for (const KeyRow<ConnectionConfig>& key : ConnectionKeys().rows)
      key.describe(ConnectionConfig(), "connections.NAME.", keys);
  };
  row.compare = [](const Config&, const Config&, const std::string&, std::vector<std::string>&) {};
  return row;
}

void CheckLimits(const ConfigSection& section, LimitsConfig& limits) {
  if (limits.intake_bytes < limits.line_bytes) {
    section.Problem(section.Has("intake_bytes") ? "intake_bytes" : "line_bytes",
                    "intake_bytes must not be less than line_bytes");
  }
  if (limits.producer_bytes < limits.line_bytes) {
    section.Problem(section.Has("producer_bytes") ? "producer_bytes" : "line_bytes",
                    "producer_bytes must not be less than line_bytes");
  }
  if (limits.endpoint_bytes < limits.line_bytes) {
    section.Problem(section.Has("endpoint_bytes") ? "endpoint_bytes" : "line_bytes",
                    "endpoint_bytes must not be less than line_bytes");
  }
}

SectionKeys<PerUserLimits> PerUserKeys() {
  return {{
      Key("connections", &PerUserLimits::connections, Count<std::uint32_t>(0, 65536), kReload,
          "to the producer socket, and to each listener of listen.track; 0 means no bound of its own"),
      Key("jobs", &PerUserLimits::jobs, Count<std::uint64_t>(0, 1'000'000'000), kReload,
          "that wait, and as many dead letters; 0 means nine tenths of outbox.max_jobs"),
      Key("bytes", &PerUserLimits::bytes, Size(0, 100 * kTerabyte), kReload,
          "of both; 0 means nine tenths of outbox.max_bytes"),
  }};
}

SectionKeys<LimitsConfig> LimitsKeys() {
  return {
      {
          Key("line_bytes", &LimitsConfig::line_bytes, Size(256, 16 * kMebibyte), kReload,
              "of one line from a producer"),
          Key("clients", &LimitsConfig::clients, Count<std::uint32_t>(1, 65536), kReload,
              "producers connected at once, and clients of each listener of listen.track; users share them"),
          Key("unread_reply_bytes", &LimitsConfig::unread_reply_bytes, Size(kKilobyte, kGibibyte), kReload,
              "replies a producer may leave unread before outboxd stops reading from it"),
          Key("unread_reply_timeout", &LimitsConfig::unread_reply_timeout,
              Duration(Milliseconds(10), hours(1)), kReload, "and how long after that it is dropped"),
          Key("intake_bytes", &LimitsConfig::intake_bytes, Size(kKilobyte, 64 * kGibibyte), kReload,
              "memory for jobs waiting for the disk, over all producers"),
          Key("producer_bytes", &LimitsConfig::producer_bytes, Size(kKilobyte, 64 * kGibibyte), kReload,
              "unfinished lines, lines that wait for their turn and unread replies, over all producers; "
              "beyond, who holds most is dropped"),
          Key("endpoint_bytes", &LimitsConfig::endpoint_bytes, Size(kKilobyte, 64 * kGibibyte), kReload,
              "bodies of requests under way, at each listener of listen.track; beyond, they are answered "
              "503"),
          Key("window_bytes", &LimitsConfig::window_bytes, Size(kKilobyte, 64 * kGibibyte), kReload,
              "job bytes in memory for each connection"),
          Key("window_jobs", &LimitsConfig::window_jobs, Count<std::uint32_t>(1, 10'000'000), kReload,
              "jobs in memory for each connection"),
          Key("lane_jobs", &LimitsConfig::lane_jobs, Count<std::uint32_t>(1, 1'000'000), kReload,
              "jobs of one customer in memory"),
          Key("deferred_jobs", &LimitsConfig::deferred_jobs, Count<std::uint32_t>(1, 10'000'000), kReload,
              "jobs of a connection waiting for their next attempt in memory; beyond, on disk alone"),
          Section<LimitsConfig>("per_uid", &LimitsConfig::per_uid, PerUserKeys(),
                                "what one user may have, all of TCP counting as one"),
      },
      CheckLimits};
}

SectionKeys<HistoryConfig> HistoryKeys() {
  return {{
      Key("keep", &HistoryConfig::keep, WholeSeconds(seconds(0), seconds(limits::kMaxAgeSeconds)), kReload,
          "how long attempts are remembered"),
      Key("max_rows", &HistoryConfig::max_rows, Count<std::uint64_t>(0, 1'000'000'000), kReload,
          "and how many at most"),
  }};
}

void CheckMetrics(const ConfigSection& section, MetricsConfig& metrics) {
  if (!metrics.tcp || metrics.allow_remote) return;
  if (const Result<void> loopback = config_values::CheckLoopback(*metrics.tcp); !loopback)
    section.Problem("tcp", loopback.error().message + "; metrics.allow_remote: true allows another one");
}

SectionKeys<MetricsConfig> MetricsKeys() {
  return {{Key("tcp", &MetricsConfig::tcp, value_type::Address(), kRestart,
               "/metrics, /healthz and /readyz on this loopback address too"),
           Key("allow_remote", &MetricsConfig::allow_remote, Flag(), kRestart,
               "whether tcp may be any address: whoever reaches it may read the metrics"),
           Key("allowed_hosts", &MetricsConfig::allowed_hosts, value_type::HostName(), kRestart,
               "names that a Host header may have besides addresses and localhost")},
          CheckMetrics};
}

SectionKeys<Config> LogKeys() {
  return {{Key("level", &Config::log_level, Choice<LogLevel>(), kReload,
               "debug, info, warn or error; debug shows every job")}};
}

KeyRow<Config> ListenRow() {
  return Section<Config, Config>("listen", std::identity(), ListenKeys(), "");
}

SectionKeys<Config> RootKeys() {
  return {{
      Section<Config>("outbox", &Config::outbox, OutboxKeys(), ""),
      ListenRow(),
      Section<Config>("retry", &Config::retry, RetryKeys(), ""),
      ConnectionsRow(),  // after `retry`, which theirs begin with
      Section<Config>("limits", &Config::limits, LimitsKeys(), ""),
      Section<Config>("history", &Config::history, HistoryKeys(), ""),
      Section<Config>("metrics", &Config::metrics, MetricsKeys(), ""),
      Section<Config, Config>("log", std::identity(), LogKeys(), ""),
      Key("workers", &Config::workers, Count<std::uint32_t>(1, 64), kRestart, "threads that send requests"),
      Key("drain_timeout", &Config::drain_timeout, Duration(kNone, hours(1)), kReload,
          "how long a stop waits for the requests under way"),
  }};
}

}  // namespace

std::vector<ConfigKey> ConfigKeys() {
  std::vector<ConfigKey> keys;
  for (const KeyRow<Config>& row : RootKeys().rows) row.describe(Config(), "", keys);
  return keys;
}

std::string NeedsRestart(const Config& before, const Config& after) {
  std::vector<std::string> changed;
  for (const KeyRow<Config>& row : RootKeys().rows) row.compare(before, after, "", changed);
  std::string text;
  for (const std::string& path : changed) text += (text.empty() ? "" : ", ") + path;
  return text;
}

void ReadKeys(const ConfigSection& root, Config& config) {
  ReadSection(root, RootKeys(), config);
}

void ReadListenKeys(const ConfigSection& root, Config& config) {
  ListenRow().read(root, config);
}

}  // namespace outboxd
