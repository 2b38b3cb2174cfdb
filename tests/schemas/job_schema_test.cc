// The schema of a job line against what reads the lines: it accepts all that outboxd accepts, and refuses
// what outboxd refuses, but for what a schema cannot know.
#include "core/job_schema.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/job_line.h"
#include "core/job_members.h"
#include "core/job_types.h"
#include "core/json.h"
#include "tests/schemas/judge.h"

namespace outboxd {
namespace {

using Lines = std::vector<std::string>;

Lines DocumentedLines() {
  std::ifstream document(OUTBOXD_SOURCE_DIR "/docs/protocol.md");
  Lines lines;
  for (std::string line; std::getline(document, line);) {
    if (line.starts_with("-> ")) lines.push_back(line.substr(3));
  }
  return lines;
}

// Those that are one line of UTF-8.
Lines CorpusLines() {
  Lines lines;
  for (const auto& entry :
       std::filesystem::directory_iterator(OUTBOXD_SOURCE_DIR "/tests/fuzz/corpus/job_line")) {
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    std::string line = text.str();
    if (line.ends_with('\n')) line.pop_back();
    const Result<JsonValue> same = JsonValue::Parse(JsonWriter().String(line).Text());
    const bool is_text = same && same->String() == line;
    if (is_text && line.find('\n') == std::string::npos) lines.push_back(line);
  }
  return lines;
}

// An object as names and JSON values.
using Object = std::vector<std::pair<std::string, std::string>>;

Object MembersOf(const JsonValue& object) {
  Object members;
  for (const auto& [name, value] : object.Members()) members.emplace_back(name, value.ToText());
  return members;
}

std::string LineOf(const Object& members) {
  JsonWriter line;
  line.Object();
  for (const auto& [name, value] : members) line.Key(name).Raw(value);
  return line.EndObject().Take();
}

const Lines& OddValues() {
  static const Lines values = [] {
    Lines odd = {"null",
                 "true",
                 "false",
                 "0",
                 "1",
                 "-1",
                 "1.5",
                 "1e3",
                 "601000",
                 "\"\"",
                 "\" \"",
                 "\"..\"",
                 "\"x\"",
                 "\"/\"",
                 "\"/v1/x\"",
                 "\"GET\"",
                 "[]",
                 "[1]",
                 "[{}]",
                 "{}",
                 R"({"id":"x"})",
                 R"({"x":1})",
                 R"({"x":"y"})",
                 R"("2024-11-22T23:37:38Z")",
                 R"("01JDB3T0C5W7X8Y9Z0ABCDEFGH")",
                 R"("us")",
                 R"("json")",
                 R"({"id":"t","platform":"ios"})",
                 R"({"id":"t","platform":"palm"})",
                 R"({"email":"a@b.c"})",
                 R"([{"name":"a","content":"b"}])",
                 R"([{"name":"a"}])",
                 R"({"max_retries":101})"};
    for (const std::size_t length : {101UL, 151UL, 201UL, 1001UL, 5000UL, 9000UL})
      odd.push_back("\"" + std::string(length, 'x') + "\"");
    return odd;
  }();
  return values;
}

// A line of this type with one member more, less or other.
Lines Variants(const std::string& line, JobType type) {
  Lines variants;
  const Result<JsonValue> object = JsonValue::Parse(line);
  REQUIRE(object);
  const Object members = MembersOf(*object);
  for (std::size_t i = 0; i < members.size(); ++i) {
    Object without = members;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    variants.push_back(LineOf(without));
    for (const std::string& value : OddValues()) {
      Object other = members;
      other[i].second = value;
      variants.push_back(LineOf(other));
    }
  }
  for (const members::Rule& rule : members::Rules()) {
    if (object->Has(rule.text)) continue;
    static const Lines of_strangers = {"null", "\"x\""};
    for (const std::string& value : RowOf(type).Allowed().Has(rule.name) ? OddValues() : of_strangers) {
      Object more = members;
      more.emplace_back(rule.text, value);
      variants.push_back(LineOf(more));
    }
  }
  Object unknown = members;
  unknown.emplace_back("nmae", "\"x\"");
  variants.push_back(LineOf(unknown));
  return variants;
}

// What a schema cannot know of a refused line.
bool IsBeyondSchemas(const std::string& line, const LineError& error) {
  if (error.field.starts_with("request")) return true;  // which request has which type
  const auto says = [&error](std::string_view part) { return error.message.find(part) != std::string::npos; };
  if (says("given twice") || says(". or ..")) return true;
  if (says("belongs to the network connection") || says("in the place of the job's")) return true;
  // 1e3 and 1.0 are integers to a schema.
  return line.find("1e3") != std::string::npos;
}

void CheckAlike(const Lines& lines) {
  const std::vector<Judgement> judgements = Judge(JobLineSchema(), Form::kJson, lines);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto job = ParseJobLine(lines[i]);
    CAPTURE(lines[i]);
    if (job) {
      CHECK_MESSAGE(judgements[i].is_valid, judgements[i].why);
    } else if (!IsBeyondSchemas(lines[i], job.error())) {
      CHECK_MESSAGE(!judgements[i].is_valid, job.error().field << ": " << job.error().message);
    }
  }
}

TEST_CASE("job schema: every line of protocol.md and of the corpus is as valid as outboxd says") {
  Lines lines = DocumentedLines();
  const Lines corpus = CorpusLines();
  CHECK(lines.size() > 30);
  CHECK(corpus.size() > 20);
  lines.insert(lines.end(), corpus.begin(), corpus.end());
  CheckAlike(lines);
}

TEST_CASE("job schema: lines with a member more, less or other are as valid as outboxd says") {
  std::set<JobType> types;
  Lines variants;
  for (const std::string& line : DocumentedLines()) {
    const auto job = ParseJobLine(line);
    if (!job || !types.insert(job->type).second) continue;
    const Lines more = Variants(line, job->type);
    variants.insert(variants.end(), more.begin(), more.end());
  }
  CHECK(types.size() == kJobTypeCount);
  CheckAlike(variants);
}

TEST_CASE("job schema: what a few members say together") {
  CheckAlike({
      R"({"type":"track","id":"1","anonymous_id":"2","name":"x"})",
      R"({"type":"track","id":null,"anonymous_id":"2","name":"x"})",
      R"({"type":"track","name":"x","data":{"recipient":"a@b.c"}})",
      R"({"type":"track","name":"x","data":{"recipient":""}})",
      R"({"type":"pageview","url":"x","data":{"recipient":"a@b.c"}})",
      R"({"type":"destroy","id":"1","name":null})",
      R"({"type":"destroy","id":"1","body":null})",
      R"({"type":"raw","method":"GET","path":"/v1/x","body":null})",
      R"({"type":"raw","method":"GET","path":"/v1/x","body":1,"form":{"a":"b"}})",
      R"({"type":"raw","method":"GET","path":"/v1/x","body":1,"form":{"a":null}})",
      R"({"type":"raw","method":"GET","path":"/v1/x","body":1,"form":[],"files":[]})",
      R"({"type":"raw","method":"GET","path":"/v1/x","headers":{"a b":"c"}})",
      R"({"type":"raw","method":"GET","path":"/v1/x","headers":{"a b":null,"c":null}})",
      R"({"type":"raw","method":"G T","path":"/v1/x"})",
      R"({"type":"form","form_id":"f","data":{"id":"1","email":"a@b.c"}})",
      R"({"type":"form","form_id":"f","data":{"id":"1","email":null}})",
      R"({"type":"form","form_id":"f","data":{"id":"1","n":1}})",
      R"({"type":"merge","primary":{"id":"1","email":null},"secondary":{"cio_id":"2"}})",
      R"({"type":"merge","primary":{"id":"1","email":"2"},"secondary":{"cio_id":"2"}})",
      R"({"type":"metric","delivery_id":"d","metric":"eaten"})",
      R"({"type":"track","name":"x","request":{"method":"POST","target":"/api/v1/customers/1/events","body":{"name":"x"}}})",
      R"({"type":"track","name":null,"request":{"method":"POST","target":"/api/v1/customers/1/events","body":{"name":"x"}}})",
  });
}

TEST_CASE("job schema: it has every type and member, with its help") {
  const Result<JsonValue> schema = JsonValue::Parse(JobLineSchema());
  REQUIRE(schema);
  const JsonValue definitions = (*schema)["definitions"];
  for (const JobTypeRow& row : kJobTypes)
    CHECK(definitions["job." + std::string(row.name)]["description"].String() == row.help);
  for (const members::Rule& rule : members::Rules())
    CHECK_FALSE(definitions["member." + std::string(rule.text)]["description"].String().empty());
}

}  // namespace
}  // namespace outboxd
