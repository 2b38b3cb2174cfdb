// ctl/listing.h — what the verbs that show things share: lists page by page, and objects as aligned lines.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "ctl/commands.h"
#include "ctl/console.h"
#include "ctl/options.h"
#include "ctl/table.h"

namespace outboxd {

class AdminClient;

struct ListRequest {
  std::string path;
  Query query;
  std::optional<std::uint64_t> limit;  // absent: everything
  std::uint64_t page = 1000;
  std::string nothing;  // said to people when there is no row
};

struct RowView {
  std::vector<Column> columns;
  std::function<std::vector<Cell>(const JsonValue&)> cells;
};

// Prints the rows, as a table or one JSON object a line; follows pages up to the limit and says when there is
// more.
int PrintList(const Context& context, const ListRequest& request, const RowView& view);

// Calls `each` for every row; the count of rows and whether there are more than the limit come back.
struct ListEnd {
  std::uint64_t rows = 0;
  bool more = false;
};
Result<ListEnd> ForEachRow(AdminClient& client, const ListRequest& request,
                           const std::function<void(const JsonValue&)>& each,
                           const std::function<void()>& after_page);

// "name   value" lines; a pair with an empty value is left out. Values are escaped.
void PrintFacts(const Context& context, const std::vector<std::pair<std::string, Cell>>& facts);

// Pieces of rows.
std::string TimeText(const Context& context, const JsonValue& unix_ms);  // "" when absent
std::string UserText(const JsonValue& uid);                              // "www-data (33)"; "" when absent
std::string AgeText(const Context& context, const JsonValue& unix_ms);   // since then; "" when absent
std::string DueText(const Context& context, const JsonValue& unix_ms);   // "in 3m 12s", "now"; "" when absent
Colour StateColour(const std::string& state);                            // of jobs, connections and attempts

RowView JobRows(const Context& context);
RowView AttemptRows(const Context& context);
RowView DeadRows(const Context& context);
std::vector<std::pair<std::string, Cell>> DeadFacts(const Context& context, const JsonValue& dead);

// Connects, asks once and prints: the object with --json, else what `people` makes of it.
int AskAndPrint(const Context& context, const std::function<Result<JsonValue>(AdminClient&)>& ask,
                const std::function<void(const JsonValue&)>& people);

// Runs `work` with a client of the admin socket. Which socket that is cannot be told: reported, as usage.
int WithAdmin(const Context& context, const std::function<int(AdminClient&)>& work);

}  // namespace outboxd
