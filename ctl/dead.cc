// outboxctl dead list|groups|show|redrive|amend|drop|export.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <utility>

#include "config/folder.h"
#include "config/owned_fd.h"
#include "core/encoding.h"
#include "core/job_line.h"
#include "core/json.h"
#include "core/result.h"
#include "core/stamped_line.h"
#include "core/text.h"
#include "core/time.h"
#include "core/ulid.h"
#include "ctl/admin_client.h"
#include "ctl/amend.h"
#include "ctl/byte_source.h"
#include "ctl/commands.h"
#include "ctl/console.h"
#include "ctl/exit_code.h"
#include "ctl/file_stream.h"
#include "ctl/format.h"
#include "ctl/line_reader.h"
#include "ctl/listing.h"
#include "ctl/options.h"
#include "ctl/table.h"

namespace outboxd {

namespace {

struct DeadOptions {
  Filter filter;
  std::uint64_t limit = 100;
  bool all = false;
  bool dry_run = false;
  bool yes = false;
  bool lines = false;
  std::optional<std::string> file;
};

int List(const Context& context, const DeadOptions& options) {
  Result<Query> query = options.filter.ToQuery();
  if (!query) return ReportUsage(context.console, query.error().message);
  ListRequest request{"/v1/dead", std::move(*query), options.limit, 1000, "No dead letters."};
  if (!options.filter.IsEmpty()) request.nothing = "No dead letter matches.";
  if (options.all) request.limit.reset();
  return PrintList(context, request, DeadRows(context));
}

void PrintGroups(const Context& context, const JsonValue& answer) {
  Table table({{"COUNT", Align::kRight},
               {"DEATH"},
               {"STATUS", Align::kRight},
               {"FIRST"},
               {"LAST"},
               {"EXAMPLE"},
               {"CAUSE"}});
  for (const JsonValue& group : answer["groups"].Items()) {
    const std::int64_t status = group["status"].Int();
    table.Add({FormatCount(group["count"].Int()), Cell(group["death"].String(), Colour::kRed),
               status == 0 ? std::string() : std::to_string(status), TimeText(context, group["first_ms"]),
               TimeText(context, group["last_ms"]), group["example"].String(), group["cause"].String()});
  }
  if (answer["groups"].Items().empty()) {
    context.console.out << "No dead letters.\n";
  } else {
    table.Print(context.console);
  }
}

// One group a line: a list, as every other.
int Groups(const Context& context) {
  return WithAdmin(context, [&](AdminClient& client) {
    const Result<JsonValue> answer = client.Get("/v1/dead/groups");
    if (!answer) return Report(context.console, answer.error());
    if (!context.globals.json) {
      PrintGroups(context, *answer);
    } else {
      for (const JsonValue& group : (*answer)["groups"].Items()) PrintJson(context.console, group.ToText());
    }
    return kExitDone;
  });
}

int Show(const Context& context, const DeadOptions& options) {
  return AskAndPrint(
      context,
      [&](AdminClient& client) {
        return client.Get("/v1/dead/" + PercentEncode(options.filter.job.value_or("")));
      },
      [&](const JsonValue& dead) { PrintFacts(context, DeadFacts(context, dead)); });
}

enum class Run { kDry, kReal };

Result<std::string> ChangeBody(const DeadOptions& options, Run run) {
  ASSIGN_OR_RETURN(std::string filter, options.filter.ToJson());
  JsonWriter writer;
  writer.Object().Key("filter").Raw(filter);
  if (options.all) writer.Key("all").Bool(true);
  return writer.Key("dry_run").Bool(run == Run::kDry).EndObject().Take();
}

bool ScopeIsClear(const Context& context, const DeadOptions& options, const char* verb) {
  if (options.filter.IsEmpty() && !options.all) {
    ReportUsage(context.console, std::string(verb) + " which? Give a job id, a filter (outboxctl dead " +
                                     verb + " --help) or --all");
    return false;
  }
  if (!options.filter.IsEmpty() && options.all) {
    ReportUsage(context.console, "--all means all of them: give it or a filter, not both");
    return false;
  }
  return true;
}

std::string Letters(std::int64_t count) {
  return Counted(static_cast<std::uint64_t>(count), "dead letter");
}

int Redrive(const Context& context, const DeadOptions& options) {
  if (!ScopeIsClear(context, options, "redrive")) return kExitUsage;
  const Result<std::string> body = ChangeBody(options, options.dry_run ? Run::kDry : Run::kReal);
  if (!body) return ReportUsage(context.console, body.error().message);
  return AskAndPrint(
      context,
      [&](AdminClient& client) { return client.Post("/v1/dead/redrive", *body, Patience::kAsLongAsItTakes); },
      [&](const JsonValue& answer) {
        if (options.dry_run) {
          context.console.out << Letters(answer["matched"].Int()) << " would go back into the queue.\n";
        } else {
          context.console.out << Letters(answer["redriven"].Int())
                              << " went back into the queue, with id and timestamp as they were.\n";
        }
      });
}

bool Confirm(const Context& context, std::int64_t count) {
  context.console.err << "Drop " << Letters(count) << " for good? [y/N] " << std::flush;
  DescriptorBytes input(context.console.in_fd);
  LineReader reader(input);
  InputLine answer;
  const Result<ReadStatus> status = reader.Next(answer, std::nullopt);
  return status && *status == ReadStatus::kLine &&
         (answer.text == "y" || answer.text == "Y" || answer.text == "yes");
}

int Drop(const Context& context, const DeadOptions& options) {
  if (!ScopeIsClear(context, options, "drop")) return kExitUsage;
  if (!options.yes && !options.dry_run && !context.console.in_is_terminal) {
    return ReportUsage(context.console,
                       "drop cannot ask without a terminal: --yes confirms, --dry-run counts");
  }
  const Result<std::string> count_body = ChangeBody(options, Run::kDry);
  if (!count_body) return ReportUsage(context.console, count_body.error().message);
  bool declined = false;
  const auto ask = [&](AdminClient& client) -> Result<JsonValue> {
    if (options.yes && !options.dry_run)
      return client.Post("/v1/dead/drop", *ChangeBody(options, Run::kReal), Patience::kAsLongAsItTakes);
    Result<JsonValue> counted = client.Post("/v1/dead/drop", *count_body, Patience::kAsLongAsItTakes);
    if (!counted || options.dry_run) return counted;
    if ((*counted)["matched"].Int() == 0) return counted;
    declined = !Confirm(context, (*counted)["matched"].Int());
    return declined
               ? counted
               : client.Post("/v1/dead/drop", *ChangeBody(options, Run::kReal), Patience::kAsLongAsItTakes);
  };
  const int code = AskAndPrint(context, ask, [&](const JsonValue& answer) {
    if (declined) {
      context.console.out << "Nothing was dropped.\n";
    } else if (options.dry_run) {
      context.console.out << Letters(answer["matched"].Int()) << " would be dropped.\n";
    } else {
      context.console.out << Letters(answer["dropped"].Int())
                          << (answer["dropped"].Int() == 1 ? " was dropped.\n" : " were dropped.\n");
    }
  });
  return code == kExitDone && declined ? kExitRefused : code;
}

void WarnOfDamage(const Context& context, const JsonValue& row) {
  if (!row["line_damaged"].Bool()) return;
  context.console.err << "outboxctl: the line of " << EscapeForTerminal(row["job"].String())
                      << " is damaged: it is shown as text, and what is not UTF-8 is replaced\n";
}

// Handed in anew it is the same event at the same time. A line that is damaged stays as it is.
std::string LineToImport(const JsonValue& row) {
  std::string line = row["line"].ToText();
  const auto job = ParseStoredLine(line);
  const std::optional<Ulid> id = Ulid::Parse(row["job"].String());
  if (!job || !id) return line;
  return LineWithStamps(*job, {*id, FromUnixMs(row["accepted_ms"].Int())});
}

// Rows carry whole lines: pages are small so that neither side holds much. Into a file or a pipe bytes go as
// they were.
Result<ListEnd> WriteRows(const Context& context, AdminClient& client, const DeadOptions& options,
                          Query query, std::ostream& out) {
  const bool is_terminal = !options.file && context.console.out_is_terminal;
  query.emplace_back("full", "true");
  const ListRequest request{"/v1/dead", std::move(query), std::nullopt, 50, {}};
  const auto each = [&](const JsonValue& row) {
    const std::string text = options.lines ? LineToImport(row) : row.ToText();
    out << (is_terminal ? EscapeJsonForTerminal(text) : text) << '\n';
    WarnOfDamage(context, row);
  };
  ASSIGN_OR_RETURN(const ListEnd end, ForEachRow(client, request, each, [] {}));
  out.flush();
  if (!out) return Fail(ErrorKind::kIo, "the export could not be written");
  return end;
}

int ExportTo(const Context& context, const std::filesystem::path& path, AdminClient& client,
             const DeadOptions& options, Query query) {
  const Result<Folder> folder = Folder::Of(path);
  if (!folder) return Report(context.console, folder.error());
  const std::string name = path.filename().string();
  Result<OwnedFd> made = folder->Create(name);
  if (!made) return Report(context.console, made.error());
  FileStream file(std::move(*made));
  const Result<ListEnd> end = WriteRows(context, client, options, std::move(query), file);
  if (!end) {
    folder->Remove(name);  // half an export: the next one makes it anew
    return Report(context.console, end.error());
  }
  context.console.err << Letters(static_cast<std::int64_t>(end->rows)) << " written to "
                      << EscapeForTerminal(path.string()) << '\n';
  return kExitDone;
}

int Export(const Context& context, const DeadOptions& options) {
  Result<Query> query = options.filter.ToQuery();
  if (!query) return ReportUsage(context.console, query.error().message);
  return WithAdmin(context, [&](AdminClient& client) {
    if (options.file) return ExportTo(context, *options.file, client, options, std::move(*query));
    const Result<ListEnd> end = WriteRows(context, client, options, std::move(*query), context.console.out);
    return end ? kExitDone : Report(context.console, end.error());
  });
}

std::shared_ptr<DeadOptions> NewOptions() {
  return std::make_shared<DeadOptions>();
}

Action AddDeadList(CLI::App& list, const Context& context) {
  const auto options = NewOptions();
  AddDeadFilter(list, options->filter);
  AddRowLimit(list, options->limit, options->all);
  return Running(context, options, List);
}

Action AddGroups(CLI::App&, const Context& context) {
  return [&context] { return Groups(context); };
}

Action AddShow(CLI::App& show, const Context& context) {
  const auto options = NewOptions();
  show.add_option("job", options->filter.job, "Job id")->required()->type_name("JOB");
  return Running(context, options, Show);
}

void AddScope(CLI::App& command, DeadOptions& options) {
  command.add_option("job", options.filter.job, "Only this job")->type_name("JOB");
  AddDeadFilter(command, options.filter);
  command.add_flag("--all", options.all, "All dead letters");
  command.add_flag("--dry-run", options.dry_run, "Count, change nothing");
}

Action AddRedrive(CLI::App& redrive, const Context& context) {
  const auto options = NewOptions();
  AddScope(redrive, *options);
  return Running(context, options, Redrive);
}

Action AddDrop(CLI::App& drop, const Context& context) {
  const auto options = NewOptions();
  AddScope(drop, *options);
  drop.add_flag("--yes", options->yes, "Do not ask");
  return Running(context, options, Drop);
}

Action AddExport(CLI::App& command, const Context& context) {
  const auto options = NewOptions();
  AddDeadFilter(command, options->filter);
  command
      .add_option("--out", options->file,
                  "Write to this file, which must not exist (default: standard output)")
      ->type_name("FILE");
  command.add_flag("--lines", options->lines,
                   "Only the producers' lines with event id and time, as import reads them");
  return Running(context, options, Export);
}

constexpr Verb kOfTheDead[] = {
    {"list", "Dead letters, oldest first", AddDeadList},
    {"groups", "Dead letters by cause, most frequent first", AddGroups},
    {"show", "One dead letter with its line and the last answer", AddShow},
    {"redrive", "Put dead letters back into the queue, keeping id and timestamp", AddRedrive},
    {"amend", "Put a dead letter back with a corrected line, keeping id and timestamp", AddAmend},
    {"drop", "Remove dead letters for good", AddDrop},
    {"export", "Write dead letters with their lines, one JSON object a line", AddExport},
};

constexpr Verb kDeadVerbs[] = {
    {"dead", "Dead letters: jobs that will not be tried again by themselves", nullptr, kOfTheDead}};

}  // namespace

std::span<const Verb> DeadVerbs() {
  return kDeadVerbs;
}

}  // namespace outboxd
