#include "config/tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "config/findings.h"
#include "core/text.h"

namespace outboxd {
namespace {

// Far beyond any honest config: bounds what aliases of aliases can blow up to.
constexpr std::size_t kNodes = 10'000;
constexpr int kDepth = 16;

int LineOf(const YAML::Mark& mark) {
  return std::max(0, mark.line) + 1;
}

// Where the second document of a text begins. The library's own loading of all documents never ends on some
// malformed texts.
class SecondDocument : public YAML::EventHandler {
 public:
  static std::optional<int> LineIn(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    SecondDocument second;
    if (!parser.HandleNextDocument(second) || !parser.HandleNextDocument(second)) return std::nullopt;
    return second.line_;
  }

  void OnDocumentStart(const YAML::Mark& mark) override { line_ = LineOf(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}

 private:
  int line_ = 0;
};

// Copies a YAML document out of the library's reach.
class TreeBuilder {
 public:
  explicit TreeBuilder(ConfigFindings& findings) : findings_(findings) {}

  ConfigNode Build(const YAML::Node& from, int depth = 0) {
    ConfigNode node;
    CountNode(from, depth);
    if (from.IsScalar()) {
      node.kind = ConfigNode::Kind::kText;
      node.text = from.Scalar();
    } else if (from.IsSequence()) {
      node.kind = ConfigNode::Kind::kList;
      for (const YAML::Node& item : from) AddItem(item, depth, node);
    } else if (from.IsMap()) {
      node.kind = ConfigNode::Kind::kMapping;
      for (const auto& pair : from) AddEntry(pair.first, pair.second, depth, node);
    }
    return node;
  }

 private:
  void CountNode(const YAML::Node& node, int depth) {
    if (depth > kDepth || ++nodes_ > kNodes)
      throw YAML::Exception(node.Mark(), "nested too deeply or too large");
  }

  void AddEntry(const YAML::Node& key, const YAML::Node& value, int depth, ConfigNode& mapping) {
    const int line = LineOf(key.Mark());
    if (!key.IsScalar()) return findings_.Add(line, "", "a key must be a plain word");
    mapping.entries.push_back({key.Scalar(), line, Build(value, depth + 1)});
  }

  void AddItem(const YAML::Node& item, int depth, ConfigNode& list) {
    list.entries.push_back({"", LineOf(item.Mark()), Build(item, depth + 1)});
  }

  ConfigFindings& findings_;
  std::size_t nodes_ = 0;
};

}  // namespace

std::optional<ConfigNode> ReadTree(const std::string& text, ConfigFindings& findings) {
  try {
    if (const std::optional<int> line = SecondDocument::LineIn(text))
      findings.Add(*line, "", "a second document begins here; a config is one");
    return TreeBuilder(findings).Build(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    // Behind a colon or a quotation mark some messages repeat what was written, which may be a secret.
    const std::string_view what = std::string_view(error.msg).substr(0, error.msg.find_first_of(":\""));
    findings.Add(LineOf(error.mark), "", "not valid YAML: " + EscapeForTerminal(what));
    return std::nullopt;
  }
}

}  // namespace outboxd
