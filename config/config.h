// config/config.h — the config file, read strictly (etc/outboxd.yaml documents every key, config/keys.cc has
// them).
//
// Unknown keys, wrong types and values out of range are errors that name file, line, key and what is allowed.
// outboxctl reads the same file with the same code.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/log_level.h"
#include "core/batch_switch.h"
#include "core/job.h"
#include "core/policy.h"
#include "core/result.h"
#include "core/time.h"

namespace outboxd {

inline constexpr std::string_view kDefaultConfigPath = "/etc/outboxd/outboxd.yaml";

struct SocketConfig {
  std::filesystem::path path;
  std::uint32_t mode = 0660;
  std::optional<std::string> group;  // nullopt: leave the group alone
  std::vector<std::uint32_t> users;  // empty: whoever the mode lets in

  bool operator==(const SocketConfig&) const = default;
};

// Where the Track-compatible endpoint listens: on a Unix socket, or on a loopback address.
struct TrackListenerConfig {
  std::optional<std::string> tcp;  // "127.0.0.1:8480"; nullopt: `socket`
  SocketConfig socket;
  bool tls = false;
  std::filesystem::path certificate, key;  // PEM; empty with `tls`: what `outboxctl tls-init` made
  // Names in the Host of requests over TCP besides addresses and localhost, where credentials are missing.
  std::vector<std::string> allowed_hosts;
  bool open_paths = false;  // paths that need no credentials are taken without any

  bool operator==(const TrackListenerConfig&) const = default;
};

struct OutboxConfig {
  std::filesystem::path path = "/var/lib/outboxd/outbox.db";
  std::uint64_t max_jobs = 10'000'000;
  std::uint64_t max_bytes = 20ULL << 30;
  std::uint64_t min_free_bytes = 64ULL << 20;  // kept free on the disk so that outcomes can still be written
  bool allow_network_fs = false;               // whether a new one may be made on a network file system
};

struct BatchConfig {
  BatchMode mode = BatchMode::kAuto;
  std::optional<bool> enabled;  // as 0.1.0 wrote `mode` (config/warnings.h tells of it); `mode` follows it
  std::uint32_t max_items = 1000;
  std::uint64_t max_bytes = 500'000;
  Milliseconds linger{5};
  bool same_lane = false;
};

// A credential as written: the text itself or a file that holds it (re-read on reload and before each
// credential probe).
struct CredentialSource {
  std::string value;
  std::filesystem::path file;
};

struct ConnectionConfig {
  std::string name;
  Region region = Region::kUs;
  std::optional<std::string> base_url;  // instead of the region's host. Never ends in "/".
  LaneOrder order = LaneOrder::kPerCustomer;
  CredentialSource site_id, api_key;
  double rate_limit = 1000;  // requests per second; 0 = none
  std::uint32_t max_in_flight = 256;
  Milliseconds connect_timeout = std::chrono::seconds(10);
  Milliseconds timeout = std::chrono::seconds(30);
  Milliseconds probe_interval = std::chrono::seconds(30);  // of the credential and region probe while paused
  // Of a network connection to the API; then it is ended, for a host's address may have moved.
  Milliseconds connection_lifetime = std::chrono::minutes(5);
  bool strict_answers = true;     // an answer that is not the Track API's own is not believed
  std::filesystem::path ca_file;  // empty: the system's store
  RetryPolicy retry;              // the global `retry`, overridden by the connection's own
  BatchConfig batch;

  // "https://track.customer.io" or base_url. `region`: the job's own override, which counts only without
  // base_url.
  std::string BaseUrl(std::optional<Region> override_region) const;
};

// What one user may have; 0: no bound of its own, but the last tenth of each limit is for those who have
// little.
struct PerUserLimits {
  std::uint32_t connections = 0;
  std::uint64_t jobs = 0;   // waiting, and dead letters apart from them
  std::uint64_t bytes = 0;  // of both
};

struct LimitsConfig {
  std::uint64_t line_bytes = 512UL * 1024;
  std::uint32_t clients = 1024;                // connections of producers, and of each Track listener
  std::uint64_t unread_reply_bytes = 1 << 20;  // per producer connection; then it is no longer read from
  Milliseconds unread_reply_timeout = std::chrono::seconds(30);  // then it is dropped
  std::uint64_t intake_bytes = 1ULL << 20;  // of memory for jobs waiting for the commit, over all producers
  // Of unfinished lines, lines that wait for their turn and unread replies, over all producers.
  std::uint64_t producer_bytes = 64ULL << 20;
  // Of requests under way, per Track listener: fifty batches as large as the API takes them, and some more.
  std::uint64_t endpoint_bytes = 32ULL << 20;
  std::uint64_t window_bytes = 8ULL << 20;  // job bytes in memory per connection
  std::uint32_t window_jobs = 4096;         // jobs in memory per connection
  std::uint32_t lane_jobs = 64;             // jobs of one lane in memory
  // Deferred jobs per connection in memory; the others wait for their next attempt on disk alone.
  std::uint32_t deferred_jobs = 20000;
  PerUserLimits per_uid;
};

struct HistoryConfig {
  std::chrono::seconds keep = std::chrono::hours(24 * 7);
  std::uint64_t max_rows = 1'000'000;
};

struct MetricsConfig {
  std::optional<std::string> tcp;          // "127.0.0.1:9480"; nullopt: only on the admin socket
  bool allow_remote = false;               // whether `tcp` may be another address than the loopback's
  std::vector<std::string> allowed_hosts;  // in the Host of requests, besides addresses and localhost
};

struct Config {
  std::filesystem::path file;
  OutboxConfig outbox;
  SocketConfig producer{"/run/outboxd/outboxd.sock", 0660, {}, {}};
  SocketConfig admin{"/run/outboxd/admin.sock", 0660, {}, {}};
  std::vector<TrackListenerConfig> track;
  std::map<std::string, ConnectionConfig, std::less<>> connections;
  RetryPolicy retry;
  LimitsConfig limits;
  HistoryConfig history;
  MetricsConfig metrics;
  std::uint32_t workers = 2;
  Milliseconds drain_timeout = std::chrono::seconds(20);  // how long a stop waits for what is in flight
  LogLevel log_level = LogLevel::kInfo;

  std::set<std::string, std::less<>> ConnectionNames() const;
};

// Reads and checks `file`. `${NAME}` in a value is replaced by the environment variable; unset is an error. A
// wrong config is kInvalid: up to ten problems, one a line as "FILE:LINE: KEY: what is allowed". Secrets are
// never shown.
Result<Config> LoadConfig(const std::filesystem::path& file);
// The same for the text of a config; `file` is only named.
Result<Config> ParseConfig(const std::string& text, const std::filesystem::path& file);

struct Sockets {
  SocketConfig producer, admin;
};

// Only where the sockets are, whatever else the file holds: a client has neither the daemon's environment nor
// its credentials.
Result<Sockets> LoadSockets(const std::filesystem::path& file);

}  // namespace outboxd
