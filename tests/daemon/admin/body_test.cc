#include "daemon/admin/body.h"

#include <doctest/doctest.h>

#include <string>

namespace outboxd {
namespace {

constexpr Timestamp kNow = FromUnixMs(100'000);

template <typename T>
std::string FieldAtFault(const Result<T>& parsed) {
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().kind == ErrorKind::kInvalid);
  return parsed.error().field;
}

TEST_CASE("admin body: a redrive or a drop of everything has to say so") {
  for (const char* body : {"", "{}", R"({"filter":{}})", R"({"all":false})"})
    CHECK(FieldAtFault(ParseDeadScope(body, kNow)) == "filter");
  const auto all = ParseDeadScope(R"({"all":true})", kNow);
  REQUIRE(all);
  CHECK(all->filter.MatchesAll());
  CHECK(all->extent == Extent::kAll);
  const auto some = ParseDeadScope(R"({"filter":{"connection":"eu"},"dry_run":true})", kNow);
  REQUIRE(some);
  CHECK(some->filter.connection == "eu");
  CHECK(some->extent == Extent::kCountOnly);
}

TEST_CASE("admin body: a misspelt member or a value of the wrong kind is named") {
  CHECK(FieldAtFault(ParseDeadScope(R"({"al":true})", kNow)) == "al");
  CHECK(FieldAtFault(ParseDeadScope(R"({"all":1})", kNow)) == "all");
  CHECK(FieldAtFault(ParseForgetScope("{}")) == "customer");
  CHECK(FieldAtFault(ParseForgetScope(R"({"customer":42})")) == "customer");
  CHECK(FieldAtFault(ParseForgetScope(R"({"customer":"42","connection":""})")) == "connection");
  CHECK(FieldAtFault(ParseBackupPath("[]")).empty());
  CHECK(FieldAtFault(ParseBackupPath("{")).empty());
}

TEST_CASE("admin body: a forget names a customer, and a connection or all of them") {
  const auto everywhere = ParseForgetScope(R"({"customer":"42"})");
  REQUIRE(everywhere);
  CHECK(everywhere->customer == "42");
  CHECK_FALSE(everywhere->connection);
  CHECK(ParseForgetScope(R"({"customer":"42","connection":"eu"})")->connection == "eu");
}

TEST_CASE("admin body: a corrected line keeps its bytes, but for line breaks between them") {
  const auto scope = ParseAmendScope("{\"line\":{\"a\" :\n 1.50,\"b\":\"\\n\"},\"event_id\":\"new\"}");
  REQUIRE(scope);
  CHECK(scope->line == R"({"a" :  1.50,"b":"\n"})");
  CHECK(scope->event_id == EventIdChoice::kNew);
  CHECK(ParseAmendScope(R"({"line":{}})")->event_id == EventIdChoice::kNotSaid);
  for (const char* wrong : {"{}", R"({"line":"{}"})", R"({"line":null})"})
    CHECK(FieldAtFault(ParseAmendScope(wrong)) == "line");
  CHECK(FieldAtFault(ParseAmendScope(R"({"line":{},"event_id":"old"})")) == "event_id");
}

TEST_CASE("admin body: a backup goes to an absolute path without a NUL") {
  CHECK(*ParseBackupPath(R"({"path":"/tmp/x.db"})") == "/tmp/x.db");
  CHECK(FieldAtFault(ParseBackupPath(R"({"path":"x.db"})")) == "path");
  CHECK(FieldAtFault(ParseBackupPath(R"({"path":"/tmp/x\u0000.db"})")) == "path");
}

}  // namespace
}  // namespace outboxd
