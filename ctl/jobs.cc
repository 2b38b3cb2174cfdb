// outboxctl list, show, explain, history, cancel.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/system_user.h"
#include "core/encoding.h"
#include "core/json.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"
#include "ctl/admin_client.h"
#include "ctl/commands.h"
#include "ctl/format.h"
#include "ctl/listing.h"
#include "ctl/options.h"
#include "ctl/table.h"

namespace outboxd {
namespace {

struct ListOptions {
  Filter filter;
  std::uint64_t limit = 100;
  bool all = false;
};

struct HistoryOptions {
  std::optional<std::string> job, customer, connection, name, ref, result, uid, from, to;
};

int List(const Context& context, const ListOptions& options) {
  Result<Query> query = options.filter.ToQuery();
  if (!query) return ReportUsage(context.console, query.error().message);
  ListRequest request{"/v1/jobs", std::move(*query), options.limit, 1000, "No job is waiting."};
  if (!options.filter.IsEmpty()) request.nothing = "No waiting job matches.";
  if (options.all) request.limit.reset();
  return PrintList(context, request, JobRows(context));
}

// "auth, 2 answers counted"; empty for what is not a suspect.
std::string SuspicionText(const JsonValue& job) {
  std::string text = job["suspicion"].String();
  const std::int64_t refusals = job["refusals"].Int();
  if (refusals > 0) text += ", " + Counted(static_cast<std::uint64_t>(refusals), "answer") + " counted";
  return text;
}

std::vector<std::pair<std::string, Cell>> JobFacts(const Context& context, const JsonValue& job) {
  const std::string state = job["state"].String();
  return {{"job", job["job"].String()},
          {"state", Cell(state, StateColour(state))},
          {"connection", job["connection"].String()},
          {"type", job["type"].String()},
          {"customer", job["customer"].String()},
          {"ref", job["ref"].String()},
          {"uid", UserText(job["uid"])},
          {"accepted", TimeText(context, job["accepted_ms"])},
          {"age", AgeText(context, job["accepted_ms"])},
          {"redriven", TimeText(context, job["redriven_ms"])},
          {"attempts", FormatCount(job["attempts"].Int())},
          {"failures", job["failures"].Int() == 0 ? std::string() : FormatCount(job["failures"].Int())},
          {"suspected of", SuspicionText(job)},
          {"last counted", TimeText(context, job["counted_ms"])},
          {"next attempt", DueText(context, job["due_ms"])},
          {"last reason", job["reason"].String()},
          {"line", job["line"].IsNull() ? std::string() : job["line"].ToText()}};
}

void PrintAttempts(const Context& context, const JsonValue& attempts) {
  const RowView view = AttemptRows(context);
  Table table(view.columns);
  for (const JsonValue& attempt : attempts.Items()) table.Add(view.cells(attempt));
  context.console.out << '\n';
  if (attempts.Items().empty()) {
    context.console.out << "No attempt is on record.\n";
  } else {
    table.Print(context.console);
  }
}

int Show(const Context& context, const std::string& job) {
  return AskAndPrint(
      context, [&](AdminClient& client) { return client.Get("/v1/jobs/" + PercentEncode(job)); },
      [&](const JsonValue& answer) {
        if (answer.Has("job")) PrintFacts(context, JobFacts(context, answer["job"]));
        if (answer.Has("dead")) PrintFacts(context, DeadFacts(context, answer["dead"]));
        if (!answer.Has("job") && !answer.Has("dead"))
          context.console.out << "The job is settled; only its attempts are on record.\n";
        PrintAttempts(context, answer["attempts"]);
      });
}

int Explain(const Context& context, const std::string& job) {
  return AskAndPrint(
      context, [&](AdminClient& client) { return client.Get("/v1/jobs/" + PercentEncode(job) + "/explain"); },
      [&](const JsonValue& answer) {
        const std::string explanation = FormatTimesIn(answer["explanation"].String(), context.globals.zone());
        context.console.out << EscapeForTerminal(explanation) << "\n\n";
        const JsonValue gate = answer["gate"];
        const std::string state = answer["state"].String();
        const std::string gate_state = gate["state"].String();
        PrintFacts(context, {{"job", answer["job"].String()},
                             {"state", Cell(state, StateColour(state))},
                             {"suspected of", SuspicionText(answer)},
                             {"blocked by", answer["blocked_by"].String()},
                             {"next attempt", DueText(context, answer["due_ms"])},
                             {"last reason", answer["last_reason"].String()},
                             {"connection", gate["name"].String()},
                             {"connection is", Cell(gate_state, StateColour(gate_state))},
                             {"pause", gate["pause"].String()},
                             {"because", gate["detail"].String()},
                             {"since", TimeText(context, gate["since_ms"])},
                             {"reopens", DueText(context, gate["reopen_ms"])}});
      });
}

// What is asked for, but a job's id.
Result<Query> HistoryQueryOf(const Context& context, const HistoryOptions& options) {
  Query query;
  for (const auto& [name, value] :
       {std::pair("customer", &options.customer), std::pair("connection", &options.connection),
        std::pair("name", &options.name), std::pair("ref", &options.ref),
        std::pair("result", &options.result)}) {
    if (*value) query.emplace_back(name, **value);
  }
  if (options.uid) {
    const Result<std::uint32_t> number = UserId(*options.uid);
    if (!number) return Fail(ErrorKind::kInvalid, "--uid " + *options.uid + ": " + number.error().message);
    query.emplace_back("uid", std::to_string(*number));
  }
  for (const auto& [name, value] : {std::pair("from_ms", &options.from), std::pair("to_ms", &options.to)}) {
    if (!*value) continue;
    ASSIGN_OR_RETURN(const Timestamp at, ReadTime(**value, context.console.clock(), context.globals.zone()));
    query.emplace_back(name, std::to_string(ToUnixMs(at)));
  }
  return query;
}

int History(const Context& context, const HistoryOptions& options) {
  Result<Query> query = HistoryQueryOf(context, options);
  if (!query) return ReportUsage(context.console, query.error().message);
  if (options.job && !query->empty())
    return ReportUsage(context.console, "a job's history is shown whole: give its id alone");
  if (!options.job && query->empty()) {
    return ReportUsage(context.console,
                       "history of what? Give a job id, --customer ID, or what else is known of it");
  }
  if (options.job) query->emplace_back("job", *options.job);
  return PrintList(context,
                   {"/v1/history", std::move(*query), std::nullopt, 1000, "No attempt is on record."},
                   AttemptRows(context));
}

int Cancel(const Context& context, const std::string& job) {
  return AskAndPrint(
      context, [&](AdminClient& client) { return client.Post("/v1/jobs/" + PercentEncode(job) + "/cancel"); },
      [&](const JsonValue&) {
        context.console.out << "Cancelled: the job is a dead letter now (outboxctl dead show "
                            << EscapeForTerminal(job) << ").\n";
      });
}

Action AddList(CLI::App& list, const Context& context) {
  const auto options = std::make_shared<ListOptions>();
  AddJobFilter(list, options->filter);
  AddRowLimit(list, options->limit, options->all);
  return Running(context, options, List);
}

Action OnJob(CLI::App& command, const Context& context, int (*verb)(const Context&, const std::string&)) {
  const auto job = std::make_shared<std::string>();
  command.add_option("job", *job, "Job id")->required()->type_name("JOB");
  return Running(context, job, verb);
}

Action AddHistory(CLI::App& history, const Context& context) {
  const auto options = std::make_shared<HistoryOptions>();
  history.add_option("job", options->job, "Job id")->type_name("JOB");
  const auto add = [&](const char* flag, std::optional<std::string>& value, const char* help,
                       const char* type) { history.add_option(flag, value, help)->type_name(type); };
  add("--customer", options->customer, "Only attempts for this customer", "ID");
  add("--connection", options->connection, "Only on this connection", "CONNECTION");
  add("--name", options->name, "Only events, or pages, of this name", "NAME");
  add("--ref", options->ref, "Only jobs with this ref", "REF");
  add("--result", options->result, "Only attempts with this result, such as deferred", "RESULT");
  add("--uid", options->uid, "Only from producers of this user, by name or number", "USER");
  add("--from", options->from, "Only what was sent then or later: 14:03, a date, RFC 3339, or how long ago",
      "TIME");
  add("--to", options->to, "Only what was sent before then", "TIME");
  return Running(context, options, History);
}

constexpr Verb kJobVerbs[] = {
    {"list", "Waiting jobs, oldest first", AddList},
    {"show", "One job, waiting or dead, with its line and attempts",
     [](CLI::App& command, const Context& context) { return OnJob(command, context, Show); }},
    {"explain", "Why a job is still here",
     [](CLI::App& command, const Context& context) { return OnJob(command, context, Explain); }},
    {"cancel", "Take a waiting job out of the queue; it becomes a dead letter",
     [](CLI::App& command, const Context& context) { return OnJob(command, context, Cancel); }},
    {"history", "Attempts of a job, or of a customer, an event, a ref, a time", AddHistory},
};

}  // namespace

std::span<const Verb> JobVerbs() {
  return kJobVerbs;
}

}  // namespace outboxd
