// outboxctl dead amend.
#include "ctl/amend.h"

#include <sys/types.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "config/small_file.h"
#include "core/encoding.h"
#include "core/json.h"
#include "core/result.h"
#include "ctl/admin_client.h"
#include "ctl/commands.h"
#include "ctl/console.h"
#include "ctl/editor.h"
#include "ctl/exit_code.h"
#include "ctl/listing.h"

namespace outboxd {
namespace {

constexpr std::size_t kLineBytesMax = 16UL << 20;

struct AmendOptions {
  std::string job;
  std::optional<std::string> file;
  bool new_event_id = false;
  bool same_id = false;
};

Result<std::string> ReadAll(int fd) {
  std::string text;
  std::array<char, 64UL * 1024> buffer{};
  for (;;) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return Fail(ErrorKind::kIo, "cannot read standard input: " + std::generic_category().message(errno));
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > kLineBytesMax) return Fail(ErrorKind::kInvalid, "the line is too long");
  }
}

std::string PathOf(const AmendOptions& options) {
  return "/v1/dead/" + PercentEncode(options.job);
}

// As the daemon has it now, in the operator's editor. nullopt: it was left as it is.
Result<std::optional<std::string>> LineFromEditor(AdminClient& client, const AmendOptions& options) {
  ASSIGN_OR_RETURN(const JsonValue letter, client.Get(PathOf(options)));
  const std::string before =
      (letter["line_damaged"].Bool() ? letter["line"].String() : letter["line"].ToText()) + "\n";
  ASSIGN_OR_RETURN(std::string after, EditText(before));
  if (after == before) return std::optional<std::string>();
  return std::optional(std::move(after));
}

Result<std::optional<std::string>> CorrectedLine(const Context& context, AdminClient& client,
                                                 const AmendOptions& options) {
  if (!options.file) return LineFromEditor(client, options);
  ASSIGN_OR_RETURN(std::string line, *options.file == "-" ? ReadAll(context.console.in_fd)
                                                          : ReadSmallFile(*options.file, kLineBytesMax));
  return std::optional(std::move(line));
}

Result<JsonValue> Send(AdminClient& client, const AmendOptions& options, const std::string& line) {
  if (const Result<JsonValue> json = JsonValue::Parse(line); !json)
    return Fail(ErrorKind::kInvalid, "the line is not JSON: " + json.error().message);
  JsonWriter writer;
  writer.Object().Key("line").Raw(line);
  if (options.new_event_id) writer.Key("event_id").String("new");
  if (options.same_id) writer.Key("event_id").String("same");
  return client.Post(PathOf(options) + "/amend", writer.EndObject().Take());
}

int Amend(const Context& context, const AmendOptions& options) {
  bool is_unchanged = false;
  const auto ask = [&](AdminClient& client) -> Result<JsonValue> {
    ASSIGN_OR_RETURN(const std::optional<std::string> line, CorrectedLine(context, client, options));
    is_unchanged = !line;
    return line ? Send(client, options, *line) : JsonValue::Parse("{\"amended\":0}");
  };
  const int code = AskAndPrint(context, ask, [&](const JsonValue& answer) {
    if (is_unchanged) {
      context.console.out << "Nothing was changed.\n";
      return;
    }
    context.console.out << answer["job"].String()
                        << " went back into the queue with the corrected line, with id and timestamp as they "
                           "were.\n";
    if (options.new_event_id)
      context.console.out << "Its event has the id " << answer["event_id"].String() << " from now on.\n";
  });
  return code == kExitDone && is_unchanged ? kExitRefused : code;
}

}  // namespace

Action AddAmend(CLI::App& amend, const Context& context) {
  const auto options = std::make_shared<AmendOptions>();
  amend.add_option("job", options->job, "Job id")->required()->type_name("JOB");
  amend
      .add_option("--line", options->file,
                  "File with the corrected line, - for standard input (default: $VISUAL or $EDITOR)")
      ->type_name("FILE");
  auto* fresh = amend.add_flag("--new-event-id", options->new_event_id,
                               "Customer.io takes the corrected event for another one");
  amend.add_flag("--same-id", options->same_id, "It takes it for the same, and ignores it if it has seen it")
      ->excludes(fresh);
  return Running(context, options, Amend);
}

}  // namespace outboxd
