#include "ctl/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/text.h"
#include "ctl/asked_by_programs.h"
#include "ctl/exit_code.h"
#include "ctl/options.h"

namespace outboxd {
namespace {

constexpr const char* kExamples = R"(Examples:
  outboxctl send track --id 42 --name purchase --data '{"price":23.45}'
  outboxctl send --json '{"type":"identify","id":"42","attributes":{"plan":"pro"}}'
  outboxctl import events.ndjson
  outboxctl status --watch 2
  outboxctl list --state deferred --older-than 10min
  outboxctl explain 01JDB3T0C5W7X8Y9Z0ABCDEFGH
  outboxctl dead groups
  outboxctl dead redrive --status 400 --newer-than 1h --dry-run

Exit codes: 0 done, 1 the daemon said no, 2 usage, 69 daemon not reachable, 75 busy: try again.)";

// Foreign bytes in a message become visible; its own line ends stay.
std::string EscapeLines(const std::string& text) {
  std::string out;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    if (start != 0) out += '\n';
    out += EscapeForTerminal(std::string_view(text).substr(start, end - start));
    start = end + 1;
  }
  return out;
}

// What may follow a verb that nothing or a wrong word follows.
std::string Choices(const std::vector<const CLI::App*>& choices, const CLI::Error& error) {
  std::string text;
  const auto code = static_cast<CLI::ExitCodes>(error.get_exit_code());
  if (code != CLI::ExitCodes::ExtrasError && code != CLI::ExitCodes::RequiredError) return text;
  for (const CLI::App* choice : choices) text += (text.empty() ? "; it may be " : ", ") + choice->get_name();
  return text;
}

// Names the verb that was given, so that its help can be found.
std::string UsageMessage(const CLI::App* app, const CLI::Error& error) {
  std::string verb = "outboxctl";
  std::string choices;
  for (std::vector<const CLI::App*> given = app->get_subcommands({}); !given.empty();) {
    const auto parsed =
        std::find_if(given.begin(), given.end(), [](const CLI::App* sub) { return sub->parsed(); });
    if (parsed == given.end()) break;
    verb += " " + (*parsed)->get_name();
    given = (*parsed)->get_subcommands({});
    choices = Choices(given, error);
  }
  return EscapeLines("outboxctl: " + std::string(error.what()) + choices + "\nTry " + verb + " --help") +
         '\n';
}

void AddVerbs(CLI::App& parent, const Context& context, std::span<const Verb> verbs, Action& chosen) {
  for (const Verb& verb : verbs) {
    CLI::App* command = parent.add_subcommand(std::string(verb.name), std::string(verb.help));
    if (verb.add == nullptr) {
      command->require_subcommand(1);
      AddVerbs(*command, context, verb.group, chosen);
    } else {
      command->final_callback([&chosen, action = verb.add(*command, context)] { chosen = action; });
    }
  }
}

int Parse(CLI::App& app, std::vector<std::string> arguments, const Context& context, const Action& chosen) {
  try {
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, context.console.out, context.console.err) == 0 ? kExitDone : kExitUsage;
  }
  if (!chosen) {
    context.console.err << app.help();
    return kExitUsage;
  }
  const int code = chosen();
  context.console.out.flush();
  if (context.console.out) return code;
  return Report(context.console, Error{ErrorKind::kIo, "the output could not be written", {}});
}

}  // namespace

int Report(const Console& console, const Error& error) {
  const std::string where = error.field.empty() ? "" : error.field + ": ";
  console.err << "outboxctl: " << EscapeLines(where + error.message) << '\n';
  return ExitCodeOf(error.kind);
}

int ReportUsage(const Console& console, const std::string& message) {
  console.err << "outboxctl: " << EscapeLines(message) << '\n';
  return kExitUsage;
}

std::vector<Verb> Verbs() {
  std::vector<Verb> verbs;
  for (const auto& table : {SendVerbs(), ImportVerbs(), StatusVerbs(), JobVerbs(), DeadVerbs(),
                            ConnectionVerbs(), MaintenanceVerbs(), RestoreVerbs(), TlsInitVerbs()}) {
    verbs.insert(verbs.end(), table.begin(), table.end());
  }
  return verbs;
}

void AddCommandLine(CLI::App& app, Context& context, Action& chosen) {
  app.name("outboxctl");
  app.description("outboxctl: hand jobs to outboxd and look after its queue");
  app.set_version_flag("--version", std::string("outboxctl " OUTBOXD_VERSION));
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.fallthrough();
  app.get_formatter()->column_width(38);
  AddGlobals(app, context.globals);
  AddVerbs(app, context, Verbs(), chosen);
  app.require_subcommand(0, 1);
  app.footer(kExamples);  // last: verbs inherit it when they are added, and these are examples of others
  app.failure_message(UsageMessage);
}

int RunOutboxctl(std::vector<std::string> arguments, Console& console) {
  try {
    CLI::App app;
    Context context{console, {}};
    Action chosen;
    AddCommandLine(app, context, chosen);
    if (const std::optional<int> answered = AnswerProgram(app, arguments, console)) return *answered;
    return Parse(app, std::move(arguments), context, chosen);
  } catch (const std::exception& error) {
    return Report(console, Error{ErrorKind::kInternal, error.what(), {}});
  }
}

}  // namespace outboxd
