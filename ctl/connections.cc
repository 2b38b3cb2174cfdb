// outboxctl pause, resume, probe.
#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/duration.h"
#include "core/encoding.h"
#include "core/gate.h"
#include "core/json.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"
#include "ctl/admin_client.h"
#include "ctl/commands.h"
#include "ctl/console.h"
#include "ctl/exit_code.h"
#include "ctl/listing.h"

namespace outboxd {
namespace {

std::string PathOf(const std::string& connection, const char* action) {
  return "/v1/connections/" + PercentEncode(connection) + "/" + action;
}

int Pause(const Context& context, const std::string& name) {
  return AskAndPrint(
      context, [&](AdminClient& client) { return client.Post(PathOf(name, "pause")); },
      [&](const JsonValue&) {
        context.console.out
            << "Connection " << EscapeForTerminal(name)
            << " is paused: jobs are accepted and kept, nothing is sent until outboxctl resume.\n";
      });
}

int Resume(const Context& context, const std::string& name) {
  return AskAndPrint(
      context, [&](AdminClient& client) { return client.Post(PathOf(name, "resume")); },
      [&](const JsonValue& answer) {
        const std::string state = answer["connection"]["state"].String("probing");
        if (state == "paused") {
          context.console.out << "Connection " << EscapeForTerminal(name) << " still sends nothing: "
                              << EscapeForTerminal(answer["connection"]["detail"].String()) << ".\n";
          return;
        }
        const std::string due = DueText(context, answer["connection"]["reopen_ms"]);
        const std::string attempt = due.empty() ? "one attempt" : "one attempt, " + due + ",";
        context.console.out << "Connection " << EscapeForTerminal(name) << " is " << EscapeForTerminal(state)
                            << (state == "open"
                                    ? ".\n"
                                    : ": " + attempt + " has to succeed before the others follow.\n");
      });
}

void PrintProbe(const Context& context, const JsonValue& report) {
  const Console& console = context.console;
  console.out << EscapeForTerminal(report["connection"].String()) << ": ";
  if (report["ok"].Bool()) {
    console.out << Paint(console, Colour::kGreen, "ok") << ", region "
                << EscapeForTerminal(report["region"].String("unknown"));
    if (report["environment_id"].IsNumber())
      console.out << ", environment " << report["environment_id"].Int();
  } else {
    console.out << Paint(console, Colour::kRed, "not ok") << ", "
                << EscapeForTerminal(report["message"].String("no reason given"));
  }
  if (report["duration_ms"].IsNumber())
    console.out << " (" << ShowSpan(Milliseconds(report["duration_ms"].Int())) << ")";
  console.out << '\n';
  for (const JsonValue& warning : report["warnings"].Items())
    console.out << "warning: " << EscapeForTerminal(warning.String()) << '\n';
}

Result<std::vector<std::string>> ConnectionNames(AdminClient& client) {
  ASSIGN_OR_RETURN(const JsonValue status, client.Get("/v1/status"));
  std::vector<std::string> names;
  for (const JsonValue& connection : status["connections"].Items()) {
    const std::string pause = connection["pause"].String();
    if (pause != PauseReasonName(PauseReason::kUnconfigured)) names.push_back(connection["name"].String());
  }
  return names;
}

int Probe(const Context& context, const std::optional<std::string>& name) {
  return WithAdmin(context, [&](AdminClient& client) {
    const Result<std::vector<std::string>> names =
        name ? std::vector<std::string>{*name} : ConnectionNames(client);
    if (!names) return Report(context.console, names.error());
    int code = kExitDone;
    for (const std::string& connection : *names) {
      const Result<JsonValue> report = client.Post(PathOf(connection, "probe"));
      if (!report) {
        code = Report(context.console, report.error());
        if (report.error().kind == ErrorKind::kConflict) continue;  // of this connection alone
        return code;
      }
      if (!(*report)["ok"].Bool()) code = kExitRefused;
      if (context.globals.json) {
        PrintJson(context.console, report->ToText());
      } else {
        PrintProbe(context, *report);
      }
    }
    return code;
  });
}

Action OnConnection(CLI::App& command, const Context& context,
                    int (*verb)(const Context&, const std::string&)) {
  const auto name = std::make_shared<std::string>();
  command.add_option("connection", *name, "Name of the connection")->type_name("CONNECTION")->required();
  return Running(context, name, verb);
}

Action AddProbe(CLI::App& command, const Context& context) {
  const auto name = std::make_shared<std::optional<std::string>>();
  command.add_option("connection", *name, "Name of the connection")->type_name("CONNECTION");
  return Running(context, name, Probe);
}

constexpr Verb kConnectionVerbs[] = {
    {"pause", "Stop sending on a connection; its jobs wait",
     [](CLI::App& command, const Context& context) { return OnConnection(command, context, Pause); }},
    {"resume", "Send again on a paused connection",
     [](CLI::App& command, const Context& context) { return OnConnection(command, context, Resume); }},
    {"probe", "Ask the Track API whether credentials and region are right (default: of all connections)",
     AddProbe},
};

}  // namespace

std::span<const Verb> ConnectionVerbs() {
  return kConnectionVerbs;
}

}  // namespace outboxd
