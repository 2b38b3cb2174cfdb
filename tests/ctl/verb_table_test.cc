// The table of verbs: the help and the manual follow it.
#include <doctest/doctest.h>

#include <fstream>
#include <regex>
#include <set>

#include "ctl/commands.h"
#include "tests/ctl/fake_daemon.h"

namespace outboxd::test {
namespace {

// "list", "dead list"
std::set<std::string> NamesInTable() {
  std::set<std::string> names;
  for (const Verb& verb : Verbs()) {
    if (verb.add != nullptr) CHECK(names.insert(std::string(verb.name)).second);
    for (const Verb& inner : verb.group)
      CHECK(names.insert(std::string(verb.name) + " " + std::string(inner.name)).second);
  }
  return names;
}

// The bold words at the heads of the manual's paragraphs, up to the exit codes.
std::set<std::string> NamesInManual() {
  static const std::regex bold(R"(\\fB([a-z][a-z\\\- ]*)\\fR|^\.B ([a-z]+)$)");
  std::set<std::string> names;
  std::ifstream file(std::string(OUTBOXD_SOURCE_DIR) + "/docs/outboxctl.1");
  std::string before;
  for (std::string line; std::getline(file, line) && line != ".SH EXIT STATUS"; before = line) {
    if (before != ".TP") continue;
    for (auto at = std::sregex_iterator(line.begin(), line.end(), bold); at != std::sregex_iterator(); ++at) {
      const std::string found = (*at)[1].matched ? (*at)[1] : (*at)[2];
      const std::string name = found.substr(0, found.find(R"( \-)"));  // "send --json" tells more of "send"
      names.insert(std::regex_replace(name, std::regex(R"(\\-)"), "-"));
    }
  }
  return names;
}

TEST_CASE("verbs: the manual has every verb and no other") {
  const std::set<std::string> table = NamesInTable();
  const std::set<std::string> manual = NamesInManual();
  for (const std::string& name : table) CHECK_MESSAGE(manual.contains(name), name);
  for (const std::string& name : manual) CHECK_MESSAGE(table.contains(name), name);
}

TEST_CASE("verbs: the help lists every verb with its line, in the table's order") {
  const std::string help = RunCtl({"--help"}).out;
  std::size_t at = help.find("Subcommands:");
  REQUIRE(at != std::string::npos);
  for (const Verb& verb : Verbs()) {
    const std::size_t next = help.find("\n  " + std::string(verb.name) + " ", at);
    CHECK_MESSAGE(next != std::string::npos, verb.name);
    if (next != std::string::npos) at = next;
  }
}

TEST_CASE("verbs: each has a help of its own") {
  for (const std::string& name : NamesInTable()) {
    const std::size_t space = name.find(' ');
    const Ran ran = space == std::string::npos
                        ? RunCtl({name, "--help"})
                        : RunCtl({name.substr(0, space), name.substr(space + 1), "--help"});
    CAPTURE(name);
    CHECK(ran.code == 0);
    CHECK(ran.out.find("--help") != std::string::npos);
  }
}

}  // namespace
}  // namespace outboxd::test
