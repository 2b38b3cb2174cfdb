// docs/kubernetes.md and the image: the examples are YAML that holds together, and the configs in them are
// configs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/config_schema.h"
#include "core/json.h"
#include "tests/schemas/judge.h"

namespace outboxd {
namespace {

const std::string kSource = OUTBOXD_SOURCE_DIR;

std::string TextOf(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(kSource + "/" + path).rdbuf();
  return text.str();
}

std::vector<JsonValue> Objects() {
  std::vector<JsonValue> objects;
  for (const std::string& block : FencedBlocks(kSource + "/docs/kubernetes.md", "```yaml")) {
    for (const JsonValue& object : ReadYaml(block)) objects.push_back(object);
  }
  return objects;
}

JsonValue PodOf(const JsonValue& object) {
  if (object["kind"].String() == "Pod") return object["spec"];
  return object["spec"]["template"]["spec"];
}

std::vector<JsonValue> ContainersOf(const JsonValue& pod) {
  std::vector<JsonValue> containers = pod["initContainers"].Items();
  for (const JsonValue& container : pod["containers"].Items()) containers.push_back(container);
  return containers;
}

std::set<std::string> NamesOf(const std::vector<JsonValue>& items) {
  std::set<std::string> names;
  for (const JsonValue& item : items) names.insert(item["name"].String());
  return names;
}

bool IsOutboxd(const JsonValue& container) {
  return container["name"].String() == "outboxd";
}

const Config& Defaults() {
  static const Config defaults;
  return defaults;
}

TEST_CASE("kubernetes document: each example is an object with a version, a kind and a name") {
  const std::vector<JsonValue> objects = Objects();
  std::set<std::string> kinds;
  for (const JsonValue& object : objects) {
    CAPTURE(object.ToText());
    CHECK_FALSE(object["apiVersion"].String().empty());
    CHECK_FALSE(object["metadata"]["name"].String().empty());
    kinds.insert(object["kind"].String());
  }
  CHECK(kinds == std::set<std::string>{"ConfigMap", "DaemonSet", "Pod", "Secret", "StatefulSet"});
}

TEST_CASE("kubernetes document: what a container mounts is a volume of its pod") {
  for (const JsonValue& object : Objects()) {
    std::set<std::string> volumes = NamesOf(PodOf(object)["volumes"].Items());
    for (const JsonValue& claim : object["spec"]["volumeClaimTemplates"].Items())
      volumes.insert(claim["metadata"]["name"].String());
    for (const JsonValue& container : ContainersOf(PodOf(object))) {
      for (const std::string& name : NamesOf(container["volumeMounts"].Items()))
        CHECK_MESSAGE(volumes.contains(name), container["name"].String() << " mounts " << name);
    }
  }
}

TEST_CASE(
    "kubernetes document: outboxd has its folders, its probes, no rights, and more time than it drains") {
  std::size_t count = 0;
  for (const JsonValue& object : Objects()) {
    const JsonValue pod = PodOf(object);
    for (const JsonValue& container : ContainersOf(pod)) {
      if (!IsOutboxd(container)) continue;
      ++count;
      std::set<std::string> places;
      for (const JsonValue& mount : container["volumeMounts"].Items())
        places.insert(mount["mountPath"].String());
      CHECK(places.contains(Defaults().outbox.path.parent_path()));
      CHECK(places.contains(Defaults().producer.path.parent_path()));
      for (const char* probe : {"startupProbe", "livenessProbe", "readinessProbe"})
        CHECK_MESSAGE(container[probe].IsObject(), probe);
      const JsonValue rights = container["securityContext"];
      CHECK(rights["readOnlyRootFilesystem"].Bool());
      CHECK_FALSE(rights["allowPrivilegeEscalation"].Bool(true));
      CHECK(rights["runAsUser"].Int() == 10001);
      CHECK(rights["capabilities"]["drop"].ToText() == R"(["ALL"])");
      const auto drain = std::chrono::duration_cast<std::chrono::seconds>(Defaults().drain_timeout);
      CHECK(pod["terminationGracePeriodSeconds"].Int() > drain.count());
    }
  }
  CHECK(count == 2);
}

TEST_CASE("kubernetes document: the config in a ConfigMap is one") {
  std::vector<std::string> configs;
  for (const JsonValue& object : Objects()) {
    if (object["kind"].String() == "ConfigMap") configs.push_back(object["data"]["outboxd.yaml"].String());
  }
  REQUIRE(configs.size() == 1);
  const Result<Config> config = ParseConfig(configs[0], "outboxd.yaml");
  REQUIRE_MESSAGE(config, config.error().message);
  CHECK(Judge(ConfigSchema(), Form::kYaml, configs)[0].is_valid);
  // Who mounts the producers' folder does not reach the admin socket.
  CHECK(config->admin.path.parent_path() != config->producer.path.parent_path());
}

// ENV of the Containerfile: name and value.
std::vector<std::pair<std::string, std::string>> ImageVariables() {
  static const std::regex variable(R"((OUTBOXD_[A-Z_]+)=(\S+))");
  const std::string text = TextOf("Containerfile");
  std::vector<std::pair<std::string, std::string>> variables;
  for (std::sregex_iterator it(text.begin(), text.end(), variable), end; it != end; ++it) {
    const std::string name = (*it)[1];
    if (name != "OUTBOXD_TESTS") variables.emplace_back(name, (*it)[2]);
  }
  return variables;
}

TEST_CASE("container image: its config is whole with the variables that the image sets, each documented") {
  const std::string config_text = TextOf("etc/container.yaml");
  const std::string document = TextOf("docs/kubernetes.md");
  const auto variables = ImageVariables();
  CHECK(variables.size() == 6);
  for (const auto& [name, value] : variables) {
    CHECK_MESSAGE(config_text.find("${" + name + "}") != std::string::npos, name);
    CHECK_MESSAGE(document.find("| `" + name + "` | `" + value + "` |") != std::string::npos, name);
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  const Result<Config> config = ParseConfig(config_text, "outboxd.yaml");
  REQUIRE_MESSAGE(config, config.error().message);
  CHECK(config->connections.contains("default"));
  CHECK(config->admin.path.parent_path() != config->producer.path.parent_path());
  CHECK(Judge(ConfigSchema(), Form::kYaml, {config_text})[0].is_valid);
}

}  // namespace
}  // namespace outboxd
