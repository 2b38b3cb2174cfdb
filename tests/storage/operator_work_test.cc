// What an operator's work does to the packed history. The rest of it: outbox_test.cc, amend_test.cc.
#include "storage/operator_work.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/outbox.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::Ask;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);
constexpr const char* kSecret = "forget-me@example.com";

struct Fixture {
  Fixture() {
    auto opened = Outbox::Open(file, 7);
    REQUIRE(opened);
    outbox.emplace(std::move(*opened));
  }
  // Delivered by one commit; each with its customer as answer.
  void Deliver(const std::vector<std::pair<std::string, std::string>>& lines) {
    std::vector<Outcome> outcomes;
    WriteBatch batch;
    for (const auto& [customer, line] : lines) {
      auto jobs = test::Accept(*outbox, {line}, kNow);
      REQUIRE(jobs);
      outcomes.push_back(
          test::OutcomeOf(std::move(jobs->front()), OutcomeKind::kDelivered, 200, kNow + Milliseconds(9)));
      outcomes.back().attempt->answer = customer;
    }
    for (const Outcome& outcome : outcomes) batch.outcomes.push_back(&outcome);
    REQUIRE(outbox->Write(batch, kNow));
  }
  bool HasBytes(const std::string& text) const {
    return ReadFile(file).find(text) != std::string::npos ||
           ReadFile(file.string() + "-wal").find(text) != std::string::npos;
  }

  TempDir folder;
  std::filesystem::path file = folder / "outbox.db";
  std::optional<Outbox> outbox;
};

}  // namespace

TEST_CASE("forget: a customer's attempts leave the rows that others share, whose own stay as they were") {
  Fixture fixture;
  fixture.Deliver({{kSecret, test::TrackLine(kSecret, "one")},
                   {"stays", test::TrackLine("stays")},
                   {"odd", R"({"type":"track","id":"odd \"one","name":"n","ref":"r"})"},
                   {kSecret, test::TrackLine(kSecret, "two")}});
  REQUIRE(Ask(fixture.file, "SELECT count(*) FROM history") == 1);
  const std::string others =
      "SELECT group_concat(seq || job || customer || name || ifnull(ref, '-') || answer || sent_ms || "
      "accepted_ms, ' ') FROM attempts WHERE seq IN (2, 3)";
  const std::string before = test::AskText(fixture.file, others);
  REQUIRE(before.size() > 100);
  REQUIRE(fixture.HasBytes(kSecret));

  CHECK(test::Forget(*fixture.outbox, kSecret)->attempts == 2);
  CHECK_FALSE(fixture.HasBytes(kSecret));
  CHECK(test::AskText(fixture.file, others) == before);
  CHECK(Ask(fixture.file, "SELECT rows FROM history") == 2);
  test::CheckCounts(*fixture.outbox, fixture.file);
  CHECK(test::Forget(*fixture.outbox, "odd \"one")->attempts == 1);
  CHECK(test::Forget(*fixture.outbox, "stays", "elsewhere")->attempts == 0);
  CHECK(test::Forget(*fixture.outbox, "stays", "default")->attempts == 1);
  CHECK(Ask(fixture.file, "SELECT count(*) FROM history") == 0);
  test::CheckCounts(*fixture.outbox, fixture.file);
}

TEST_CASE("forget: a damaged row of history goes if it may be the customer's; pruning takes any") {
  Fixture fixture;
  {
    auto database = Database::Open(fixture.file, OpenMode::kReadWrite);
    REQUIRE(database);
    REQUIRE(
        database->Execute("INSERT INTO history VALUES (1, 0, 0, 1, '[[\"stays\"'), (2, 0, 'x', -1, "
                          "'[[\"forget-me@example.com\"'), (-3, 0, 0, 1 << 60, x'00ff')"));
  }
  REQUIRE(test::Forget(*fixture.outbox, kSecret));
  CHECK(Ask(fixture.file, "SELECT count(*) FROM history") == 2);
  CHECK_FALSE(fixture.HasBytes(kSecret));
  for (int step = 0; step < 4; ++step) REQUIRE(fixture.outbox->maintenance().PruneHistory(kNow, 0, 1));
  CHECK(Ask(fixture.file, "SELECT count(*) FROM history") == 0);
}

}  // namespace outboxd
