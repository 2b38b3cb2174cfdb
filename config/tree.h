// config/tree.h — the text of a config as a tree of mappings, lists and texts with their lines. YAML ends
// here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace outboxd {

class ConfigFindings;

struct ConfigNode {
  struct Entry;
  enum class Kind : std::uint8_t { kNothing, kText, kList, kMapping };
  Kind kind = Kind::kNothing;
  std::string text;  // kText
  // kMapping and kList (whose keys are empty), in the file's order; a key may be there twice.
  std::vector<Entry> entries;
};

struct ConfigNode::Entry {
  std::string key;
  int line = 1;
  ConfigNode value;
};

// nullopt when `text` is not YAML, or nested too deeply or too large; that, and a second document, is
// reported.
std::optional<ConfigNode> ReadTree(const std::string& text, ConfigFindings& findings);

}  // namespace outboxd
