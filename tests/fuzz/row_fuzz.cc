// Any values in the columns of the outbox's rows, as a damaged file may have them: every reader copes, and so
// does the next start.
#include <fuzzer/FuzzedDataProvider.h>
#include <sqlite3.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>

#include "storage/inspection.h"
#include "storage/outbox.h"
#include "storage/outbox_reader.h"
#include "tests/fuzz/demand.h"

namespace outboxd {
namespace {

struct Table {
  const char* name;
  std::array<const char*, 24> columns;  // null behind the last
};

constexpr std::array<Table, 7> kTables = {{
    {"outbox", {"seq",       "job",          "connection",    "type",
                "customer",  "accepted_ms",  "redriven_ms",   "attempts",
                "charged",   "due_ms",       "parked",        "reason",
                "line",      "uid",          "failures",      "deliveries_at_failure",
                "suspicion", "refusals",     "counted_ms",    "boot",
                "boot_ms",   "synchronised", "redriven_boot", "redriven_boot_ms"}},
    {"history", {"id", "first_ms", "last_ms", "rows", "records"}},
    {"dead_letters",
     {"seq", "job", "connection", "type", "customer", "accepted_ms", "dead_ms", "death", "status", "reason",
      "cause", "attempts", "line", "uid", "boot", "boot_ms", "synchronised"}},
    {"connections", {"name", "state", "pause", "detail", "since_ms", "reopen_ms", "failures"}},
    {"counters", {"connection", "jobs", "dead", "attempts", "delivered", "through"}},
    {"sequence", {"reserved"}},
    {"boots", {"number", "id", "offset_ms", "set_ms"}},
}};

class Surroundings {
 public:
  Surroundings() {
    std::filesystem::remove(file);
    Demand(Outbox::Open(file, 1).has_value(), "the outbox opens");
    Demand(sqlite3_open(file.c_str(), &writer_) == SQLITE_OK, "it opens for damage");
  }
  ~Surroundings() {
    sqlite3_close(writer_);
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(file.string() + suffix);
  }

  void Fill(FuzzedDataProvider& input) {
    Execute(
        "PRAGMA synchronous = OFF; DELETE FROM outbox; DELETE FROM history; DELETE FROM dead_letters; "
        "DELETE FROM connections; DELETE FROM counters; DELETE FROM sequence; INSERT INTO sequence VALUES "
        "(1000)");
    for (int left = input.ConsumeIntegralInRange(1, 4); left > 0; --left)
      Insert(input, kTables[input.ConsumeIntegralInRange<std::size_t>(0, kTables.size() - 1)]);
  }

  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("row_fuzz." + std::to_string(getpid()) + ".db");

 private:
  void Execute(const char* sql) { sqlite3_exec(writer_, sql, nullptr, nullptr, nullptr); }

  // What the table's own constraints refuse is not inserted.
  void Insert(FuzzedDataProvider& input, const Table& table) {
    std::string columns, marks;
    int count = 0;
    for (const char* column : table.columns) {
      if (column == nullptr) break;
      columns.append(count == 0 ? "" : ",").append(column);
      marks += count++ == 0 ? "?" : ",?";
    }
    const std::string sql =
        std::string("INSERT OR IGNORE INTO ") + table.name + " (" + columns + ") VALUES (" + marks + ")";
    sqlite3_stmt* statement = nullptr;
    Demand(sqlite3_prepare_v2(writer_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK,
           "the row's statement is right");
    for (int column = 1; column <= count; ++column) Bind(input, statement, column);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
  }

  static void Bind(FuzzedDataProvider& input, sqlite3_stmt* statement, int column) {
    constexpr std::array<const char*, 10> kTexts = {
        "default",
        "track",
        "01JDB3T0C5W7X8Y9Z0ABCDEFGH",
        R"({"type":"track","id":"1","name":"n"})",
        "open",
        "auth",
        "delivered",
        "rejected",
        R"([[["n",33],[]],["ABCDEFGH",0,5,1,12,"1",1,"r",2,9]])",
        R"([[[1e99]],["A",-1e18,1.5],[[]],["B",9,-7,0,"x",{},-1]])"};
    switch (input.ConsumeIntegralInRange(0, 6)) {
      case 0:
        sqlite3_bind_null(statement, column);
        return;
      case 1:
        sqlite3_bind_int64(statement, column, input.ConsumeIntegral<sqlite3_int64>());
        return;
      case 2:
        sqlite3_bind_int64(statement, column, input.ConsumeIntegralInRange<sqlite3_int64>(0, 100));
        return;
      case 3:
        sqlite3_bind_double(statement, column, input.ConsumeFloatingPoint<double>());
        return;
      case 4: {
        const std::string bytes = input.ConsumeRandomLengthString(300);
        sqlite3_bind_blob(statement, column, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
        return;
      }
      case 5: {
        const std::string text = input.ConsumeRandomLengthString(300);
        sqlite3_bind_text(statement, column, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
        return;
      }
      default:
        sqlite3_bind_text(statement, column, input.PickValueInArray(kTexts), -1, SQLITE_STATIC);
    }
  }

  sqlite3* writer_ = nullptr;
};

void ReadAll(OutboxReader& reader) {
  const auto page = reader.ReadAfter("default", Sequence{}, 100, 1 << 20, 1000);
  for (std::size_t index = 0; page && index < page->jobs.size(); ++index)
    Demand(page->jobs[index].job != nullptr, "a damaged row is a job of a kind");
  static_cast<void>(reader.ReadOne(Sequence{1}));
  static_cast<void>(reader.ReadDeferred("default", [](const StoredJob&) {}));
  const auto lanes = reader.ReadParkedLanes("default");
  for (std::size_t index = 0; lanes && index < lanes->size(); ++index) {
    static_cast<void>(reader.ReadParked("default", (*lanes)[index].lane, (*lanes)[index].first, 10, 1 << 20));
  }
  static_cast<void>(reader.CountParked("default"));
  static_cast<void>(reader.ReadGates());
  static_cast<void>(reader.Oldest("default"));
  static_cast<void>(reader.CountDead({}));
}

// It opens with counters that match, or says that it is damaged.
void StartAgain(const std::filesystem::path& file, OutboxReader& reader) {
  Result<Outbox> outbox = Outbox::Open(file, 1);
  if (!outbox) {
    Demand(outbox.error().kind == ErrorKind::kCorrupt, "an outbox that does not open is damaged");
    return;
  }
  outbox->CheckInvariants();
  const auto dead = reader.CountDead({});
  Demand(!dead || *dead == outbox->Total().dead, "dead letters are counted");
}

void LookAtAll(Inspection& inspection) {
  const auto jobs = inspection.Jobs({}, {});
  for (std::size_t index = 0; jobs && index < jobs->rows.size(); ++index)
    static_cast<void>(inspection.Job(jobs->rows[index].sequence));
  static_cast<void>(inspection.DeadRows({}, {}, Detail::kFull));
  static_cast<void>(inspection.DeadGroups());
  static_cast<void>(inspection.Attempts(*Ulid::Parse("01JDB3T0C5W7X8Y9Z0ABCDEFGH")));
  static_cast<void>(inspection.Attempts(AttemptFilter{}, {}));
}

}  // namespace
}  // namespace outboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outboxd;
  static Surroundings surroundings;
  static OutboxReader reader = std::move(*OutboxReader::Open(surroundings.file));
  static Inspection inspection = std::move(*Inspection::Open(surroundings.file));
  FuzzedDataProvider input(data, size);
  surroundings.Fill(input);
  ReadAll(reader);
  if (input.ConsumeIntegralInRange(0, 7) == 0) StartAgain(surroundings.file, reader);
  LookAtAll(inspection);
  return 0;
}
