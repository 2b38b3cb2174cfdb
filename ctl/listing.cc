#include "ctl/listing.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/system_user.h"
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
#include "ctl/options.h"
#include "ctl/table.h"

namespace outboxd {

Result<ListEnd> ForEachRow(AdminClient& client, const ListRequest& request,
                           const std::function<void(const JsonValue&)>& each,
                           const std::function<void()>& after_page) {
  ListEnd end;
  std::optional<std::int64_t> after;
  while (true) {
    const std::uint64_t wanted =
        request.limit ? std::min(*request.limit - end.rows, request.page) : request.page;
    Query query = request.query;
    query.emplace_back("limit", std::to_string(wanted));
    if (after) query.emplace_back("after", std::to_string(*after));
    ASSIGN_OR_RETURN(const JsonValue answer, client.Get(request.path, query));
    for (const JsonValue& row : answer["rows"].Items()) {
      each(row);
      ++end.rows;
    }
    after_page();
    const JsonValue next = answer["next"];
    if (!next.IsNumber()) return end;
    if (after && next.Int() <= *after) return Fail(ErrorKind::kInternal, "the daemon's pages do not advance");
    after = next.Int();
    if (request.limit && end.rows >= *request.limit) {
      end.more = true;
      return end;
    }
  }
}

int PrintList(const Context& context, const ListRequest& request, const RowView& view) {
  return WithAdmin(context, [&](AdminClient& client) {
    Table table(view.columns);
    const Console& console = context.console;
    const bool json = context.globals.json;
    std::uint64_t shown = 0;
    const auto each = [&](const JsonValue& row) {
      ++shown;
      if (json) {
        PrintJson(console, row.ToText());
      } else {
        table.Add(view.cells(row));
      }
    };
    const auto after_page = [&] {
      if (!json && shown > 0) table.Print(console);
    };
    const Result<ListEnd> end = ForEachRow(client, request, each, after_page);
    if (!end) return Report(console, end.error());
    if (end->rows == 0 && !json) console.out << request.nothing << '\n';
    if (end->more) console.err << "outboxctl: there may be more: --limit COUNT or --all shows them\n";
    return kExitDone;
  });
}

void PrintFacts(const Context& context, const std::vector<std::pair<std::string, Cell>>& facts) {
  std::size_t width = 0;
  for (const auto& [name, value] : facts) {
    if (!value.text.empty()) width = std::max(width, DisplayWidth(name));
  }
  for (const auto& [name, value] : facts) {
    if (value.text.empty()) continue;
    const std::string padding(width - DisplayWidth(name) + 2, ' ');
    context.console.out << Paint(context.console, Colour::kDim, name) << padding
                        << Paint(context.console, value.colour, EscapeForTerminal(value.text)) << '\n';
  }
}

std::string TimeText(const Context& context, const JsonValue& unix_ms) {
  return unix_ms.IsNumber() ? FormatTime(FromUnixMs(unix_ms.Int()), context.globals.zone()) : std::string();
}

std::string UserText(const JsonValue& uid) {
  if (!uid.IsNumber()) return {};
  const std::string name = UserName(static_cast<std::uint32_t>(uid.Int()));
  return name.empty() ? std::to_string(uid.Int()) : name + " (" + std::to_string(uid.Int()) + ")";
}

std::string AgeText(const Context& context, const JsonValue& unix_ms) {
  return unix_ms.IsNumber() ? ShowSpan(context.console.clock() - FromUnixMs(unix_ms.Int())) : std::string();
}

std::string DueText(const Context& context, const JsonValue& unix_ms) {
  if (!unix_ms.IsNumber()) return {};
  const Milliseconds wait = FromUnixMs(unix_ms.Int()) - context.console.clock();
  return wait.count() <= 0 ? std::string("now") : "in " + ShowSpan(wait);
}

Colour StateColour(const std::string& state) {
  if (state == "open" || state == "delivered" || state == "in_flight") return Colour::kGreen;
  if (state == "throttled" || state == "probing" || state == "deferred" || state == "blocked")
    return Colour::kYellow;
  if (state == "paused" || state == "dead" || state == "rejected" || state == "exhausted" ||
      state == "expired")
    return Colour::kRed;
  return Colour::kPlain;
}

RowView JobRows(const Context& context) {
  return {{{"JOB"},
           {"STATE"},
           {"CONNECTION"},
           {"TYPE"},
           {"CUSTOMER"},
           {"AGE", Align::kRight},
           {"ATTEMPTS", Align::kRight},
           {"NEXT"},
           {"LAST REASON"}},
          [&context](const JsonValue& row) -> std::vector<Cell> {
            const std::string state = row["state"].String();
            const std::string suspect = row["suspicion"].String().empty() ? "" : " (suspect)";
            return {row["job"].String(),
                    Cell(state + suspect, StateColour(state)),
                    row["connection"].String(),
                    row["type"].String(),
                    row["customer"].String(),
                    AgeText(context, row["accepted_ms"]),
                    FormatCount(row["attempts"].Int()),
                    DueText(context, row["due_ms"]),
                    row["reason"].String()};
          }};
}

RowView AttemptRows(const Context& context) {
  return {{{"SENT"},
           {"JOB"},
           {"ATTEMPT", Align::kRight},
           {"TYPE"},
           {"CUSTOMER"},
           {"NAME"},
           {"REF"},
           {"TOOK", Align::kRight},
           {"STATUS", Align::kRight},
           {"RESULT"},
           {"ANSWER"}},
          [&context](const JsonValue& row) -> std::vector<Cell> {
            const std::string result = row["result"].String();
            const std::int64_t status = row["status"].Int();
            std::string answer = row["error"].String();
            if (answer.empty()) answer = row["answer"].String();
            return {TimeText(context, row["sent_ms"]),
                    row["job"].String(),
                    FormatCount(row["attempt"].Int()),
                    row["type"].String(),
                    row["customer"].String(),
                    row["name"].String(),
                    row["ref"].String(),
                    row["duration_ms"].IsNumber() ? ShowSpan(Milliseconds(row["duration_ms"].Int()))
                                                  : std::string(),
                    status == 0 ? std::string() : std::to_string(status),
                    Cell(result, StateColour(result)),
                    answer};
          }};
}

RowView DeadRows(const Context& context) {
  return {{{"JOB"},
           {"DEATH"},
           {"STATUS", Align::kRight},
           {"CONNECTION"},
           {"TYPE"},
           {"CUSTOMER"},
           {"DIED"},
           {"ATTEMPTS", Align::kRight},
           {"REASON"}},
          [&context](const JsonValue& row) -> std::vector<Cell> {
            const std::int64_t status = row["status"].Int();
            const std::string age = AgeText(context, row["dead_ms"]);
            return {row["job"].String(),
                    Cell(row["death"].String(), Colour::kRed),
                    status == 0 ? std::string() : std::to_string(status),
                    row["connection"].String(),
                    row["type"].String(),
                    row["customer"].String(),
                    age.empty() ? age : age + " ago",
                    FormatCount(row["attempts"].Int()),
                    row["reason"].String()};
          }};
}

std::vector<std::pair<std::string, Cell>> DeadFacts(const Context& context, const JsonValue& dead) {
  const std::int64_t status = dead["status"].Int();
  return {{"job", dead["job"].String()},
          {"death", Cell(dead["death"].String(), Colour::kRed)},
          {"reason", dead["reason"].String()},
          {"status", status == 0 ? std::string() : std::to_string(status)},
          {"answer", dead["answer"].IsString() ? dead["answer"].String()
                     : dead["answer"].IsNull() ? std::string()
                                               : dead["answer"].ToText()},
          {"cause", dead["cause"].String()},
          {"connection", dead["connection"].String()},
          {"type", dead["type"].String()},
          {"customer", dead["customer"].String()},
          {"ref", dead["ref"].String()},
          {"uid", UserText(dead["uid"])},
          {"accepted", TimeText(context, dead["accepted_ms"])},
          {"died", TimeText(context, dead["dead_ms"])},
          {"attempts", FormatCount(dead["attempts"].Int())},
          {"line", dead["line"].IsNull() ? std::string() : dead["line"].ToText()},
          {"line is", dead["line_damaged"].Bool() ? "damaged: shown as text" : ""}};
}

int WithAdmin(const Context& context, const std::function<int(AdminClient&)>& work) {
  const Result<std::filesystem::path> socket = AdminSocket(context.globals);
  if (!socket) return ReportUsage(context.console, socket.error().message);
  AdminClient client(*socket);
  return work(client);
}

int AskAndPrint(const Context& context, const std::function<Result<JsonValue>(AdminClient&)>& ask,
                const std::function<void(const JsonValue&)>& people) {
  return WithAdmin(context, [&](AdminClient& client) {
    const Result<JsonValue> answer = ask(client);
    if (!answer) return Report(context.console, answer.error());
    if (context.globals.json) {
      PrintJson(context.console, answer->ToText());
    } else {
      people(*answer);
    }
    return kExitDone;
  });
}

}  // namespace outboxd
