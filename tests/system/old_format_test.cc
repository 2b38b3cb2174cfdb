// A start with an outbox of an earlier disk format tells so before it begins.
#include <doctest/doctest.h>

#include <vector>

#include "storage/database.h"
#include "storage/schema.h"
#include "tests/support/fake_manager.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

// As that version left it.
void MakeFormat4(const std::filesystem::path& file) {
  auto database = Database::Open(file, OpenMode::kReadWrite);
  REQUIRE(database);
  REQUIRE(database->Execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL"));
  REQUIRE(
      database->Execute(ReadFile(std::filesystem::path(OUTBOXD_SOURCE_DIR) / "tests/storage/outbox_v4.sql")));
}

// What the service manager was told up to the first READY=1, which is the last of them.
std::vector<std::string> ToldAtStart(test::FakeManager& manager) {
  std::vector<std::string> told;
  do {
    told.push_back(manager.Await());
  } while (!told.back().empty() && !told.back().starts_with("READY=1"));
  return told;
}

TEST_CASE(
    "old format: the service manager and the log are told before it is upgraded, and asked for time; the "
    "next "
    "start says nothing") {
  const std::string format = std::to_string(schema::kMigrations.size());
  const std::string upgrading = "upgrading the outbox from_format=4 to_format=" + format;
  test::FakeManager manager;
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  MakeFormat4(daemon.OutboxFile());
  daemon.Start();
  const std::vector<std::string> told = ToldAtStart(manager);
  REQUIRE(told.size() == 2);
  CHECK(told[0].starts_with("EXTEND_TIMEOUT_USEC=30"));  // five minutes and a bit
  CHECK(told[0].find("STATUS=upgrading the outbox from disk format 4 to " + format) != std::string::npos);
  CHECK(told[1].starts_with("READY=1\n"));
  const std::string log = daemon.Log();
  REQUIRE(log.find(upgrading) != std::string::npos);
  CHECK(log.find(upgrading) < log.find("the outbox is upgraded"));
  CHECK(log.find("the outbox is upgraded") < log.find("started version="));
  daemon.Terminate();

  const std::string before = daemon.Log();
  while (!manager.Next().empty()) {
  }
  daemon.Start();
  CHECK(ToldAtStart(manager).size() == 1);
  CHECK(daemon.Log().find("upgrad", before.size()) == std::string::npos);
}

}  // namespace
}  // namespace outboxd
