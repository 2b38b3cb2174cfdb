// Attempts packed into a row of history, and read back by the program and by the view `attempts`.
#include "storage/history_pack.h"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/outbox_rows.h"

namespace outboxd {
namespace {

using test::AttemptLine;
using test::OutboxRows;

bool AreEqual(const AttemptRow& left, const AttemptRow& right) {
  return left.sequence == right.sequence && left.attempt == right.attempt && left.job == right.job &&
         left.connection == right.connection && left.type == right.type && left.customer == right.customer &&
         left.result == right.result && left.error == right.error && left.answer == right.answer &&
         left.name == right.name && left.ref == right.ref && left.sent == right.sent &&
         left.accepted == right.accepted && left.duration == right.duration && left.status == right.status &&
         left.uid == right.uid;
}

std::string Any(std::mt19937& random, std::initializer_list<std::string> texts) {
  return *(texts.begin() + random() % texts.size());
}

std::int64_t Below(std::mt19937& random, std::uint32_t bound) {
  return static_cast<std::int64_t>(random() % bound);
}

AttemptLine RandomLine(std::mt19937& random) {
  AttemptLine line;
  line.sequence = 1 + random() % 50;
  line.attempt = random() % 3 == 0 ? 1 + Below(random, 30) : 1;
  line.connection = Any(random, {"default", "eu", "track"});
  line.type = Any(random, {"track", "identify", "delivered"});
  line.customer = Any(random, {"42", "", "ü'\"; DROP TABLE history", "a\nb\\c", "0", "default"});
  line.sent_ms = 1'700'000'000'000 + Below(random, 40'000);
  line.duration_ms = Below(random, 30'000);
  line.result = Any(random, {"delivered", "deferred", "track"});
  if (random() % 4 == 0) {
    line.status.reset();
  } else {
    line.status = random() % 2 == 0 ? 200 : 503;
  }
  line.error = Any(random, {"", "connect: \"refused\"", "{}"});
  line.answer = Any(random, {"{}", "{}\n", "", "{\"meta\":{\"error\":\"bad \\u0000\"}}", "\x01"});
  line.name = Any(random, {"", "purchase", "0", "ünï\x7f"});
  line.ref = Any(random, {"", "", "order-9", "0"});
  if (random() % 2 == 0) line.uid = random() % 3 == 0 ? 0 : 1'000;
  line.accepted_ms = random() % 2 == 0 ? 1'000 : 5;
  return line;
}

std::vector<AttemptRow> Read(const OutboxRows& rows, std::int64_t id) {
  auto database = Database::Open(rows.File(), OpenMode::kReadOnly);
  REQUIRE(database);
  auto pack = database->Prepare("SELECT first_ms, records FROM history WHERE id = ?");
  REQUIRE(pack);
  REQUIRE(pack->BindAll(id).Step());
  return ReadPack(id, pack->Int(0), pack->Text(1));
}

std::string Shown(const AttemptRow& row) {
  const auto text = [](const std::string& value) { return value.empty() ? "-" : value; };
  const auto number = [](const auto& value) { return value ? std::to_string(*value) : "-"; };
  std::string shown = std::to_string(ToNumber(row.sequence)) + "|" + std::to_string(row.attempt);
  for (const std::string& part :
       {row.job, row.connection, row.type, text(row.customer), std::to_string(ToUnixMs(row.sent)),
        std::to_string(row.duration.count()), row.result, number(row.status), text(row.error),
        text(row.answer), text(row.name), text(row.ref), number(row.uid),
        std::to_string(ToUnixMs(row.accepted))})
    shown += "|" + part;
  return shown;
}

std::vector<std::string> ShownByView(Database& database) {
  auto rows = database.Prepare(
      "SELECT seq, attempt, job, connection, type, ifnull(customer, '-'), sent_ms, duration_ms, result, "
      "ifnull(status, '-'), ifnull(error, '-'), ifnull(answer, '-'), ifnull(name, '-'), ifnull(ref, '-'), "
      "ifnull(uid, '-'), accepted_ms FROM attempts");
  REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().message));
  std::vector<std::string> shown;
  for (auto row = rows->Step(); row && *row; row = rows->Step()) {
    std::string& line = shown.emplace_back(rows->Text(0));
    for (int column = 1; column < 16; ++column) line.append("|").append(rows->Text(column));
  }
  return shown;
}

}  // namespace

TEST_CASE("history pack: what is packed is read back, by the program and by the view, whatever it holds") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  OutboxRows rows;
  std::vector<std::string> shown;
  for (int round = 0; round < 30; ++round) {
    std::vector<AttemptLine> lines;
    for (std::size_t count = 1 + random() % 12; count > 0; --count) lines.push_back(RandomLine(random));
    const auto read = Read(rows, rows.AddPack(lines));
    REQUIRE(read.size() == lines.size());
    for (std::size_t at = 0; at < lines.size(); ++at) {
      const AttemptRow row = OutboxRows::RowOf(lines[at]);
      CHECK(AreEqual(read[at], row));
      shown.push_back(Shown(row));
    }
  }
  REQUIRE(rows.Handle().Execute("PRAGMA trusted_schema = OFF"));
  const std::vector<std::string> by_view = ShownByView(rows.Handle());
  REQUIRE(by_view.size() == shown.size());
  for (std::size_t at = 0; at < shown.size(); ++at) CHECK(by_view[at] == shown[at]);
}

TEST_CASE("history pack: what is ordinary is not written, and what is shared once") {
  OutboxRows rows;
  AttemptLine line;
  line.sequence = 3;
  line.name = "purchase";
  line.uid = 33;
  PackBuilder pack;
  pack.Begin(5, FromUnixMs(1'400));
  const std::array<AttemptRow, 2> attempts = {OutboxRows::RowOf(line), [&] {
                                                line.customer = "7";
                                                line.ref = "order-9";
                                                return OutboxRows::RowOf(line);
                                              }()};
  for (const AttemptRow& row : attempts) REQUIRE(pack.Add(RecordOf(row)));
  CHECK(pack.Finish() == R"([[["purchase",33]],["00000007",2,400,100,12,"42"],)"
                         R"(["00000007",2,400,100,12,"7",0,"order-9"]])");
  CHECK(pack.size() == 2);
  CHECK(pack.last() == FromUnixMs(1'500));
}

TEST_CASE("history pack: a pack ends before it is too long, but takes one attempt of any length") {
  AttemptLine line;
  line.answer = std::string(1'024, '\0');  // six bytes each
  AttemptRow large = OutboxRows::RowOf(line);
  PackBuilder pack;
  pack.Begin(1, FromUnixMs(1'500));
  REQUIRE(pack.Add(RecordOf(large)));
  CHECK(pack.Finish().size() > PackBuilder::kBytesMax);
  CHECK_FALSE(pack.Add(RecordOf(large)));

  pack.Begin(2, FromUnixMs(1'500));
  std::array<AttemptRow, 20> small;
  for (std::size_t kind = 0; kind < small.size(); ++kind) {
    small[kind] = OutboxRows::RowOf(AttemptLine{});
    small[kind].name = std::to_string(kind);
  }
  std::size_t count = 0;
  while (pack.Add(RecordOf(small[count % small.size()]))) ++count;
  const std::string before = pack.Finish();
  CHECK(before.size() <= PackBuilder::kBytesMax);
  CHECK(before.size() > PackBuilder::kBytesMax - 100);
  AttemptRow other = small[0];
  other.name = "one more kind";
  CHECK_FALSE(pack.Add(RecordOf(other)));
  CHECK(pack.Finish() == before);
  CHECK(ReadPack(2, 1'500, before).size() == count);
}

TEST_CASE("history pack: bytes that are no text become U+FFFD, also where an earlier format kept them") {
  AttemptLine line;
  line.answer = "cut \xc3";
  const AttemptRow row = OutboxRows::RowOf(line);
  PackBuilder pack;
  pack.Begin(1, FromUnixMs(1'500));
  REQUIRE(pack.Add(RecordOf(row)));
  const auto read = ReadPack(1, 1'500, pack.Finish());
  REQUIRE(read.size() == 1);
  CHECK(read[0].answer == "cut \xef\xbf\xbd");
  const auto old = ReadPack(1, 1'500, "[[[0,null,\"cut \xc3\"]],[\"00000007\",0,0,0,0,\"\"]]");
  REQUIRE(old.size() == 1);
  CHECK(old[0].answer == "cut \xef\xbf\xbd");
}

TEST_CASE("history pack: a text is searched for as it stands in a pack, or not at all") {
  CHECK(TextInPack("ü/42") == "\"ü/42\"");
  for (const char* text : {"a\"b", "a\\b", "a\nb", "\xc3"}) CHECK_FALSE(TextInPack(text));
  CHECK(IsUsualInPack("delivered"));
  CHECK_FALSE(IsUsualInPack("deferred"));
}

}  // namespace outboxd
