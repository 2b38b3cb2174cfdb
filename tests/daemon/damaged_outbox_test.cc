// Whatever stands in a cell of the outbox: the daemon starts again and again, and delivers the other jobs or
// says what is damaged.
#include <doctest/doctest.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/daemon/threadless_daemon.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/outbox_use.h"
#include "tests/support/stderr_capture.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::OutcomeOf;
using test::ThreadlessDaemon;
using test::TrackLine;

constexpr int kStarts = 5;
constexpr Timestamp kMade = FromUnixMs(1'700'000'000'000);

// A connection that may break every rule of the file.
class Writer {
 public:
  explicit Writer(const std::filesystem::path& file) {
    REQUIRE(sqlite3_open(file.c_str(), &handle_) == SQLITE_OK);
  }
  ~Writer() { sqlite3_close(handle_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  bool Try(const std::string& sql) {
    return sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  std::vector<std::string> Texts(const std::string& sql) {
    std::vector<std::string> texts;
    const auto add = [](void* to, int, char** values, char**) {
      static_cast<std::vector<std::string>*>(to)->emplace_back(values[0]);
      return 0;
    };
    REQUIRE(sqlite3_exec(handle_, sql.c_str(), add, &texts, nullptr) == SQLITE_OK);
    return texts;
  }
  // NULL where the schema forbids it, as a damaged page has it.
  bool TryWithoutConstraints(const std::string& sql) {
    REQUIRE(
        Try("PRAGMA writable_schema = ON; CREATE TEMP TABLE kept AS SELECT name, sql FROM sqlite_master;"
            "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table';"
            "PRAGMA writable_schema = RESET"));
    const bool done = Try(sql);
    REQUIRE(
        Try("PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = (SELECT sql FROM kept WHERE name = "
            "sqlite_master.name); PRAGMA writable_schema = RESET"));
    return done;
  }

 private:
  sqlite3* handle_ = nullptr;
};

// One job of every state, three of customer "1" parked behind a deferred one, the same of another connection,
// and one of customer "sound".
void MakeOutbox(const std::filesystem::path& file) {
  auto outbox = Outbox::Open(file, 7);
  REQUIRE(outbox);
  auto jobs =
      test::Accept(*outbox,
                   {TrackLine("1", "deferred"), TrackLine("1", "parked"), TrackLine("2", "ready"),
                    TrackLine("3", "dead"), TrackLine("4", "delivered"), TrackLine("sound", "sound"),
                    TrackLine("1", "parked second"), TrackLine("1", "parked third"),
                    TrackLine("1", "other's deferred", "other"), TrackLine("1", "other's parked", "other")},
                   kMade);
  REQUIRE(jobs);
  auto& all = *jobs;
  WriteBatch marks;
  for (const std::size_t parked : {1U, 6U, 7U})
    marks.parks.push_back({all[parked]->sequence, MakeLaneKey("default", "1"), {}});
  marks.parks.push_back({all[9]->sequence, MakeLaneKey("other", "1"), {}});
  marks.gates.emplace_back("default", GateSnapshot{GateState::kThrottled, PauseReason::kNone, "503", kMade,
                                                   kMade + Milliseconds(100), 2});
  REQUIRE(outbox->Write(marks, kMade));
  for (const std::size_t number : {0U, 8U}) {
    Outcome deferred = OutcomeOf(std::move(all[number]), OutcomeKind::kDeferred, 503, kMade);
    deferred.job->failures = deferred.job->refusals = 2;
    deferred.job->charged = 1;
    deferred.job->deliveries_at_failure = 0;
    deferred.job->suspicion = Suspicion::kTrouble;
    deferred.job->counted_at = kMade;
    REQUIRE(test::Settle(*outbox, deferred, kMade));
  }
  REQUIRE(test::Settle(*outbox, OutcomeOf(std::move(all[3]), OutcomeKind::kDead, 400, kMade), kMade));
  REQUIRE(test::Settle(*outbox, OutcomeOf(std::move(all[4]), OutcomeKind::kDelivered, 200, kMade), kMade));
  REQUIRE(outbox->maintenance().TruncateWal() == true);
}

const std::set<std::string> kWaiting = {
    "deferred",     "parked",           "ready",         "sound", "parked second",
    "parked third", "other's deferred", "other's parked"};

struct Damage {
  std::string sql;
  std::set<std::string> hits = {};  // waiting jobs that may be lost
};

// The event's name in the line of a waiting job.
std::string NameOf(Writer& writer, const std::string& sequence) {
  return writer.Texts("SELECT json_extract(line, '$.name') FROM outbox WHERE seq = " + sequence).at(0);
}

std::vector<Damage> Damages(const std::filesystem::path& file) {
  constexpr std::array kValues = {"NULL", "-1", "9223372036854775807", "'no such name'", "x'00ff'"};
  Writer writer(file);
  std::vector<Damage> damages;
  for (const std::string table :
       {"outbox", "history", "dead_letters", "connections", "counters", "sequence"}) {
    std::vector<Damage> rows = {{""}};
    if (table == "outbox") {
      rows.clear();
      for (const std::string& sequence : writer.Texts("SELECT seq FROM outbox WHERE seq IN (1, 2, 3, 7, 10)"))
        rows.push_back({" WHERE seq = " + sequence, {NameOf(writer, sequence)}});
    }
    for (const std::string& column : writer.Texts("SELECT name FROM pragma_table_info('" + table + "')")) {
      for (const char* value : kValues) {
        for (const Damage& row : rows)
          damages.push_back(
              {"UPDATE OR IGNORE " + table + " SET " + column + " = " + value + row.sql, row.hits});
      }
    }
    damages.push_back({"DELETE FROM " + table, table == "outbox" ? kWaiting : std::set<std::string>{}});
    for (const Damage& row : rows) damages.push_back({"DELETE FROM " + table + row.sql, row.hits});
  }
  for (
      const char* sql :
      {"INSERT INTO sequence SELECT reserved FROM sequence", "INSERT INTO sequence VALUES (1)",
       "INSERT INTO outbox (seq, job, connection, type, customer, accepted_ms, parked, line, uid) SELECT 50, "
       "job, connection, type, customer, accepted_ms, parked, line, uid FROM outbox WHERE seq = 3",
       "INSERT INTO dead_letters (seq, job, connection, type, customer, accepted_ms, dead_ms, death, reason, "
       "cause, attempts, line, uid) SELECT seq, job, connection, type, customer, accepted_ms, 1, 'rejected', "
       "'r', 'c', attempts, line, uid FROM outbox WHERE customer <> 'sound'",
       "INSERT INTO counters (connection, jobs, dead, attempts, delivered) VALUES ('nobody', 7, 7, 7, 7)",
       "UPDATE counters SET uid = 7 WHERE uid IS NULL", "UPDATE counters SET uid = 'x' WHERE uid IS NOT NULL",
       "UPDATE counters SET delivered = 1 << 48",
       "UPDATE outbox SET deliveries_at_failure = 1 << 47 WHERE customer <> 'sound'",
       "UPDATE outbox SET suspicion = 'auth', refusals = 1 << 40, counted_ms = 1 << 62, failures = 1 << 40, "
       "charged = 1 WHERE customer <> 'sound'",
       "UPDATE outbox SET suspicion = 'region', refusals = -1, counted_ms = -1, failures = -1 WHERE "
       "customer "
       "<> 'sound'",
       "UPDATE counters SET jobs = 0, dead = 0, attempts = 0",
       "INSERT INTO connections SELECT 'nobody', state, pause, detail, since_ms, reopen_ms, failures FROM "
       "connections",
       "UPDATE outbox SET parked = 7 WHERE customer <> 'sound'",
       "UPDATE outbox SET parked = 1.5 WHERE customer <> 'sound'",
       "UPDATE outbox SET parked = -7 WHERE seq = 3",
       "UPDATE outbox SET parked = (SELECT parked FROM outbox WHERE seq = 10) WHERE seq IN (3, 7)",
       "UPDATE connections SET state = 'paused', pause = 'x', reopen_ms = -1 WHERE 0"})
    damages.push_back({sql});
  damages.push_back({"UPDATE outbox SET connection = 'other' WHERE seq = 2", {"parked"}});
  return damages;
}

class Daemon {
 public:
  explicit Daemon(const std::filesystem::path& file) {
    setup_.file = file;
    for (const std::string name : {"default", "other"}) {
      ConnectionConfig connection;
      connection.name = name;
      connection.site_id.value = "site";
      connection.api_key.value = "key";
      setup_.endpoints.emplace(name, std::make_shared<const Endpoint>(Endpoint{connection, {"site", "key"}}));
    }
    setup_.disk_free = [] { return std::uint64_t{1} << 40; };
  }

  // Delivers a new job beside what is there. The error that ends the daemon, if one does.
  Result<void> StartOnce() {
    setup_.seed++;
    now_ += Milliseconds(1'000);
    RETURN_IF_ERROR(daemon_.Start(setup_, now_));
    const Counts counted = daemon_.clerk().outbox().Total();
    CHECK(counted.jobs == static_cast<std::uint64_t>(test::Ask(setup_.file, "SELECT count(*) FROM outbox")));
    CHECK(counted.dead ==
          static_cast<std::uint64_t>(test::Ask(setup_.file, "SELECT count(*) FROM dead_letters")));
    CHECK(counted.attempts == test::CountAttempts(setup_.file));
    const std::string name = "new " + std::to_string(++starts_);
    REQUIRE(daemon_.Submit({TrackLine("new", name)}));
    RETURN_IF_ERROR(RunUntil(name, kRoundsMax));
    CHECK_MESSAGE(delivered.contains(name), name);
    return {};
  }
  Result<void> Operate() {
    daemon_.Redrive({});
    daemon_.Cancel(Sequence{3});
    daemon_.Forget("1", [](Sequence) {});
    return RunUntil("nothing", 60);
  }
  void Stop() { daemon_.Stop(); }

  std::set<std::string> delivered;  // event names
  std::vector<std::string> order;   // the same as they came
  std::vector<int> refusals;        // statuses that the next requests are answered with, the last one first

 private:
  Result<void> RunUntil(const std::string& name, int rounds_max) {
    for (int round = 0; round < rounds_max && !delivered.contains(name); ++round) {
      const Clerk::Done done = daemon_.WorkClerk(now_);
      if (done.fatal) return Failure(*done.fatal);
      ThreadlessDaemon::Round sent = daemon_.Dispatch(1'000, now_);
      RETURN_IF_ERROR(sent.pumped);
      for (Transfer& transfer : sent.transfers) Answer(std::move(transfer));
      if (sent.transfers.empty() && round > 3)
        now_ =
            std::max(now_ + Milliseconds(1), std::min(daemon_.dispatcher().NextWake(now_), now_ + kPatience));
    }
    return Settle();
  }
  // Writes what was delivered.
  Result<void> Settle() {
    for (int round = 0; round < 3; ++round) {
      for (Transfer& transfer : daemon_.Dispatch(1'000, now_).transfers) Answer(std::move(transfer));
      const Clerk::Done done = daemon_.WorkClerk(now_);
      if (done.fatal) return Failure(*done.fatal);
      CHECK_MESSAGE(daemon_.clerk().State().not_healthy.empty(), daemon_.clerk().State().not_healthy);
    }
    return {};
  }
  void Answer(Transfer transfer) {
    Finished finished;
    finished.answer.status = 200;
    if (transfer.job && !refusals.empty()) {
      finished.answer.status = refusals.back();
      refusals.pop_back();
    }
    for (const auto& job : transfer.Jobs()) {
      CHECK(job->job.connection == transfer.connection);
      if (finished.answer.status != 200) continue;
      delivered.insert(job->job.name);
      order.push_back(job->job.name);
    }
    finished.sent = now_;
    finished.duration = Milliseconds(1);
    finished.ending = Ending::kAnswered;
    finished.answer.body = R"({"region":"us","environment_id":1})";
    finished.transfer = std::move(transfer);
    daemon_.Finish(std::move(finished));
  }

  static constexpr Milliseconds kPatience = std::chrono::hours(24);
  // A second each when nothing else is due: longer than a gate may stay closed, which is retry_after_cap.
  static constexpr int kRoundsMax = 1000;
  ThreadlessDaemon::Setup setup_;
  ThreadlessDaemon daemon_;
  Timestamp now_ = kMade;
  int starts_ = 0;
};

// What `damage` does to five starts in turn.
void Survive(const std::filesystem::path& file, const Damage& damage) {
  Daemon daemon(file);
  for (int start = 0; start < kStarts; ++start) {
    Result<void> done = daemon.StartOnce();
    if (done && start == kStarts - 1) done = daemon.Operate();
    daemon.Stop();
    if (done) continue;
    CHECK_MESSAGE(done.error().kind == ErrorKind::kCorrupt, done.error().message);
    CHECK_MESSAGE(done.error().message.find(file.string()) != std::string::npos, done.error().message);
    return;
  }
  for (const std::string& name : kWaiting)
    CHECK_MESSAGE((damage.hits.contains(name) || daemon.delivered.contains(name)), name);
}

}  // namespace

TEST_CASE(
    "damaged outbox: any value in any cell ends in five starts that deliver the other jobs, or in a clear "
    "error") {
  TempDir folder;
  const std::filesystem::path whole = folder / "whole.db";
  MakeOutbox(whole);
  const test::StderrCapture log;  // it tells each recount
  for (const Damage& damage : Damages(whole)) {
    CAPTURE(damage.sql);
    const test::FaultVfs vfs;  // for its speed: it syncs nothing
    const TempDir own;
    const std::filesystem::path file = own / "outbox.db";
    std::filesystem::copy_file(whole, file);
    if (!Writer(file).TryWithoutConstraints(damage.sql)) continue;  // the table's key forbids it
    Survive(file, damage);
  }
}

TEST_CASE(
    "damaged outbox: a lane key that is not an integer stops nothing, and its job goes in its lane's order") {
  for (const char* key : {"'no such name'", "x'00ff'", "1.5", "-1e300"}) {
    CAPTURE(key);
    TempDir folder;
    const std::filesystem::path file = folder / "outbox.db";
    MakeOutbox(file);
    REQUIRE(Writer(file).Try("UPDATE outbox SET parked = " + std::string(key) + " WHERE parked IS NOT NULL"));
    const test::FaultVfs vfs;
    Daemon daemon(file);
    const Result<void> done = daemon.StartOnce();
    REQUIRE_MESSAGE(done, (done ? "" : done.error().message));
    daemon.Stop();
    for (const char* name : {"deferred", "parked", "ready", "sound"})
      CHECK_MESSAGE(daemon.delivered.contains(name), name);
    const auto at = [&](const char* name) {
      return std::find(daemon.order.begin(), daemon.order.end(), name);
    };
    CHECK(at("deferred") < at("parked"));
  }
}

TEST_CASE("damaged outbox: whatever is known of a job's failures, it may fail again and harms no other") {
  TempDir folder;
  const std::filesystem::path whole = folder / "whole.db";
  MakeOutbox(whole);
  const test::StderrCapture log;
  for (const std::string column :
       {"outbox SET failures", "outbox SET charged", "outbox SET refusals", "outbox SET counted_ms",
        "outbox SET deliveries_at_failure", "outbox SET suspicion", "counters SET delivered"}) {
    for (const std::string value : {"-1", "9223372036854775807", "'auth'", "'no such name'", "x'00ff'"}) {
      for (const int status : {500, 403, 301, 404}) {
        CAPTURE(column);
        CAPTURE(value);
        CAPTURE(status);
        const test::FaultVfs vfs;
        const TempDir own;
        const std::filesystem::path file = own / "outbox.db";
        std::filesystem::copy_file(whole, file);
        const std::string rows = column.starts_with("outbox") ? " WHERE customer <> 'sound'" : "";
        REQUIRE(Writer(file).Try("UPDATE " + column + " = " + value + rows));
        Daemon daemon(file);
        daemon.refusals = std::vector<int>(4, status);
        for (int start = 0; start < 2; ++start) {
          const Result<void> done = daemon.StartOnce();
          REQUIRE_MESSAGE(done, (done ? "" : done.error().message));
          daemon.Stop();
        }
        CHECK(daemon.refusals.empty());
        CHECK(daemon.delivered.contains("sound"));
      }
    }
  }
}

TEST_CASE("damaged outbox: counters that do not match the rows are counted anew, and that is logged once") {
  TempDir folder;
  const std::filesystem::path file = folder / "outbox.db";
  MakeOutbox(file);
  REQUIRE(Writer(file).Try("UPDATE counters SET jobs = 7 WHERE connection = 'default'"));
  const test::StderrCapture log;
  Daemon daemon(file);
  for (int start = 0; start < 3; ++start) {
    REQUIRE(daemon.StartOnce());
    daemon.Stop();
  }
  CHECK(log.Count("counters did not match the rows") == 1);
  CHECK(log.Count("7 jobs, 1 dead, 3 attempts, 1 delivered") == 1);
}

}  // namespace outboxd
