// ctl/commands.h — the verbs of outboxctl. Each Add… hangs its verbs into the command line; choosing one sets
// Context::run.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ctl/console.h"
#include "ctl/options.h"

namespace CLI {
class App;
}

namespace outboxd {

struct Context {
  Console& console;
  Globals globals;
  std::function<int()> run;  // the chosen verb; gives the exit code
};

void AddSend(CLI::App& app, Context& context);
void AddImport(CLI::App& app, Context& context);
void AddStatus(CLI::App& app, Context& context);
void AddJobs(CLI::App& app, Context& context);         // list, show, explain, history, cancel
void AddDead(CLI::App& app, Context& context);         // dead list|groups|show|redrive|drop|export
void AddConnections(CLI::App& app, Context& context);  // pause, resume, probe
void AddMaintenance(CLI::App& app, Context& context);  // check, backup, forget, reload, metrics
void AddTlsInit(CLI::App& app, Context& context);

// Says what went wrong on the error stream and gives the exit code.
int Report(const Console& console, const Error& error);
int ReportUsage(const Console& console, const std::string& message);

// The whole program but for main's wiring: `arguments` without the program's name.
int RunOutboxctl(std::vector<std::string> arguments, Console& console);

}  // namespace outboxd
