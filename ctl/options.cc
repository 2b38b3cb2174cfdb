#include "ctl/options.h"

#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "config/config.h"
#include "config/system_user.h"
#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "ctl/format.h"

namespace outboxd {
namespace {

Result<std::filesystem::path> FindSocket(const Globals& globals, const std::optional<std::string>& given,
                                         SocketConfig Sockets::* socket) {
  if (given) return std::filesystem::path(*given);
  const std::filesystem::path file = ConfigFile(globals);
  const Result<Sockets> sockets = LoadSockets(file);
  if (sockets) return ((*sockets).*socket).path;
  if (globals.config) return Failure(sockets.error());
  const Config defaults;
  return (Sockets{defaults.producer, defaults.admin}.*socket).path;
}

Result<std::string> WholeSeconds(const std::string& text) {
  ASSIGN_OR_RETURN(const Milliseconds duration, ReadDuration(text));
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

}  // namespace

void AddGlobals(CLI::App& app, Globals& globals) {
  app.add_option("--socket", globals.socket, "The daemon's admin socket (default: from the config)")
      ->type_name("PATH");
  app.add_option("--producer", globals.producer, "The daemon's producer socket, for send and import")
      ->type_name("PATH");
  app.add_option("--config", globals.config,
                 "The config that names the sockets (default: " + std::string(kDefaultConfigPath) + ")")
      ->type_name("FILE");
  app.add_flag("--json", globals.json, "One JSON object, or one a line for lists");
  app.add_flag("--utc", globals.utc, "Times as RFC 3339 in UTC instead of local ones");
}

Result<std::filesystem::path> AdminSocket(const Globals& globals) {
  return FindSocket(globals, globals.socket, &Sockets::admin);
}
Result<std::filesystem::path> ProducerSocket(const Globals& globals) {
  return FindSocket(globals, globals.producer, &Sockets::producer);
}

void AssumeCredentialsDirectory() {
  constexpr int kKeep = 0;
  ::setenv("CREDENTIALS_DIRECTORY", kAssumedCredentialsDirectory, kKeep);
}

bool Filter::IsEmpty() const {
  return !connection && !type && !customer && !state && !death && !cause && !job && !status && !uid &&
         !older_than && !newer_than;
}

Result<Query> Filter::ToQuery() const {
  Query query;
  const auto add = [&](const char* name, const std::optional<std::string>& value) {
    if (value) query.emplace_back(name, *value);
  };
  add("connection", connection);
  add("type", type);
  add("customer", customer);
  add("state", state);
  add("death", death);
  add("cause", cause);
  add("job", job);
  if (status) query.emplace_back("status", std::to_string(*status));
  if (uid) {
    const Result<std::uint32_t> number = UserId(*uid);
    if (!number) return Fail(ErrorKind::kInvalid, "--uid " + *uid + ": " + number.error().message);
    query.emplace_back("uid", std::to_string(*number));
  }
  for (const auto& [name, value] :
       {std::pair("older_than_s", &older_than), std::pair("newer_than_s", &newer_than)}) {
    if (!*value) continue;
    ASSIGN_OR_RETURN(const std::string seconds, WholeSeconds(**value));
    query.emplace_back(name, seconds);
  }
  return query;
}

Result<std::string> Filter::ToJson() const {
  ASSIGN_OR_RETURN(const Query query, ToQuery());
  JsonWriter writer;
  writer.Object();
  for (const auto& [name, value] : query) {
    const bool number = name == "status" || name == "uid" || name == "older_than_s" || name == "newer_than_s";
    writer.Key(name);
    number ? writer.Raw(value) : writer.String(value);
  }
  return writer.EndObject().Take();
}

namespace {

void AddCommonFilter(CLI::App& verb, Filter& filter, const std::string& since) {
  verb.add_option("--connection", filter.connection, "Only this connection")->type_name("CONNECTION");
  verb.add_option("--type", filter.type, "Only this type of job")->type_name("TYPE");
  verb.add_option("--customer", filter.customer, "Only this customer")->type_name("ID");
  verb.add_option("--uid", filter.uid, "Only from producers of this user, by name or number")
      ->type_name("USER");
  verb.add_option("--older-than", filter.older_than, "Only what " + since + " longer ago than this")
      ->type_name("DURATION");
  verb.add_option("--newer-than", filter.newer_than, "Only what " + since + " more recently than this")
      ->type_name("DURATION");
}

}  // namespace

constexpr std::uint64_t kRowLimitMax = 1'000'000'000;

void AddRowLimit(CLI::App& verb, std::uint64_t& limit, bool& all) {
  verb.add_option("--limit", limit, "At most this many rows")
      ->check(CLI::Range(std::uint64_t{1}, kRowLimitMax))
      ->capture_default_str();
  verb.add_flag("--all", all, "Every row");
}

void AddJobFilter(CLI::App& verb, Filter& filter) {
  verb.add_option("--state", filter.state, "Only jobs in this state")
      ->check(CLI::IsMember({"ready", "in_flight", "deferred", "blocked"}));
  AddCommonFilter(verb, filter, "was accepted");
}

void AddDeadFilter(CLI::App& verb, Filter& filter) {
  verb.add_option("--death", filter.death, "Only this kind of death")
      ->check(CLI::IsMember({"rejected", "exhausted", "expired", "cancelled"}));
  verb.add_option("--status", filter.status, "Only this HTTP status of the last answer")->type_name("CODE");
  verb.add_option("--cause", filter.cause, "Only this cause, as shown by dead groups")->type_name("TEXT");
  AddCommonFilter(verb, filter, "died");
}

std::string ConfigFile(const Globals& globals) {
  return globals.config.value_or(std::string(kDefaultConfigPath));
}

}  // namespace outboxd
