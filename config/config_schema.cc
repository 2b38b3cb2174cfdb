#include "config/config_schema.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/keys.h"
#include "core/json.h"

namespace outboxd {
namespace {

// What holds between the keys of a section, as config/keys.cc checks it.
struct SectionRule {
  std::string_view path;
  std::string_view fragment;
};

constexpr std::array<SectionRule, 3> kRules = {{
    {"", R"("required":["connections"])"},
    {"listen.track",
     R"("oneOf":[{"required":["tcp"]},{"required":["unix"]}],"dependencies":{"allowed_hosts":["tcp"],)"
     R"("mode":["unix"],"group":["unix"],"users":["unix"],"certificate":["key"],"key":["certificate"]})"},
    {"connections.NAME", R"("allOf":[{"oneOf":[{"required":["site_id"]},{"required":["site_id_file"]}]},)"
                         R"({"oneOf":[{"required":["api_key"]},{"required":["api_key_file"]}]}])"},
}};

std::string RuleOf(std::string_view path) {
  const auto rule =
      std::find_if(kRules.begin(), kRules.end(), [path](const SectionRule& one) { return one.path == path; });
  return rule == kRules.end() ? "" : "," + std::string(rule->fragment);
}

// "limits.per_uid.jobs" is directly in "limits.per_uid", "workers" in "".
bool IsDirectlyIn(std::string_view path, std::string_view section) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? section.empty() : path.substr(0, dot) == section;
}

std::string DescriptionOf(const ConfigKey& key) {
  std::string text = key.help;
  const auto add = [&text](const std::string& sentence) { text += (text.empty() ? "" : ". ") + sentence; };
  if (!key.allowed.empty()) add("Allowed: " + key.allowed);
  if (!key.default_value.empty()) add("Default: " + key.default_value);
  if (key.effect == Effect::kRestart) add("A change needs a restart");
  return JsonWriter().String(text).Take();
}

class Schema {
 public:
  std::string Whole() const {
    return R"({"$schema":"http://json-schema.org/draft-07/schema#","title":"The config of outboxd","type":"object",)" +
           Inside("") + "}";
  }

 private:
  // The keys of a section and what holds between them.
  std::string Inside(const std::string& section) const {
    JsonWriter properties;
    properties.Object();
    for (const ConfigKey& key : keys_) {
      if (!IsDirectlyIn(key.path, section)) continue;
      const std::size_t dot = key.path.rfind('.');
      properties.Key(key.path.substr(dot == std::string::npos ? 0 : dot + 1)).Raw(Of(key));
    }
    return R"("properties":)" + properties.EndObject().Take() + R"(,"additionalProperties":false)" +
           RuleOf(section);
  }

  std::string Of(const ConfigKey& key) const {
    return R"({"description":)" + DescriptionOf(key) + "," + Shape(key) + "}";
  }

  std::string Shape(const ConfigKey& key) const {
    if (key.path == "connections") {
      return R"("type":"object","minProperties":1,"patternProperties":{"^[A-Za-z0-9_.-]{1,64}$":{"type":"object",)" +
             Inside("connections.NAME") + R"(}},"additionalProperties":false)";
    }
    switch (key.kind) {
      case KeyKind::kValue:
        return key.schema;
      case KeyKind::kValues:
        return R"("anyOf":[{)" + key.schema + R"(},{"type":"array","minItems":1,"items":{)" + key.schema +
               "}}]";
      case KeyKind::kSection:
        return R"("type":["object","null"],)" + Inside(key.path);
      case KeyKind::kSections:
        return R"("type":"array","items":{"type":"object",)" + Inside(key.path) + "}";
    }
    return {};
  }

  const std::vector<ConfigKey> keys_ = ConfigKeys();
};

}  // namespace

std::string ConfigSchema() {
  return Schema().Whole();
}

}  // namespace outboxd
