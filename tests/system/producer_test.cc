// The producer socket's protocol: replies, codes and limits.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/ulid.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

std::string CodeOf(const JsonValue& reply) {
  return reply["error"]["code"].String();
}

// A daemon that keeps what it accepts.
void PauseDefault(DaemonUnderTest& daemon) {
  REQUIRE(daemon.Ctl({"pause", "default"}).status.code == 0);
}

TEST_CASE(
    "producer: pipelined lines are answered in their order, refused ones in between, each with its ref") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  std::vector<std::string> lines;
  for (int i = 0; i < 300; ++i) {
    const std::string ref = std::to_string(i);
    lines.push_back(i % 3 == 1 ? R"({"type":"track","id":"42","ref":")" + ref + "\"}"
                               : R"({"type":"track","id":"42","name":"x","ref":")" + ref + "\"}");
  }
  LineClient producer = daemon.Producer();
  const std::vector<JsonValue> replies = SubmitAll(producer, lines);
  std::string last;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    REQUIRE(replies[i]["ref"].String() == std::to_string(i));
    REQUIRE(replies[i]["ok"].Bool() == (i % 3 != 1));
    if (i % 3 == 1) continue;
    const std::string job = replies[i]["job"].String();
    REQUIRE(Ulid::Parse(job));
    CHECK(job != last);
    last = job;
  }
  daemon.AwaitDrained();
  CHECK(sim.Report().effects == 200);
}

TEST_CASE("producer: a reply without ref has none, and a ref comes back as it was given") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  CHECK_FALSE(daemon.Submit(R"({"type":"destroy","id":"1"})").Has("ref"));
  CHECK(daemon.Submit(R"({"type":"destroy","id":"1","ref":""})")["ref"].String("none").empty());
  CHECK(daemon.Submit(R"({"type":"destroy","id":"1","ref":"\"\u0001\n é"})")["ref"].String() == "\"\x01\n é");
}

TEST_CASE("producer: every bad line has its code and field, and the connection goes on") {
  struct Bad {
    const char* line;
    const char* code;
    const char* field;
  };
  const Bad lines[] = {
      {"nonsense", "invalid_json", ""},
      {"", "invalid_json", ""},
      {R"({"type":"track")", "invalid_json", ""},
      {R"({"type":"track","id":"1","name":"x","data":{"a":01}})", "invalid_json", ""},
      {"{\"type\":\"destroy\",\"id\":\"\xff\"}", "invalid_json", ""},
      {R"([])", "invalid_job", ""},
      {R"({})", "invalid_job", "type"},
      {R"({"type":"dance"})", "invalid_job", "type"},
      {R"({"type":"track","name":"purchase"})", "invalid_job", "id"},
      {R"({"type":"track","id":"1"})", "invalid_job", "name"},
      {R"({"type":"track","id":"1","name":"x","nmae":"x"})", "invalid_job", "nmae"},
      {R"({"type":"identify","id":"1","name":"x"})", "invalid_job", "name"},
      {R"({"type":"pageview","id":"1"})", "invalid_job", "url"},
      {R"({"type":"track","id":"1","name":"x","event_id":"not-a-ulid"})", "invalid_job", "event_id"},
      {R"({"type":"raw","method":"GET","path":"/v3/x"})", "invalid_job", "path"},
      {R"({"type":"track","id":"1","name":"x","connection":"elsewhere"})", "unknown_connection",
       "connection"},
  };
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  LineClient producer = daemon.Producer();
  for (const Bad& bad : lines) {
    INFO("line ", std::string(bad.line));
    const JsonValue reply = Parsed(producer.Ask(bad.line));
    CHECK_FALSE(reply["ok"].Bool(true));
    CHECK(CodeOf(reply) == bad.code);
    CHECK(reply["error"]["field"].String() == bad.field);
    CHECK_FALSE(reply["error"]["message"].String().empty());
  }
  CHECK(Parsed(producer.Ask(Event("1", 1)))["ok"].Bool());
  daemon.AwaitDrained();
  CHECK(sim.Report().requests == 1);
}

TEST_CASE("producer: a job keeps the user who handed it over, and only listed users may") {
  const std::string own = std::to_string(geteuid());
  const std::string other = std::to_string(geteuid() + 1);
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"listen.producer.users", "[" + own + "]"}});
  PauseDefault(daemon);
  const std::string job = daemon.Accept(Event("1", 1));
  CHECK(daemon.Admin().Get("/v1/jobs/" + job).Json()["job"]["uid"].Int(-1) == geteuid());
  CHECK(daemon.Admin().Get("/v1/jobs?uid=" + own).Json()["rows"].Items().size() == 1);
  CHECK(daemon.Admin().Get("/v1/jobs?uid=" + other).Json()["rows"].Items().empty());
  CHECK(daemon.Admin().Get("/v1/jobs?uid=root%3B").status == 400);

  daemon.SetConfig("listen.producer.users", "[" + other + "]");
  daemon.Restart();
  LineClient refused = daemon.Producer();
  const JsonValue reply = Parsed(refused.ReadLine().value_or(""));
  CHECK(CodeOf(reply) == "forbidden");
  CHECK(reply["error"]["message"].String().find(own) != std::string::npos);
  CHECK(daemon.Status()["totals"]["accepted"].Int(-1) == 0);
}

TEST_CASE("producer: the message for a missing customer names both ways to give one") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  CHECK(daemon.Submit(R"({"type":"track","name":"purchase"})")["error"]["message"].String() ==
        R"(track needs "id" or "anonymous_id")");
}

TEST_CASE("producer: a line over the limit is answered too_large, then the connection closes") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"limits.line_bytes", "2000"}});
  const std::string padding(2000, 'x');
  for (const std::string& line :
       {R"({"type":"track","id":"1","name":"x","data":{"p":")" + padding + "\"}}\n", padding + padding}) {
    LineClient producer = daemon.Producer();
    producer.Send(Event("1", 1) + "\n" + line);
    CHECK(Parsed(producer.ReadLine().value())["ok"].Bool());
    CHECK(CodeOf(Parsed(producer.ReadLine().value())) == "too_large");
    CHECK(producer.ReadToEnd().empty());
    CHECK(producer.Ended());
  }
  CHECK(daemon.Submit(Event("1", 2))["ok"].Bool());
}

TEST_CASE("producer: a last line without its newline counts when the producer ends in order") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  LineClient producer = daemon.Producer();
  producer.Send(Event("1", 1) + "\n" + Event("1", 2));
  producer.CloseWriting();
  const std::vector<JsonValue> replies = ParsedLines(producer.ReadToEnd());
  REQUIRE(replies.size() == 2);
  CHECK(replies[1]["ok"].Bool());
  CHECK(producer.Ended());
  daemon.AwaitDrained();
  CheckNumbered(sim, "1", 2);
}

TEST_CASE("producer: half a line before the end is refused, and nothing of it is stored") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  LineClient producer = daemon.Producer();
  producer.Send(R"({"type":"track","id":"1","na)");
  producer.CloseWriting();
  const std::vector<JsonValue> replies = ParsedLines(producer.ReadToEnd());
  REQUIRE(replies.size() == 1);
  CHECK(CodeOf(replies[0]) == "invalid_json");
  CHECK(daemon.Status()["totals"]["accepted"].Int() == 0);
}

TEST_CASE("producer: what was accepted before a producer vanished is delivered") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  {
    LineClient producer = daemon.Producer();
    CHECK(Parsed(producer.Ask(Event("1", 1)))["ok"].Bool());
    producer.Send(R"({"type":"track","id":"1","na)");
  }
  sim.AwaitEffects(1);
  daemon.AwaitDrained();
  CHECK(sim.Report().effects == 1);
}

TEST_CASE("producer: at the limit of jobs lines are answered busy, and taken again after delivery") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"outbox.max_jobs", "5"}});
  PauseDefault(daemon);
  for (int i = 0; i < 5; ++i) daemon.Accept(Event("1", i + 1));
  const JsonValue refused = daemon.Submit(Event("1", 6));
  CHECK(CodeOf(refused) == "busy");
  CHECK(daemon.Status()["outbox"]["jobs"].Int() == 5);
  daemon.Ctl({"resume", "default"});
  daemon.AwaitDrained();
  CHECK(daemon.Submit(Event("1", 6))["ok"].Bool());
  daemon.AwaitDrained();
  CheckNumbered(sim, "1", 6);
}

TEST_CASE("producer: at the limit of bytes lines are answered spool_full, and taken again after delivery") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"outbox.max_bytes", "1MB"}});
  PauseDefault(daemon);
  const std::string big =
      R"({"type":"track","id":"1","name":"x","data":{"p":")" + std::string(60'000, 'x') + "\"}}";
  std::uint64_t accepted = 0;
  JsonValue reply;
  const auto is_full = [&] {
    reply = daemon.Submit(big);
    if (reply["ok"].Bool()) ++accepted;
    return !reply["ok"].Bool();
  };
  REQUIRE(Await(is_full));
  CHECK(CodeOf(reply) == "spool_full");
  CHECK(accepted > 5);
  CHECK_FALSE(daemon.Status()["accepting"].Bool(true));
  CHECK(daemon.Admin().Get("/readyz").status == 503);
  CHECK(daemon.Admin().Get("/healthz").status == 200);
  daemon.Ctl({"resume", "default"});
  daemon.AwaitDrained();
  CHECK(Await([&] { return daemon.Admin().Get("/readyz").status == 200; }));
  CHECK(daemon.Submit(big)["ok"].Bool());
  daemon.AwaitDrained();
  CHECK(sim.Report().effects == accepted + 1);
}

TEST_CASE("producer: a socket file left behind by a killed daemon does not keep the next one from starting") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  daemon.Accept(Event("1", 1));
  daemon.Kill9();
  CHECK(std::filesystem::exists(daemon.ProducerSocket()));
  CHECK_FALSE(IsListening(daemon.ProducerSocket()));
  daemon.Start();
  daemon.Accept(Event("1", 2));
  daemon.AwaitDrained();
  CheckNumbered(sim, "1", 2);
}

TEST_CASE("producer: a file that is not a socket is left alone, and the daemon says so") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  WriteFile(daemon.ProducerSocket(), "precious");
  const Finished finished = daemon.RunToEnd();
  CHECK(finished.status.code == 1);
  CHECK(finished.err.find(daemon.ProducerSocket().string()) != std::string::npos);
  CHECK(ReadFile(daemon.ProducerSocket()) == "precious");
}

TEST_CASE("producer: the sockets have the mode of the config") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"listen.producer.mode", "\"0622\""}, {"listen.admin.mode", "\"0600\""}});
  const auto mode_of = [](const std::filesystem::path& path) {
    struct stat status{};
    REQUIRE(stat(path.c_str(), &status) == 0);
    CHECK(S_ISSOCK(status.st_mode));
    return status.st_mode & 0777U;
  };
  CHECK(mode_of(daemon.ProducerSocket()) == 0622U);
  CHECK(mode_of(daemon.AdminSocket()) == 0600U);
  daemon.Terminate();
  CHECK_FALSE(std::filesystem::exists(daemon.ProducerSocket()));
  CHECK_FALSE(std::filesystem::exists(daemon.AdminSocket()));
}

}  // namespace
}  // namespace outboxd
