#include "tests/schemas/judge.h"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/support/give_up.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr int kSkipped = 77;  // of ctest

std::vector<std::string> Ask(const std::string& schema_file, Form form,
                             const std::vector<std::string>& texts) {
  ProcessOptions run;
  run.command = {"python3", OUTBOXD_SOURCE_DIR "/tests/schemas/judge.py", schema_file,
                 form == Form::kJson ? "json" : "yaml"};
  for (const std::string& text : texts) run.input.append(JsonWriter().String(text).Text()).append("\n");
  const Finished finished = Run(std::move(run), std::chrono::minutes(1));
  if (finished.status.code == kSkipped && std::getenv("CI") == nullptr) {
    std::cout << "skipped: " << finished.err << std::endl;
    std::_Exit(kSkipped);
  }
  if (finished.status.code != 0) GiveUp("the judge says: " + finished.err);
  std::vector<std::string> words;
  std::istringstream lines(finished.out);
  for (std::string line; std::getline(lines, line);) words.push_back(line);
  if (words.size() != texts.size()) GiveUp("not a word on each: " + finished.out);
  return words;
}

}  // namespace

std::vector<Judgement> Judge(const std::string& schema, Form form, const std::vector<std::string>& texts) {
  const TempDir dir;
  WriteFile(dir / "schema.json", schema);
  std::vector<Judgement> judgements;
  for (const std::string& word : Ask(dir / "schema.json", form, texts))
    judgements.push_back({word == "valid", word});
  return judgements;
}

std::vector<JsonValue> ReadYaml(const std::string& text) {
  constexpr std::string_view kValid = "valid: ";
  const std::string word = Ask("-", Form::kYaml, {text}).front();
  if (!word.starts_with(kValid)) GiveUp(word + "\n" + text);
  Result<JsonValue> documents = JsonValue::Parse(word.substr(kValid.size()));
  if (!documents) GiveUp(word);
  return documents->Items();
}

std::vector<std::string> FencedBlocks(const std::filesystem::path& document, std::string_view fence) {
  std::ifstream file(document);
  std::vector<std::string> blocks;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) {
      inside = !inside && line == fence;
      if (inside) blocks.emplace_back();
    } else if (inside) {
      blocks.back().append(line).append("\n");
    }
  }
  return blocks;
}

}  // namespace outboxd
