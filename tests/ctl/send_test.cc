// outboxctl send against a producer socket whose answers are written here.
#include <doctest/doctest.h>

#include "tests/ctl/fake_daemon.h"

namespace outboxd::test {
namespace {

struct ProducerFixture {
  explicit ProducerFixture(FakeProducer::Handler handler)
      : producer(folder / "producer.sock", std::move(handler)) {}
  Ran Run(std::vector<std::string> arguments, const RunOptions& options = {}) {
    arguments.insert(arguments.begin(), {"--producer", (folder / "producer.sock").string()});
    return RunCtl(arguments, options);
  }
  TempFolder folder;
  FakeProducer producer;
};

std::string Reply(const std::string& line) {
  if (Contains(line, "huge"))
    return R"({"ok":false,"error":{"code":"too_large","message":"line too long"}}!)";
  if (Contains(line, "crowd"))
    return R"({"ok":false,"error":{"code":"busy","message":"too many producers are connected"}}!)";
  if (Contains(line, "disk"))
    return R"({"ok":false,"error":{"code":"internal","message":"the outbox cannot be written"}})";
  if (Contains(line, "busy"))
    return R"({"ok":false,"error":{"code":"busy","message":"queue limit reached"}})";
  if (Contains(line, "bad"))
    return R"({"ok":false,"error":{"code":"invalid_job","field":"id","message":"track needs \"id\""},"ref":"r"})";
  return R"({"ok":true,"job":"01JDB3T0C5W7X8Y9Z0ABCDEFGH"})";
}

TEST_CASE("send: prints the job id, or the reply with --json") {
  ProducerFixture daemon(Reply);
  const Ran ran = daemon.Run(
      {"send", "track", "--id", "42", "--name", "purchase", "--data", R"({"price":23.45})", "--ref", "x"});
  CHECK(ran.code == 0);
  CHECK(ran.out == std::string(kJob) + "\n");
  CHECK(daemon.producer.Lines().back() ==
        R"({"type":"track","id":"42","name":"purchase","data":{"price":23.45},"ref":"x"})");
  CHECK(daemon.Run({"send", "destroy", "--id", "42", "--json"}).out ==
        R"({"ok":true,"job":"01JDB3T0C5W7X8Y9Z0ABCDEFGH"})"
        "\n");
  CHECK(daemon.Run({"--json", "send", "destroy", "--id", "42"}).out ==
        R"({"ok":true,"job":"01JDB3T0C5W7X8Y9Z0ABCDEFGH"})"
        "\n");
}

TEST_CASE("send: a finished line goes out as it is") {
  ProducerFixture daemon(Reply);
  const std::string line = R"({"type":"track",  "id":"42","name":"x","data":{"n":1e400}})";
  CHECK(daemon.Run({"send", "--json", line}).code == 0);
  CHECK(daemon.producer.Lines().back() == line);
  CHECK(daemon.Run({"send", "--json", "a\nb"}).code == 2);
}

TEST_CASE("send: a refusal ends with 1, busy with 75") {
  ProducerFixture daemon(Reply);
  const Ran bad = daemon.Run({"send", "destroy", "--id", "bad"});
  CHECK(bad.code == 1);
  CHECK(bad.err == "outboxctl: id: track needs \"id\"\n");
  CHECK(bad.out.empty());
  CHECK(daemon.Run({"send", "destroy", "--id", "busy"}).code == 75);
  CHECK(daemon.Run({"send", "destroy", "--id", "disk"}).code == 75);
  CHECK(Contains(daemon.Run({"send", "destroy", "--id", "bad", "--json"}).out, R"("field":"id")"));
}

TEST_CASE("send: --json - sends each line of the input and tells the worst in its exit code") {
  ProducerFixture daemon(Reply);
  const Ran ran = daemon.Run({"send", "--json", "-"}, {"{\"a\":1}\n\n{\"busy\":1}\n{\"c\":1}"});
  CHECK(ran.code == 75);
  CHECK(LineCount(ran.out) == 3);
  CHECK(daemon.producer.Lines() == std::vector<std::string>{"{\"a\":1}", "{\"busy\":1}", "{\"c\":1}"});
  CHECK(daemon.Run({"send", "--json", "-"}, {"{\"busy\":1}\n{\"bad\":1}\n"}).code == 1);
}

TEST_CASE("send: --json - sends the lines behind an answer that ends the connection by a new one") {
  ProducerFixture daemon(Reply);
  const Ran huge =
      daemon.Run({"send", "--json", "-"}, {"{\"a\":1}\n{\"huge\":1}\n{\"busy\":1}\n{\"c\":1}\n"});
  CHECK(huge.code == 1);
  CHECK(LineCount(huge.out) == 4);
  CHECK(daemon.producer.Lines() ==
        std::vector<std::string>{"{\"a\":1}", "{\"huge\":1}", "{\"busy\":1}", "{\"c\":1}"});
  const Ran crowd = daemon.Run({"send", "--json", "-"}, {"{\"crowd\":1}\n{\"c\":1}\n"});
  CHECK(crowd.code == 75);
  CHECK(LineCount(crowd.out) == 2);
}

TEST_CASE("send: every type has its flags") {
  ProducerFixture daemon(Reply);
  const std::string file = daemon.folder.Write("data.json", "{ \"a\": 1 }");
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"identify", "--id", "1", "--attribute", "plan=pro", "--attribute", "tags:=[1,2]"},
       R"({"type":"identify","id":"1","attributes":{"plan":"pro","tags":[1,2]}})"},
      {{"identify", "--id", "1", "--attributes", "@" + file},
       R"({"type":"identify","id":"1","attributes":{"a":1}})"},
      {{"pageview", "--anonymous-id", "1", "--url", "/x"},
       R"({"type":"pageview","anonymous_id":"1","url":"/x"})"},
      {{"suppress", "--id", "1"}, R"({"type":"suppress","id":"1"})"},
      {{"unsuppress", "--id", "1"}, R"({"type":"unsuppress","id":"1"})"},
      {{"add_device", "--id", "1", "--device-id", "t", "--platform", "ios"},
       R"({"type":"add_device","id":"1","device":{"id":"t","platform":"ios"}})"},
      {{"delete_device", "--id", "1", "--device-id", "t"},
       R"({"type":"delete_device","id":"1","device_id":"t"})"},
      {{"merge", "--primary", "id=1", "--secondary", "email=x@y"},
       R"({"type":"merge","primary":{"id":"1"},"secondary":{"email":"x@y"}})"},
      {{"form", "--form-id", "f", "--data-field", "email=x@y"},
       R"({"type":"form","form_id":"f","data":{"email":"x@y"}})"},
      {{"add_to_segment", "--segment-id", "7", "--id", "[1]", "--id", "2"},
       R"({"type":"add_to_segment","segment_id":"7","ids":["[1]","2"]})"},
      {{"remove_from_segment", "--segment-id", "7", "--ids", "1"},
       R"({"type":"remove_from_segment","segment_id":"7","ids":["1"]})"},
      {{"metric", "--delivery-id", "d", "--metric", "opened"},
       R"({"type":"metric","delivery_id":"d","metric":"opened"})"},
      {{"raw", "--method", "POST", "--path", "/v2/batch", "--body-json", "@" + file, "--max-retries", "2"},
       R"({"type":"raw","method":"POST","path":"/v2/batch","body":{"a":1},"retry":{"max_retries":2}})"},
      {{"raw", "--method", "POST", "--path", "/v1/x", "--file", "up=" + file},
       R"({"type":"raw","method":"POST","path":"/v1/x","files":[{"name":"up","filename":"data.json","content_base64":"eyAiYSI6IDEgfQ=="}]})"},
  };
  for (const auto& [flags, line] : cases) {
    std::vector<std::string> arguments = {"send"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Ran ran = daemon.Run(arguments);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    CHECK(daemon.producer.Lines().back() == line);
  }
}

TEST_CASE("send: a daemon that closes without an answer ends with 69") {
  ProducerFixture daemon([](const std::string&) { return ""; });
  CHECK(daemon.Run({"send", "destroy", "--id", "1"}).code == 69);
}

}  // namespace
}  // namespace outboxd::test
