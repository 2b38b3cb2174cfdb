// tests/schemas/judge.h — a JSON schema's word on many texts, by Debian's python3-jsonschema.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace outboxd {

enum class Form { kJson, kYaml };

struct Judgement {
  bool is_valid = false;
  std::string why;  // it is not
};

// In the order of `texts`. Ends the test as skipped where a library is missing; in CI (the variable CI is
// set) that is a failure.
std::vector<Judgement> Judge(const std::string& schema, Form form, const std::vector<std::string>& texts);

// The documents of a text, as JSON; gives up on what is not YAML.
std::vector<JsonValue> ReadYaml(const std::string& text);

// What stands in the fenced blocks of a Markdown file that begin with `fence` ("```yaml").
std::vector<std::string> FencedBlocks(const std::filesystem::path& document, std::string_view fence);

}  // namespace outboxd
