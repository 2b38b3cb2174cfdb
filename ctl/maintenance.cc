// outboxctl check, backup, forget, reload, metrics.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "config/config.h"
#include "config/folder.h"
#include "config/loopback_certificate.h"
#include "config/named_files.h"
#include "config/warnings.h"
#include "core/json.h"
#include "core/result.h"
#include "core/text.h"
#include "ctl/admin_client.h"
#include "ctl/commands.h"
#include "ctl/console.h"
#include "ctl/exit_code.h"
#include "ctl/format.h"
#include "ctl/listing.h"
#include "ctl/options.h"

namespace outboxd {
namespace {

struct Findings {
  std::vector<std::string> problems;
  std::vector<std::string> unchecked;  // what cannot be told from here, and why
  std::vector<std::string> warnings;   // what is allowed and not wise
};

// What the service manager hands over exists only while the daemon runs, for the daemon and root.
// Certificates made by tls-init are the daemon's, in its own folder.
bool IsForTheDaemonAlone(const std::filesystem::path& file, const Config& config) {
  const std::filesystem::path place = file.parent_path();
  if (place == kAssumedCredentialsDirectory) return ::access(place.c_str(), X_OK) != 0;
  return place == LoopbackDirectory(config.outbox.path) && ::access(place.c_str(), X_OK) != 0 &&
         errno == EACCES;
}

Findings Examine(const Result<Config>& config) {
  Findings findings;
  if (!config) {
    findings.problems.push_back(config.error().message);
    return findings;
  }
  for (const auto& [error, files] : CheckFiles(*config)) {
    const auto is_hidden = [&](const std::filesystem::path& file) {
      return IsForTheDaemonAlone(file, *config);
    };
    const bool cannot_tell =
        error.kind == ErrorKind::kIo && std::any_of(files.begin(), files.end(), is_hidden);
    (cannot_tell ? findings.unchecked : findings.problems).push_back(error.message);
  }
  findings.warnings = ConfigWarnings(*config);
  return findings;
}

void PrintCheck(const Context& context, const std::string& file, const Result<Config>& config,
                const Findings& findings) {
  const auto& [problems, unchecked, warnings] = findings;
  const Console& console = context.console;
  if (context.globals.json) {
    JsonWriter writer;
    writer.Object().Key("ok").Bool(problems.empty()).Key("file").String(file).Key("connections").Array();
    if (config) {
      for (const auto& [name, connection] : config->connections) writer.String(name);
    }
    writer.EndArray().Key("errors").Array();
    for (const std::string& problem : problems) writer.String(problem);
    writer.EndArray().Key("unchecked").Array();
    for (const std::string& reason : unchecked) writer.String(reason);
    writer.EndArray().Key("warnings").Array();
    for (const std::string& warning : warnings) writer.String(warning);
    PrintJson(console, writer.EndArray().EndObject().Text());
  }
  for (const std::string& problem : problems) Report(console, Error{ErrorKind::kInvalid, problem, {}});
  if (!problems.empty() || context.globals.json) return;
  console.out << EscapeForTerminal(file) << ": " << Paint(console, Colour::kGreen, "ok") << ", "
              << Counted(config->connections.size(), "connection") << '\n';
  for (const auto& [name, connection] : config->connections) {
    console.out << "  " << EscapeForTerminal(name) << " → "
                << EscapeForTerminal(connection.BaseUrl(std::nullopt)) << '\n';
  }
  for (const std::string& reason : unchecked) {
    console.out << "not checked, only the running daemon can read it: " << EscapeForTerminal(reason) << '\n';
  }
  for (const std::string& warning : warnings)
    console.out << "warning: " << EscapeForTerminal(warning) << '\n';
}

int Check(const Context& context, const std::optional<std::string>& given) {
  const std::string file = given ? *given : ConfigFile(context.globals);
  AssumeCredentialsDirectory();
  const Result<Config> config = LoadConfig(file);
  const Findings findings = Examine(config);
  PrintCheck(context, file, config, findings);
  return findings.problems.empty() ? kExitDone : kExitRefused;
}

// Under systemd the daemon has a /tmp and /var/tmp of its own, which are gone after its next stop: no place
// for a backup.
bool IsOutOfSight(const std::filesystem::path& path) {
  return ::access(path.c_str(), F_OK) != 0 && errno == ENOENT;
}

// As the daemon, which has another working directory and follows fewer links, is to be told it. Where the
// caller may not look, or nothing is, the path stays as it is and the daemon says what is wrong.
Result<std::filesystem::path> BackupPath(const std::string& file) {
  std::error_code failed;
  const std::filesystem::path path = std::filesystem::absolute(file, failed);
  if (failed) return Fail(ErrorKind::kIo, "no working directory: " + failed.message());
  const Result<Folder> folder = Folder::Of(path);
  if (!folder && folder.error().kind == ErrorKind::kConflict) return Failure(folder.error());
  const std::filesystem::path real =
      folder ? std::filesystem::read_symlink(folder->Held(), failed) : std::filesystem::path();
  return real.empty() ? path.lexically_normal() : real / path.filename();
}

int Backup(const Context& context, const std::string& file) {
  const Result<std::filesystem::path> told = BackupPath(file);
  if (!told) return Report(context.console, told.error());
  const std::filesystem::path& path = *told;
  JsonWriter body;
  body.Object().Key("path").String(path.string()).EndObject();
  const int code = AskAndPrint(
      context,
      [&](AdminClient& client) { return client.Post("/v1/backup", body.Text(), Patience::kAsLongAsItTakes); },
      [&](const JsonValue& answer) {
        const auto bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(answer["bytes"].Int(), 0));
        context.console.out << FormatBytes(bytes) << " written to "
                            << EscapeForTerminal(answer["path"].String()) << '\n';
      });
  if (code != kExitDone || !IsOutOfSight(path)) return code;
  return Report(context.console, Error{ErrorKind::kIo,
                                       "the daemon says so, but " + path.string() +
                                           " is not there: it most likely has a /tmp of its own. Name a path "
                                           "that both see, such as one in the "
                                           "outbox's folder",
                                       {}});
}

struct ForgetOptions {
  std::string customer;
  std::optional<std::string> connection;
  bool yes = false;
};

int Forget(const Context& context, const ForgetOptions& options) {
  if (!options.yes) {
    return ReportUsage(
        context.console,
        "forget removes this customer's waiting jobs, dead letters and history for good: --yes confirms");
  }
  JsonWriter body;
  body.Object().Key("customer").String(options.customer);
  if (options.connection) body.Key("connection").String(*options.connection);
  body.EndObject();
  return AskAndPrint(
      context,
      [&](AdminClient& client) { return client.Post("/v1/forget", body.Text(), Patience::kAsLongAsItTakes); },
      [&](const JsonValue& answer) {
        const auto counted = [&](const char* member, const char* noun) {
          return Counted(static_cast<std::uint64_t>(answer[member].Int()), noun);
        };
        context.console.out << "Forgotten: " << counted("jobs", "waiting job") << ", "
                            << counted("dead", "dead letter") << ", " << counted("attempts", "attempt")
                            << '\n';
      });
}

int Reload(const Context& context) {
  const auto ask = [](AdminClient& client) {
    Result<JsonValue> answer = client.Post("/v1/reload");
    if (!answer) answer.error().field.clear();  // the message names the key, with file and line
    return answer;
  };
  return AskAndPrint(context, ask, [&](const JsonValue& answer) {
    const std::string needs_restart = answer["needs_restart"].String();
    context.console.out << "The config was read again and is in force"
                        << (needs_restart.empty() ? "" : ", except for what takes effect at the next start: ")
                        << EscapeForTerminal(needs_restart) << ".\n";
  });
}

int Metrics(const Context& context) {
  return WithAdmin(context, [&](AdminClient& client) {
    const Result<std::string> text = client.GetText("/metrics");
    if (!text) return Report(context.console, text.error());
    context.console.out << *text;
    return kExitDone;
  });
}

Action AddCheck(CLI::App& check, const Context& context) {
  const auto file = std::make_shared<std::optional<std::string>>();
  check.add_option("file", *file, "The config (default: --config)")->type_name("FILE");
  return Running(context, file, Check);
}

Action AddBackup(CLI::App& backup, const Context& context) {
  const auto file = std::make_shared<std::string>();
  backup.add_option("file", *file, "A file that does not exist; the daemon's user must be able to write it")
      ->required()
      ->type_name("FILE");
  return Running(context, file, Backup);
}

Action AddForget(CLI::App& forget, const Context& context) {
  const auto options = std::make_shared<ForgetOptions>();
  forget.add_option("customer", options->customer, "Customer")->required()->type_name("CUSTOMER");
  forget.add_option("--connection", options->connection, "Only on this connection")->type_name("CONNECTION");
  forget.add_flag("--yes", options->yes, "Confirm: what is removed is gone");
  return Running(context, options, Forget);
}

constexpr Verb kMaintenanceVerbs[] = {
    {"check", "Check a config file and the files it names; needs no daemon", AddCheck},
    {"backup", "Copy the outbox into a new file while the daemon runs", AddBackup},
    {"forget", "Remove everything the outbox holds of a customer", AddForget},
    {"reload", "Have the daemon read its config again",
     [](CLI::App&, const Context& context) -> Action { return [&context] { return Reload(context); }; }},
    {"metrics", "The daemon's metrics as Prometheus text",
     [](CLI::App&, const Context& context) -> Action { return [&context] { return Metrics(context); }; }},
};

}  // namespace

std::span<const Verb> MaintenanceVerbs() {
  return kMaintenanceVerbs;
}

}  // namespace outboxd
