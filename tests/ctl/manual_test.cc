// The manuals against the command lines that they describe: each option stands with its verb, and none is
// told that there is not.
#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "config/daemon_options.h"
#include "ctl/commands.h"

namespace outboxd::test {
namespace {

using Names = std::set<std::string>;

// A tagged paragraph of outboxctl.1; one without a tag is the beginning of its section.
struct Paragraph {
  std::string section, tag, text;
};

std::vector<Paragraph> ReadManual() {
  std::ifstream file(std::string(OUTBOXD_SOURCE_DIR) + "/docs/outboxctl.1");
  std::vector<Paragraph> paragraphs(1);
  bool is_tag = false;
  for (std::string line; std::getline(file, line);) {
    const std::string section = paragraphs.back().section;
    if (line.starts_with(".SH ")) {
      paragraphs.push_back({line.substr(4), {}, {}});
    } else if (line == ".TP") {
      is_tag = true;
      paragraphs.push_back({section, {}, {}});
    } else if (line == ".PP") {
      paragraphs.push_back({section, {}, {}});
    } else if (is_tag) {
      is_tag = false;
      paragraphs.back().tag = line;
    } else {
      paragraphs.back().text += line + '\n';
    }
  }
  return paragraphs;
}

// "--older-than", of which roff makes \-\-older\-than.
Names OptionsIn(const std::string& roff) {
  static const std::regex option(R"(--[a-z][a-z-]*[a-z])");
  const std::string text = std::regex_replace(roff, std::regex(R"(\\-)"), "-");
  Names names;
  for (std::sregex_iterator it(text.begin(), text.end(), option), end; it != end; ++it)
    names.insert(it->str());
  return names;
}

// The bold words at the head of a paragraph: the verbs that it tells of.
Names VerbsOf(const Paragraph& paragraph) {
  static const std::regex bold(R"(\\fB([a-z][a-z\\\- ]*)\\fR|^\.B ([a-z]+)$)");
  Names verbs;
  const std::string& tag = paragraph.tag;
  for (std::sregex_iterator it(tag.begin(), tag.end(), bold), end; it != end; ++it) {
    const std::string found = (*it)[1].matched ? (*it)[1] : (*it)[2];
    const std::string name = found.substr(0, found.find(R"( \-)"));
    verbs.insert(std::regex_replace(name, std::regex(R"(\\-)"), "-"));
  }
  return verbs;
}

Names OptionsOf(const CLI::App& command) {
  Names names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.insert("--" + name);
  }
  return names;
}

Names Without(Names names, const Names& others) {
  for (const std::string& name : others) names.erase(name);
  return names;
}

class CommandLine {
 public:
  CommandLine() { AddCommandLine(app_, context_, chosen_); }

  const CLI::App& App() const { return app_; }
  // "list", "dead list" and so on, but for those of send.
  std::vector<std::pair<std::string, const CLI::App*>> Verbs() const {
    std::vector<std::pair<std::string, const CLI::App*>> verbs;
    for (const CLI::App* verb : app_.get_subcommands({})) {
      const bool is_group = verb->get_name() != "send" && !verb->get_subcommands({}).empty();
      if (!is_group) verbs.emplace_back(verb->get_name(), verb);
      if (!is_group) continue;
      for (const CLI::App* inner : verb->get_subcommands({}))
        verbs.emplace_back(verb->get_name() + " " + inner->get_name(), inner);
    }
    return verbs;
  }
  // Of any type.
  Names SendFlags() const {
    Names flags;
    for (const CLI::App* type : app_.get_subcommand("send")->get_subcommands({})) {
      for (const std::string& name : OptionsOf(*type)) flags.insert(name);
    }
    return Without(flags, {"--help"});
  }
  Names All() const {
    Names all = SendFlags();
    for (const std::string& name : OptionsOf(app_)) all.insert(name);
    for (const auto& [name, verb] : Verbs()) {
      for (const std::string& option : OptionsOf(*verb)) all.insert(option);
    }
    return all;
  }

 private:
  std::ostringstream out_, err_;
  Console console_{out_, err_};
  Context context_{console_, {}};
  Action chosen_;
  CLI::App app_;
};

void CheckSame(const Names& manual, const Names& program, const std::string& where) {
  for (const std::string& name : Without(program, manual)) FAIL_CHECK(where << ": " << name << " is missing");
  for (const std::string& name : Without(manual, program)) FAIL_CHECK(where << ": there is no " << name);
}

TEST_CASE("outboxctl's man page: each option of a verb stands with it") {
  const CommandLine line;
  const std::vector<Paragraph> manual = ReadManual();
  for (const auto& [name, verb] : line.Verbs()) {
    Names told;
    for (const Paragraph& paragraph : manual) {
      if (!VerbsOf(paragraph).contains(name)) continue;
      std::string text = paragraph.tag + paragraph.text;
      for (const Paragraph& beginning : manual) {
        const bool has_filters =
            beginning.section == paragraph.section && beginning.text.find("Filters") != std::string::npos;
        if (has_filters && paragraph.tag.find("filters") != std::string::npos) text += beginning.text;
      }
      told.merge(OptionsIn(text));
    }
    for (const std::string& option : Without(OptionsOf(*verb), {"--help"}))
      CHECK_MESSAGE(told.contains(option), name << ' ' << option);
  }
}

TEST_CASE("outboxctl's man page: what stands at the head of a verb's paragraph is an option of it") {
  const CommandLine line;
  for (const Paragraph& paragraph : ReadManual()) {
    const Names verbs = VerbsOf(paragraph);
    Names known = OptionsOf(line.App());
    for (const auto& [name, verb] : line.Verbs()) {
      if (verbs.contains(name)) known.merge(OptionsOf(*verb));
    }
    if (verbs.empty()) continue;
    for (const std::string& option : OptionsIn(paragraph.tag))
      CHECK_MESSAGE(known.contains(option), paragraph.tag);
  }
}

TEST_CASE("outboxctl's man page: it has every flag of send, every option of the whole, and no other") {
  const CommandLine line;
  Names flags, globals, mentioned;
  for (const Paragraph& paragraph : ReadManual()) {
    if (paragraph.section == "FLAGS OF SEND") flags.merge(OptionsIn(paragraph.tag));
    if (paragraph.section == "OPTIONS") globals.merge(OptionsIn(paragraph.tag));
    mentioned.merge(OptionsIn(paragraph.tag + '\n' + paragraph.text));
  }
  CheckSame(flags, line.SendFlags(), "FLAGS OF SEND");
  CheckSame(globals, OptionsOf(line.App()), "OPTIONS");
  for (const std::string& name : Without(mentioned, line.All())) FAIL_CHECK("there is no " << name);
}

TEST_CASE("outboxd's man page: it has every option and no other") {
  CLI::App app;
  DaemonOptions options;
  AddDaemonOptions(app, options);
  std::ifstream file(std::string(OUTBOXD_SOURCE_DIR) + "/docs/outboxd.8");
  static const std::regex flag(R"( -([a-z-]+))");
  Names told;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(".It Fl ")) continue;
    for (std::sregex_iterator it(line.begin(), line.end(), flag), end; it != end; ++it)
      told.insert("--" + (*it)[1].str());
  }
  CheckSame(told, OptionsOf(app), "OPTIONS");
}

}  // namespace
}  // namespace outboxd::test
