// outboxctl status: the daemon, its queue and its connections at a glance.
#include <poll.h>
#include <sys/poll.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/duration.h"
#include "core/json.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"
#include "ctl/admin_client.h"
#include "ctl/commands.h"
#include "ctl/console.h"
#include "ctl/exit_code.h"
#include "ctl/format.h"
#include "ctl/interrupt.h"
#include "ctl/listing.h"
#include "ctl/table.h"
#include "ctl/wal_readers.h"

namespace outboxd {
namespace {

std::uint64_t Bytes(const JsonValue& number) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(number.Int(), 0));
}

// Ages are told by the daemon's clock: both times in the answer are its own.
std::string AgeAt(const JsonValue& status, const JsonValue& unix_ms) {
  return unix_ms.IsNumber() ? ShowSpan(Milliseconds(status["now_ms"].Int() - unix_ms.Int())) : std::string();
}

void PrintHead(const Context& context, const JsonValue& status) {
  const Console& console = context.console;
  console.out << Paint(console, Colour::kBold, "outboxd " + EscapeForTerminal(status["version"].String()))
              << ", pid " << status["pid"].Int() << ", up " << AgeAt(status, status["started_ms"]) << ", ";
  if (status["accepting"].Bool()) {
    console.out << Paint(console, Colour::kGreen, "accepting jobs") << '\n';
  } else {
    console.out << Paint(console, Colour::kRed,
                         "refusing jobs: " + EscapeForTerminal(status["accepting_reason"].String()))
                << '\n';
  }
  if (const std::string reason = status["delivering_reason"].String(); !reason.empty())
    console.out << Paint(console, Colour::kRed, "not delivering: " + EscapeForTerminal(reason)) << '\n';
  for (const JsonValue& listener : status["listeners"].Items()) {
    if (listener["listening"].Bool()) continue;
    const std::string what = listener["key"].String() + ": " + listener["problem"].String();
    console.out << Paint(console, Colour::kRed, "not listening: " + EscapeForTerminal(what)) << '\n';
  }
  console.out << '\n';
}

std::string OldestAge(const JsonValue& status) {
  std::int64_t oldest = 0;
  for (const JsonValue& connection : status["connections"].Items()) {
    const std::int64_t at = connection["oldest_ms"].Int();
    if (at != 0 && (oldest == 0 || at < oldest)) oldest = at;
  }
  return oldest == 0 ? std::string() : ShowSpan(Milliseconds(status["now_ms"].Int() - oldest));
}

// "" while no reader keeps the WAL from being checkpointed.
std::string HeldWalText(const JsonValue& status) {
  const JsonValue outbox = status["outbox"];
  if (outbox["wal_held_bytes"].Int() <= 0) return {};
  std::string text = FormatBytes(Bytes(outbox["wal_held_bytes"])) + " of it WAL that a reader holds for " +
                     AgeAt(status, outbox["wal_held_since_ms"]);
  const char* before = ": ";
  for (const WalReader& reader : FindWalReaders(outbox["path"].String())) {
    const bool is_daemon = reader.pid == status["pid"].Int();
    text += before + (is_daemon ? "outboxd itself, for a backup or a list" : reader.command) + " (pid " +
            std::to_string(reader.pid) + ")";
    before = ", ";
  }
  return text;
}

void PrintQueue(const Context& context, const JsonValue& status) {
  const JsonValue outbox = status["outbox"];
  const JsonValue states = status["states"];
  const JsonValue rates = status["rates"];
  const JsonValue totals = status["totals"];
  const auto count = [](const JsonValue& object, const char* name) {
    return FormatCount(object[name].Int());
  };
  const std::string oldest = OldestAge(status);
  const bool has_dead = states["dead"].Int() > 0;
  PrintFacts(
      context,
      {{"waiting", count(outbox, "jobs") + " of at most " + count(outbox, "max_jobs") +
                       (oldest.empty() ? "" : ", the oldest for " + oldest)},
       {"  by state", count(states, "ready") + " ready, " + count(states, "in_flight") + " in flight, " +
                          count(states, "deferred") + " deferred, " + count(states, "blocked") + " blocked"},
       {"dead letters", Cell(count(states, "dead"), has_dead ? Colour::kRed : Colour::kPlain)},
       {"rates (10 s)", FormatRate(rates["accepted_per_s"].Number()) + " accepted, " +
                            FormatRate(rates["attempts_per_s"].Number()) + " attempted, " +
                            FormatRate(rates["delivered_per_s"].Number()) + " delivered, " +
                            FormatRate(rates["dead_per_s"].Number()) + " dead"},
       {"since start", count(totals, "accepted") + " accepted, " + count(totals, "refused") + " refused, " +
                           count(totals, "attempts") + " attempts, " + count(totals, "delivered") +
                           " delivered, " + count(totals, "dead") + " dead"},
       {"history", count(outbox, "attempts") + " attempts kept"},
       {"outbox", outbox["path"].String()},
       {"disk", FormatBytes(Bytes(outbox["bytes"])) + " of at most " +
                    FormatBytes(Bytes(outbox["max_bytes"])) + "; " +
                    FormatBytes(Bytes(outbox["disk_free_bytes"])) + " free on the disk"},
       {"  held", Cell(HeldWalText(status), Colour::kYellow)}});
  context.console.out << '\n';
}

std::string StateText(const JsonValue& connection) {
  const std::string pause = connection["pause"].String();
  return connection["state"].String() + (pause.empty() ? "" : " (" + pause + ")");
}

std::string ReasonText(const JsonValue& status, const JsonValue& connection) {
  std::string reason = connection["detail"].String();
  const std::int64_t failures = connection["failures"].Int();
  if (failures > 1) reason += (reason.empty() ? "" : "; ") + FormatCount(failures) + " failures in a row";
  const std::int64_t wait = connection["reopen_ms"].Int() - status["now_ms"].Int();
  if (connection["reopen_ms"].IsNumber() && wait > 0)
    reason += (reason.empty() ? "" : "; ") + ("next try in " + ShowSpan(Milliseconds(wait)));
  if (const std::int64_t suspects = connection["suspects"].Int(); suspects > 0)
    reason += (reason.empty() ? "" : "; ") + Counted(static_cast<std::uint64_t>(suspects), "suspect");
  return reason;
}

// "auto: not needed", "on: used"; "off". An older daemon tells nothing of it.
std::string BatchText(const JsonValue& connection) {
  const std::string mode = connection["batch"]["mode"].String();
  std::string use = connection["batch"]["use"].String();
  std::replace(use.begin(), use.end(), '_', ' ');
  return use == mode ? mode : mode + ": " + use;
}

void PrintConnections(const Context& context, const JsonValue& status) {
  Table table({{"CONNECTION"},
               {"STATE"},
               {"SINCE", Align::kRight},
               {"JOBS", Align::kRight},
               {"READY", Align::kRight},
               {"IN FLIGHT", Align::kRight},
               {"DEFERRED", Align::kRight},
               {"BLOCKED", Align::kRight},
               {"DEAD", Align::kRight},
               {"OLDEST", Align::kRight},
               {"BATCHES"},
               {"REASON"}});
  for (const JsonValue& connection : status["connections"].Items()) {
    const auto count = [&](const char* name) { return FormatCount(connection[name].Int()); };
    table.Add({connection["name"].String(),
               Cell(StateText(connection), StateColour(connection["state"].String())),
               AgeAt(status, connection["since_ms"]), count("jobs"), count("ready"),
               FormatCount(connection["requests"].Int(connection["in_flight"].Int())) + "/" + count("limit"),
               count("deferred"), count("blocked"), count("dead"), AgeAt(status, connection["oldest_ms"]),
               BatchText(connection), ReasonText(status, connection)});
  }
  table.Print(context.console);
}

int ShowOnce(const Context& context, AdminClient& client, const char* before) {
  const Result<JsonValue> status = client.Get("/v1/status");
  if (!status) return Report(context.console, status.error());
  context.console.out << before;
  if (context.globals.json) {
    PrintJson(context.console, status->ToText());
  } else {
    PrintHead(context, *status);
    PrintQueue(context, *status);
    PrintConnections(context, *status);
  }
  context.console.out.flush();
  return kExitDone;
}

int Watch(const Context& context, AdminClient& client, double seconds) {
  constexpr const char* kClearScreen = "\x1b[H\x1b[2J";
  const bool clear = context.console.out_is_terminal && !context.globals.json;
  CatchInterrupts();
  for (bool first = true;; first = false) {
    const char* before = clear ? kClearScreen : first || context.globals.json ? "" : "\n";
    if (const int code = ShowOnce(context, client, before); code != kExitDone) return code;
    if (Interrupted() || !context.console.out) return kExitDone;
    ::poll(nullptr, 0, static_cast<int>(seconds * 1000));  // ends early on a signal
    if (Interrupted()) return kExitDone;
  }
}

struct StatusOptions {
  std::optional<double> watch_seconds;
};

int Status(const Context& context, const StatusOptions& options) {
  return WithAdmin(context, [&](AdminClient& client) {
    return options.watch_seconds ? Watch(context, client, *options.watch_seconds)
                                 : ShowOnce(context, client, "");
  });
}

Action AddStatus(CLI::App& status, const Context& context) {
  const auto options = std::make_shared<StatusOptions>();
  status.add_option("--watch", options->watch_seconds, "Show it again every so many seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 86400.0));
  return Running(context, options, Status);
}

constexpr Verb kStatusVerbs[] = {{"status", "The daemon, its queue and its connections", AddStatus}};

}  // namespace

std::span<const Verb> StatusVerbs() {
  return kStatusVerbs;
}

}  // namespace outboxd
