// outboxctl send: one job by flags, or finished lines.
#include <CLI/CLI.hpp>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ios>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/job_types.h"
#include "core/json.h"
#include "core/refusal.h"
#include "core/result.h"
#include "core/text.h"
#include "ctl/byte_source.h"
#include "ctl/commands.h"
#include "ctl/console.h"
#include "ctl/exit_code.h"
#include "ctl/job_flags.h"
#include "ctl/job_text.h"
#include "ctl/line_reader.h"
#include "ctl/options.h"
#include "ctl/sender.h"

namespace outboxd {
namespace {

struct SendOptions {
  JobFlags flags;
  std::vector<std::string> files;  // NAME=PATH
  std::string json_line;           // --json LINE
  bool json = false;
};

Result<std::string> ReadWholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (!file || !(content << file.rdbuf() || file.peek() == std::ifstream::traits_type::eof())) {
    return Fail(ErrorKind::kInvalid, "cannot read " + path);
  }
  return content.str();
}

// A value of the form @PATH stands for the file's content.
Result<void> LoadFile(std::optional<std::string>& value) {
  if (!value || !value->starts_with('@')) return {};
  ASSIGN_OR_RETURN(std::string content, ReadWholeFile(value->substr(1)));
  value = std::move(content);
  return {};
}

Result<void> LoadFiles(SendOptions& options) {
  for (auto* value : {&options.flags.object, &options.flags.body_json}) {
    RETURN_IF_ERROR(LoadFile(*value));
  }
  for (const std::string& file : options.files) {
    const std::size_t equals = file.find('=');
    if (equals == std::string::npos || equals == 0)
      return Fail(ErrorKind::kInvalid, "\"" + file + "\" must be NAME=PATH", "--file");
    const std::string path = file.substr(equals + 1);
    ASSIGN_OR_RETURN(std::string content, ReadWholeFile(path));
    options.flags.files.push_back(
        {file.substr(0, equals), std::filesystem::path(path).filename().string(), std::move(content)});
  }
  return {};
}

enum class Print { kReply, kJobId };

int PrintReply(const Context& context, Print print, const JsonValue& reply) {
  const bool ok = reply["ok"].Bool();
  const JsonValue error = reply["error"];
  const std::string code = error["code"].String();
  if (print == Print::kReply) {
    PrintJson(context.console, reply.ToText());
  } else if (ok) {
    context.console.out << EscapeForTerminal(reply["job"].String()) << '\n';
  }
  if (ok) return kExitDone;
  const std::optional<Refusal> refusal = kNames<Refusal>.Find(code);
  const bool may_try_again = refusal && AfterRefusalOf(*refusal) == AfterRefusal::kTryAgain;
  Error no{may_try_again ? ErrorKind::kBusy : ErrorKind::kInvalid, error["message"].String(),
           error["field"].String()};
  if (no.message.empty()) no.message = code;
  return Report(context.console, no);
}

// The exit code of several lines: a refusal counts more than a "try again".
int Worse(int left, int right) {
  if (left == kExitRefused || right == kExitRefused) return kExitRefused;
  return left == kExitDone ? right : left;
}

int SendOne(Sender& sender, const Context& context, Print print, std::string_view line) {
  const Result<JsonValue> reply = sender.Send(line);
  return reply ? PrintReply(context, print, *reply) : Report(context.console, reply.error());
}

// One after the other: a script that feeds lines one by one gets each reply at once. For many lines there is
// import.
int SendInput(Sender& sender, const Context& context) {
  DescriptorBytes input(context.console.in_fd);
  LineReader reader(input);
  InputLine line;
  int code = kExitDone;
  while (true) {
    const Result<ReadStatus> status = reader.Next(line, std::nullopt);
    if (!status) return Report(context.console, status.error());
    if (*status == ReadStatus::kNothingYet) continue;
    if (*status == ReadStatus::kEnd) return code;
    if (line.too_long) {
      code = Worse(code, Report(context.console, Error{ErrorKind::kInvalid,
                                                       "line " + std::to_string(line.number) + " is too long",
                                                       {}}));
      continue;
    }
    if (line.text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const int sent = SendOne(sender, context, Print::kReply, line.text);
    context.console.out.flush();
    if (sent == kExitUnreachable) return sent;
    code = Worse(code, sent);
  }
}

int Send(const Context& context, SendOptions options) {
  const Print print = options.json || context.globals.json ? Print::kReply : Print::kJobId;
  std::string line = options.json_line;
  if (!options.flags.type && line.empty()) {
    return ReportUsage(context.console,
                       "send what? Name a type (outboxctl send --help) or give a line with --json LINE");
  }
  if (options.flags.type && !line.empty())
    return ReportUsage(context.console, "give a type with flags or --json LINE, not both");
  if (options.flags.type) {
    if (Result<void> loaded = LoadFiles(options); !loaded)
      return ReportUsage(context.console, loaded.error().message);
    const Result<std::string> built = BuildJobLine(options.flags);
    if (!built) return ReportUsage(context.console, built.error().field + ": " + built.error().message);
    line = *built;
  }
  if (line.find('\n') != std::string::npos)
    return ReportUsage(context.console, "--json takes one line; use --json - for many");
  const Result<std::filesystem::path> socket = ProducerSocket(context.globals);
  if (!socket) return ReportUsage(context.console, socket.error().message);
  Sender sender(*socket);
  if (const Result<void> connected = sender.Connect(); !connected)
    return Report(context.console, connected.error());
  return line == "-" ? SendInput(sender, context) : SendOne(sender, context, print, line);
}

Action AddSend(CLI::App& send, const Context& context) {
  const auto options = std::make_shared<SendOptions>();
  const CLI::Option* json = send.add_option("--json", options->json_line,
                                            "A finished line instead of a type; - reads lines from standard "
                                            "input. Without LINE: print the reply")
                                ->type_name("[LINE]")
                                ->expected(0, 1);
  send.require_subcommand(0, 1);
  for (const JobTypeRow& row : kJobTypes) {
    CLI::App* type = send.add_subcommand(std::string(row.name), std::string(row.help));
    AddJobFlags(*type, row, options->flags, options->files);
    type->callback([options, type = row.type] { options->flags.type = type; });
  }
  send.footer(
      "Examples:\n  outboxctl send identify --id 42 --attribute plan=pro --attribute age:=30\n"
      "  outboxctl send raw --method PUT --path /v1/customers/42 --body-json '{\"plan\":\"pro\"}'\n"
      "  printf '%s\\n' \"$lines\" | outboxctl send --json -");
  return [&context, options, json] {
    options->json = json->count() > 0;
    return Send(context, *options);
  };
}

constexpr Verb kSendVerbs[] = {
    {"send", "Hand one job to the daemon; prints its id once it is safe on disk", AddSend}};

}  // namespace

std::span<const Verb> SendVerbs() {
  return kSendVerbs;
}

}  // namespace outboxd
