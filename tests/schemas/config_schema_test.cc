// The schema of the config against what reads it: it accepts all that outboxd accepts, and refuses what
// outboxd refuses, but for what a schema cannot know.
#include "config/config_schema.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/keys.h"
#include "core/json.h"
#include "tests/schemas/judge.h"
#include "tests/support/daemon_under_test.h"

namespace outboxd {
namespace {

std::string TextOf(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

std::string Source(const std::string& path) {
  return TextOf(std::string(OUTBOXD_SOURCE_DIR) + "/" + path);
}

bool IsAccepted(const std::string& yaml, std::string& why) {
  const Result<Config> config = ParseConfig(yaml, "outboxd.yaml");
  if (!config) why = config.error().message;
  return config.has_value();
}

ConfigValues Smallest() {
  return {{"connections.default.site_id", "site"}, {"connections.default.api_key", "key"}};
}

const std::vector<std::string>& OddValues() {
  static const std::vector<std::string> values = {"~",
                                                  "true",
                                                  "false",
                                                  "on",
                                                  "0",
                                                  "1",
                                                  "-1",
                                                  "7.5",
                                                  "1e3",
                                                  "\"1\"",
                                                  "word",
                                                  "us",
                                                  "per_customer",
                                                  "auto",
                                                  "info",
                                                  "10s",
                                                  "10 s",
                                                  "5min",
                                                  "500kB",
                                                  "512KiB",
                                                  "64MiB",
                                                  "5 MB",
                                                  "99999999999",
                                                  "0660",
                                                  "\"0660\"",
                                                  "0999",
                                                  "/var/x",
                                                  "/var/x/",
                                                  "var/x",
                                                  "127.0.0.1:8480",
                                                  "${HOME}",
                                                  "${NOWHERE_AT_ALL}",
                                                  "[]",
                                                  "[word]",
                                                  "[/var/x]",
                                                  "[root, 0]",
                                                  "[[word]]",
                                                  "{}",
                                                  "{word: 1}",
                                                  "https://example.com",
                                                  "\"\""};
  return values;
}

// Whether a schema cannot know: ranges of values with units, what the environment has, what there is, and
// that 1e3 is not a whole number.
bool IsBeyondSchemas(const std::string& value, const std::string& why) {
  const auto says = [&why](std::string_view part) { return why.find(part) != std::string::npos; };
  return value.find("${") != std::string::npos || value == "1e3" || says("has a colon") ||
         says("must be from ") || says("must not be less than") || says("whole seconds") ||
         says("must have another path") || says("must not be false beside") || says("must begin with http") ||
         says("is not the name or number of a user") || says("a user") ||
         says("must be a loopback address") || says("must be an address and a port") ||
         says("name of a host") || says("must be the name or number of a group");
}

void CheckAlike(const std::vector<std::string>& yamls, const std::vector<std::string>& values) {
  const std::vector<Judgement> judgements = Judge(ConfigSchema(), Form::kYaml, yamls);
  for (std::size_t i = 0; i < yamls.size(); ++i) {
    CAPTURE(yamls[i]);
    std::string why;
    if (IsAccepted(yamls[i], why)) {
      CHECK_MESSAGE(judgements[i].is_valid, judgements[i].why);
    } else if (!IsBeyondSchemas(values[i], why)) {
      CHECK_MESSAGE(!judgements[i].is_valid, why);
    }
  }
}

TEST_CASE("config schema: the example file is valid, and so is every config of the documents") {
  std::vector<std::string> yamls = {Source("etc/outboxd.yaml")};
  for (const char* document : {"README.md", "docs/operations.md", "docs/kubernetes.md"}) {
    for (const std::string& block :
         FencedBlocks(std::string(OUTBOXD_SOURCE_DIR) + "/" + document, "```yaml")) {
      if (block.find("\nconnections:") != std::string::npos || block.starts_with("connections:"))
        yamls.push_back(block);
    }
  }
  CHECK(yamls.size() > 1);
  const std::vector<Judgement> judgements = Judge(ConfigSchema(), Form::kYaml, yamls);
  for (std::size_t i = 0; i < yamls.size(); ++i) {
    CAPTURE(yamls[i]);
    CHECK_MESSAGE(judgements[i].is_valid, judgements[i].why);
  }
}

TEST_CASE("config schema: every key takes and refuses the values that outboxd does") {
  std::vector<std::string> yamls, values;
  for (const ConfigKey& key : ConfigKeys()) {
    for (const std::string& value : OddValues()) {
      ConfigValues config = Smallest();
      std::string path = key.path;
      const std::string listener = "listen.track.";
      if (path.starts_with(listener)) {
        const std::string name = path.substr(listener.size());
        const bool is_place = name == "tcp" || name == "unix";
        config["listen.track"] =
            "[{" + std::string(is_place ? "" : "unix: /run/t.sock, ") + name + ": " + value + "}]";
      } else {
        if (const std::size_t at = path.find("NAME"); at != std::string::npos) path.replace(at, 4, "default");
        config[path] = value;
        if (path.ends_with("_file")) config.erase(path.substr(0, path.size() - 5));
      }
      yamls.push_back(RenderYaml(config));
      values.push_back(value);
    }
  }
  CheckAlike(yamls, values);
}

TEST_CASE("config schema: what keys say together") {
  std::vector<std::string> yamls;
  for (const char* listener :
       {"{tcp: \"127.0.0.1:1\", unix: /x}", "{}", "{tls: true}", "{tcp: \"127.0.0.1:1\"}", "~", "word",
        "{tcp: \"127.0.0.1:1\", mode: \"0660\"}", "{unix: /x, allowed_hosts: [a]}", "{unix: /x, key: /k}",
        "{unix: /x, certificate: /c, key: /k}"}) {
    ConfigValues config = Smallest();
    config["listen.track"] = "[" + std::string(listener) + "]";
    yamls.push_back(RenderYaml(config));
  }
  for (const char* connections :
       {"{}", "~", "{default: {}}", "{default: ~}", "{default: {site_id: a, api_key: b}}",
        "{default: {site_id: a, site_id_file: /a, api_key: b}}", "{\"a b\": {site_id: a, api_key: b}}",
        "{a: {site_id: a, api_key: b}, b: {site_id_file: /a, api_key_file: /b, colour: red}}"})
    yamls.push_back("connections: " + std::string(connections) + "\n");
  yamls.emplace_back("workers: 2\n");
  yamls.push_back(RenderYaml(Smallest()) + "colour: red\n");
  yamls.push_back(RenderYaml(Smallest()) + "metrics:\n");
  CheckAlike(yamls, std::vector<std::string>(yamls.size()));
}

TEST_CASE("config schema: it has every key, with its remark") {
  const Result<JsonValue> schema = JsonValue::Parse(ConfigSchema());
  REQUIRE(schema);
  const JsonValue limits = (*schema)["properties"]["limits"]["properties"];
  CHECK(limits["line_bytes"]["description"].String() ==
        "of one line from a producer. Allowed: 256 to 16MiB. Default: 512KiB");
  std::size_t described = 0;
  const std::string text = ConfigSchema();
  for (std::size_t at = text.find("\"description\""); at != std::string::npos;
       at = text.find("\"description\"", at + 1))
    ++described;
  CHECK(described == ConfigKeys().size());
}

}  // namespace
}  // namespace outboxd
