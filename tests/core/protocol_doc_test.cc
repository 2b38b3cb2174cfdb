// docs/protocol.md keeps its word: each example is read, refused or sent as it says there. Its table of
// types, like the list in docs/outboxctl.1, is that of core/job_types.h.
#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/job_line.h"
#include "core/job_types.h"
#include "core/json.h"
#include "core/request.h"
#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

struct Example {
  std::size_t line_number = 0;
  std::string line;
  std::string reply;
  std::vector<std::string> request;  // method and target, then the body
};

std::vector<Example> ReadExamples() {
  std::ifstream document(OUTBOXD_SOURCE_DIR "/docs/protocol.md");
  std::vector<Example> examples;
  bool inside = false;
  std::size_t number = 0;
  for (std::string text; std::getline(document, text);) {
    ++number;
    if (text.starts_with("```")) inside = text == "```json";
    if (!inside || text.starts_with("```")) continue;
    const std::string mark = text.substr(0, 3);
    const std::string rest = text.substr(std::min<std::size_t>(3, text.size()));
    if (mark == "-> ") {
      examples.push_back({number, rest, {}, {}});
    } else if (mark == "<- " && !examples.empty()) {
      examples.back().reply = rest;
    } else if (mark == "=> " && !examples.empty()) {
      examples.back().request.push_back(rest);
    } else {
      FAIL("line ", number, " of a json block is neither ->, <- nor =>: ", text);
    }
  }
  return examples;
}

void CheckRefusal(const Example& example, const JsonValue& reply) {
  const auto job = ParseJobLine(example.line);
  REQUIRE_MESSAGE(!job, "is accepted");
  const JsonValue error = reply["error"];
  CHECK(error["code"].String() == NameOf(job.error().code));
  CHECK(error["field"].String() == job.error().field);
  CHECK(error["message"].String() == job.error().message);
  CHECK(reply.Has("ref") == job.error().has_ref);
  CHECK(reply["ref"].String() == job.error().ref);
}

// The document's jobs are accepted at the same moment under the same id.
void CheckRequest(const Example& example, const Job& job) {
  const Stamp stamp{Ulid::Parse("01JDB3T0C5W7X8Y9Z0ABCDEFGH").value(), FromUnixMs(1'732'318'658'949)};
  const HttpRequest request = BuildRequest(job, stamp);
  REQUIRE(example.request.size() <= 2);
  if (!example.request.empty()) CHECK(example.request[0] == request.method + " " + request.target);
  if (example.request.size() == 2) {
    CHECK(example.request[1] == request.body);
  } else if (!example.request.empty() && job.type != JobType::kRaw) {
    CHECK(request.body.empty());
  }
}

TEST_CASE("protocol document: every example is true") {
  std::set<JobType> types;
  for (const Example& example : ReadExamples()) {
    CAPTURE(example.line_number);
    CAPTURE(example.line);
    const auto reply = JsonValue::Parse(example.reply.empty() ? "{}" : example.reply);
    REQUIRE(reply);
    if (reply->Has("error")) {
      CheckRefusal(example, *reply);
      continue;
    }
    const Job job = testing::Read(example.line);
    CHECK((*reply)["ref"].String() == job.ref);
    CheckRequest(example, job);
    if (!example.request.empty()) types.insert(job.type);
  }
  CHECK_MESSAGE(types.size() == kJobTypeCount, "each type has an example with its request");
}

std::string Quoted(members::Name name) {
  return "`" + std::string(members::TextOf(name)) + "`";
}

// As the document's table has it: | `track` | `id` or `anonymous_id`, `name` | `data`, `timestamp`,
// `event_id` |
std::string TableLine(const JobTypeRow& row) {
  std::string required;
  for (const Need& need : row.required) {
    if (need.member == members::Name::kType) continue;
    required += (required.empty() ? "" : ", ") + Quoted(need.member);
    if (need.or_else != need.member) required += " or " + Quoted(need.or_else);
  }
  std::string optional;
  for (const members::Rule& rule : members::Rules()) {
    if (row.optional.Has(rule.name)) optional += (optional.empty() ? " " : ", ") + Quoted(rule.name);
  }
  return "| `" + std::string(row.name) + "` | " + required + " |" + optional + " |";
}

TEST_CASE("protocol document: its table of types says what each type requires and may have") {
  std::vector<std::string> expected = {"| type | required | optional |", "|---|---|---|"};
  for (const JobTypeRow& row : kJobTypes) expected.push_back(TableLine(row));
  std::ifstream document(OUTBOXD_SOURCE_DIR "/docs/protocol.md");
  std::string line;
  while (std::getline(document, line) && line != expected.front()) continue;
  for (const std::string& one : expected) {
    CHECK(line == one);
    std::getline(document, line);
  }
  CHECK(line.empty());
}

TEST_CASE("outboxctl's man page lists the types that send takes, in their order") {
  std::ifstream page(OUTBOXD_SOURCE_DIR "/docs/outboxctl.1");
  std::string line;
  while (std::getline(page, line) && !line.ends_with("The types are")) continue;
  std::string listed;  // without the marks of roff
  while (std::getline(page, line) && line.starts_with(".BR ")) {
    std::istringstream words(line.substr(4));
    for (std::string word; words >> word;) {
      const bool is_name = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
      if (is_name && word != "and") listed += (listed.empty() ? "" : ", ") + word;
    }
  }
  CHECK(listed == ListJobTypes());
}

}  // namespace
}  // namespace outboxd
