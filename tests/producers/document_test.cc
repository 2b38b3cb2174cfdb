// docs/producers.md quotes the programs of docs/producers/ as they are, and names each.
#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/producers/language.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

struct Quotation {
  std::string heading, text;
};

// The fenced blocks of the document, each with the heading that it stands under.
std::vector<Quotation> ReadQuotations(const std::string& document) {
  std::vector<Quotation> quotations;
  std::istringstream lines(document);
  std::string heading;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) quotations.push_back({heading, {}});
    } else if (inside) {
      quotations.back().text.append(line).append("\n");
    } else if (line.starts_with("## ")) {
      heading = line.substr(3);
    }
  }
  return quotations;
}

// The document has no tabs.
std::string WithoutTabs(const std::string& text) {
  std::string out;
  for (const char c : text) c == '\t' ? out.append(4, ' ') : out.append(1, c);
  return out;
}

TEST_CASE("producers document: what it quotes under a language stands so in that language's program") {
  const std::vector<Quotation> quotations = ReadQuotations(ReadFile(PRODUCERS_DOCUMENT));
  for (const Language& language : Languages()) {
    const std::string program =
        WithoutTabs(ReadFile(std::string(PRODUCERS_FOLDER) + "/" + std::string(language.file)));
    std::size_t count = 0;
    for (const Quotation& quotation : quotations) {
      if (quotation.heading != language.name) continue;
      ++count;
      CHECK_MESSAGE(program.find(quotation.text) != std::string::npos, quotation.text);
    }
    CHECK_MESSAGE(count > 0, language.name);
  }
}

TEST_CASE("producers document: it links every program") {
  const std::string document = ReadFile(PRODUCERS_DOCUMENT);
  for (const Language& language : Languages())
    CHECK(document.find("(producers/" + std::string(language.file) + ")") != std::string::npos);
}

}  // namespace
}  // namespace outboxd
