// ctl/commands.h — the verbs of outboxctl, one row each: what it is called, its help, and what adds its
// options to the command line. A verb's row stands in the file that runs it.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "ctl/console.h"
#include "ctl/options.h"

namespace CLI {
class App;
}

namespace outboxd {

struct Context {
  Console& console;
  Globals globals;
};

using Action = std::function<int()>;  // runs a verb; gives the exit code

struct Verb {
  std::string_view name, help;
  // Adds the verb's options to `command`; what comes back runs it with what was given. Null: a group.
  Action (*add)(CLI::App& command, const Context& context) = nullptr;
  std::span<const Verb> group = {};  // "dead" with "list", "show" and others
};

std::span<const Verb> SendVerbs();
std::span<const Verb> ImportVerbs();
std::span<const Verb> StatusVerbs();
std::span<const Verb> JobVerbs();          // list, show, explain, cancel, history
std::span<const Verb> DeadVerbs();         // dead list|groups|show|redrive|amend|drop|export
std::span<const Verb> ConnectionVerbs();   // pause, resume, probe
std::span<const Verb> MaintenanceVerbs();  // check, backup, forget, reload, metrics
std::span<const Verb> RestoreVerbs();
std::span<const Verb> TlsInitVerbs();

// All of them, in the order of `outboxctl --help`.
std::vector<Verb> Verbs();

// What runs `verb` with its options, which the command line fills before.
template <typename Options>
Action Running(const Context& context, std::shared_ptr<Options> options,
               int (*verb)(const Context&, const Options&)) {
  return [&context, options = std::move(options), verb] { return verb(context, *options); };
}

// Says what went wrong on the error stream and gives the exit code.
int Report(const Console& console, const Error& error);
int ReportUsage(const Console& console, const std::string& message);

// The command line: the options of all verbs and the verbs with their own. What was given lands in `context`
// and `chosen`, which outlive `app`.
void AddCommandLine(CLI::App& app, Context& context, Action& chosen);

// The whole program but for main's wiring: `arguments` without the program's name.
int RunOutboxctl(std::vector<std::string> arguments, Console& console);

}  // namespace outboxd
