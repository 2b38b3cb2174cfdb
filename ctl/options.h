// ctl/options.h — the options every verb shares, and the filters of list and dead.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "ctl/format.h"

namespace CLI {
class App;
}

namespace outboxd {

struct Globals {
  std::optional<std::string> socket, producer, config;
  bool json = false;
  bool utc = false;
  Zone zone() const { return utc ? Zone::kUtc : Zone::kLocal; }
};

void AddGlobals(CLI::App& app, Globals& globals);

// The sockets: as given, else from the config file, else (no config given and the default one is not
// readable) where the default config puts them. An error when a config that was asked for cannot be read.
Result<std::filesystem::path> AdminSocket(const Globals& globals);
Result<std::filesystem::path> ProducerSocket(const Globals& globals);

// A config may name systemd's credentials directory, which only the daemon's own environment has: sets it to
// the place systemd uses.
inline constexpr const char* kAssumedCredentialsDirectory = "/run/credentials/outboxd.service";
void AssumeCredentialsDirectory();

// --config, or the default.
std::string ConfigFile(const Globals& globals);

using Query = std::vector<std::pair<std::string, std::string>>;

struct Filter {
  std::optional<std::string> connection, type, customer, uid, state, death, cause, job;
  std::optional<int> status;
  std::optional<std::string> older_than, newer_than;

  bool IsEmpty() const;
  // As query parameters of a list and as the `filter` object of a body. kInvalid when a duration cannot be
  // read or a user is unknown.
  Result<Query> ToQuery() const;
  Result<std::string> ToJson() const;
};

// --limit and --all of lists.
void AddRowLimit(CLI::App& verb, std::uint64_t& limit, bool& all);

void AddJobFilter(CLI::App& verb, Filter& filter);
void AddDeadFilter(CLI::App& verb, Filter& filter);

}  // namespace outboxd
