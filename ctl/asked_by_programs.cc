#include "ctl/asked_by_programs.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/config_schema.h"
#include "config/daemon_options.h"
#include "core/job_schema.h"
#include "core/json.h"
#include "core/result.h"
#include "ctl/admin_client.h"
#include "ctl/completion.h"
#include "ctl/console.h"
#include "ctl/exit_code.h"
#include "ctl/options.h"

namespace outboxd {
namespace {

// Of the running daemon, else of the config; none when neither can be asked.
std::vector<std::string> ConnectionNames(const GivenSockets& given) {
  Globals globals;
  if (!given.socket.empty()) globals.socket = given.socket;
  if (!given.config.empty()) globals.config = given.config;
  std::vector<std::string> names;
  if (const Result<std::filesystem::path> socket = AdminSocket(globals)) {
    if (const Result<JsonValue> status = AdminClient(*socket).Get("/v1/status")) {
      for (const JsonValue& connection : (*status)["connections"].Items())
        names.push_back(connection["name"].String());
      return names;
    }
  }
  AssumeCredentialsDirectory();
  if (const Result<Config> config = LoadConfig(ConfigFile(globals))) {
    for (const auto& [name, connection] : config->connections) names.push_back(name);
  }
  return names;
}

std::string_view NameOfBeside(Beside beside) {
  switch (beside) {
    case Beside::kNothing:
      return "words";
    case Beside::kFiles:
      return "files";
    case Beside::kFolders:
      return "folders";
  }
  return {};
}

int PrintCandidates(const CLI::App& app, std::span<const std::string> words, const Console& console) {
  const Candidates found = Complete(app, words, ConnectionNames);
  console.out << NameOfBeside(found.beside) << '\n';
  for (const Candidate& candidate : found.words)
    console.out << candidate.word << '\t' << candidate.help.substr(0, candidate.help.find('\n')) << '\n';
  return kExitDone;
}

int AnswerCompletion(const CLI::App& app, std::span<const std::string> arguments, const Console& console) {
  if (arguments.empty()) return kExitUsage;
  const std::span<const std::string> words = arguments.subspan(1);
  if (arguments.front() == app.get_name()) return PrintCandidates(app, words, console);
  CLI::App daemon;
  DaemonOptions options;
  AddDaemonOptions(daemon, options);
  return arguments.front() == daemon.get_name() ? PrintCandidates(daemon, words, console) : kExitUsage;
}

// For people: a line for each member of an object.
std::string Indented(std::string_view json) {
  std::string text;
  std::string open;  // the brackets around
  bool in_string = false;
  bool is_escaped = false;
  const auto new_line = [&] { text.append("\n").append(2 * open.size(), ' '); };
  for (const char byte : json) {
    const bool is_quote = byte == '"' && !is_escaped;
    is_escaped = in_string && byte == '\\' && !is_escaped;
    if (!in_string && (byte == '}' || byte == ']')) {
      const bool is_object = open.back() == '{';
      open.pop_back();
      if (is_object) new_line();
    }
    text += byte;
    if (is_quote) in_string = !in_string;
    if (in_string || is_quote) continue;
    if (byte == '{' || byte == '[') open += byte;
    if (byte == '{' || (byte == ',' && open.back() == '{')) new_line();
    if (byte == ':' || (byte == ',' && open.back() == '[')) text += ' ';
  }
  return text;
}

int AnswerSchema(std::span<const std::string> arguments, const Console& console) {
  if (arguments.size() != 1 || (arguments[0] != "job" && arguments[0] != "config")) return kExitUsage;
  console.out << Indented(arguments[0] == "job" ? JobLineSchema() : ConfigSchema()) << '\n';
  return kExitDone;
}

}  // namespace

std::optional<int> AnswerProgram(const CLI::App& app, const std::vector<std::string>& arguments,
                                 const Console& console) {
  if (arguments.empty()) return std::nullopt;
  const std::span<const std::string> rest = std::span(arguments).subspan(1);
  if (arguments[0] == "__complete") return AnswerCompletion(app, rest, console);
  if (arguments[0] == "__schema") return AnswerSchema(rest, console);
  return std::nullopt;
}

}  // namespace outboxd
