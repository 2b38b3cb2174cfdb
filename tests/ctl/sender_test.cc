#include "ctl/sender.h"

#include <doctest/doctest.h>

#include "tests/ctl/fake_daemon.h"

namespace outboxd::test {
namespace {

std::string Refused(const std::string& code) {
  return R"({"ok":false,"error":{"code":")" + code + R"(","message":"no"}})";
}

TEST_CASE("sender: each line gets its own reply, over one connection") {
  const TempFolder folder;
  FakeProducer daemon(folder / "p.sock",
                      [](const std::string& line) { return R"({"ok":true,"line":)" + line + "}"; });
  Sender sender(folder / "p.sock");
  for (const int number : {1, 2}) {
    const Result<JsonValue> reply = sender.Send(std::to_string(number));
    REQUIRE(reply);
    CHECK((*reply)["line"].Int() == number);
  }
}

TEST_CASE("sender: after a refusal that ends the connection the next line goes over a new one") {
  const TempFolder folder;
  FakeProducer daemon(folder / "p.sock", [](const std::string& line) {
    return line == "long" ? Refused("too_large") + "!" : std::string(R"({"ok":true})");
  });
  Sender sender(folder / "p.sock");
  REQUIRE(sender.Send("long"));
  const Result<JsonValue> reply = sender.Send("short");
  REQUIRE(reply);
  CHECK((*reply)["ok"].Bool());
}

TEST_CASE("sender: no daemon, and a reply that is not JSON, are errors") {
  const TempFolder folder;
  Sender nobody(folder / "nobody.sock");
  CHECK(nobody.Connect().error().kind == ErrorKind::kUnavailable);
  FakeProducer daemon(folder / "p.sock", [](const std::string&) { return "hello"; });
  Sender sender(folder / "p.sock");
  const Result<JsonValue> reply = sender.Send("{}");
  REQUIRE_FALSE(reply);
  CHECK(reply.error().kind == ErrorKind::kInternal);
}

}  // namespace
}  // namespace outboxd::test
