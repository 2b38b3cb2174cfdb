#include "ctl/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/job_types.h"  // IWYU pragma: keep: the names of JobType
#include "core/names.h"
#include "core/verdict.h"

namespace outboxd {
namespace {

template <typename Enum>
std::vector<std::string> NamesOf() {
  std::vector<std::string> names;
  for (const auto& [value, name] : kNames<Enum>) names.emplace_back(name);
  return names;
}

// By the word that the help has for a value.
struct ValueWord {
  std::string_view word;
  Beside beside = Beside::kNothing;
  std::vector<std::string> (*values)() = nullptr;
};
constexpr std::array<ValueWord, 6> kValueWords = {{
    {"FILE", Beside::kFiles},
    {"PATH", Beside::kFiles},
    {"DIR", Beside::kFolders},
    {"TYPE", Beside::kNothing, NamesOf<JobType>},
    {"RESULT", Beside::kNothing, NamesOf<Fate>},
    {"METHOD", Beside::kNothing,
     [] { return std::vector<std::string>{"GET", "POST", "PUT", "PATCH", "DELETE"}; }},
}};
constexpr std::string_view kConnection = "CONNECTION";

bool TakesValue(const CLI::Option& option) {
  return option.get_type_size_max() > 0 && option.get_expected_max() > 0;
}

bool NeedsValue(const CLI::Option& option) {
  return option.get_items_expected_min() > 0;
}

std::string LongNameOf(const CLI::Option& option) {
  return option.get_lnames().empty() ? "" : option.get_lnames().front();
}

// "TEXT:{us,eu}" has the values of a choice.
std::vector<std::string> ChoicesIn(const std::string& type_name) {
  std::vector<std::string> choices;
  const std::size_t open = type_name.find('{');
  const std::size_t close = type_name.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return choices;
  for (std::size_t start = open + 1; start < close;) {
    const std::size_t end = std::min(type_name.find(',', start), close);
    choices.push_back(type_name.substr(start, end - start));
    start = end + 1;
  }
  return choices;
}

// Reads the finished words as the parser does, as far as it matters for the last one.
class Line {
 public:
  Line(const CLI::App& app, std::span<const std::string> finished) : commands_{&app} {
    for (const std::string& word : finished) Take(word);
  }

  // The verb that was reached; before it those that it is a verb of.
  const CLI::App& Command() const { return *commands_.back(); }
  // The option that waits for its value; nullptr: none does.
  const CLI::Option* Pending() const { return pending_; }
  bool OptionsEnded() const { return options_ended_; }
  const GivenSockets& Sockets() const { return sockets_; }

  // The positional that comes next; nullptr: none is left.
  const CLI::Option* NextPositional() const {
    std::size_t index = positionals_;
    for (const CLI::Option* option : Command().get_options()) {
      if (option->get_positional() && index-- == 0) return option;
    }
    return nullptr;
  }
  bool HasPositionals() const { return positionals_ > 0; }

  // Of the verb and of those around it: they may stand behind any.
  std::vector<const CLI::Option*> Options() const {
    std::vector<const CLI::Option*> options;
    for (auto command = commands_.rbegin(); command != commands_.rend(); ++command) {
      for (const CLI::Option* option : (*command)->get_options()) {
        const bool is_known = std::any_of(options.begin(), options.end(), [option](const CLI::Option* one) {
          return LongNameOf(*one) == LongNameOf(*option);
        });
        if (!option->get_lnames().empty() && !is_known) options.push_back(option);
      }
    }
    return options;
  }

  const CLI::Option* Find(std::string_view flag) const {
    for (const CLI::Option* option : Options()) {
      const auto is_it = [flag, option] {
        const auto has = [](const std::vector<std::string>& names, std::string_view name) {
          return std::find(names.begin(), names.end(), name) != names.end();
        };
        if (flag.starts_with("--")) return has(option->get_lnames(), flag.substr(2));
        return has(option->get_snames(), flag.substr(1));
      };
      if (is_it()) return option;
    }
    return nullptr;
  }

 private:
  void Take(const std::string& word) {
    // bash cuts --option=value into three words.
    if (pending_ != nullptr && word == "=") return;
    const bool is_flag = word.size() > 1 && word.starts_with('-') && !options_ended_;
    if (pending_ != nullptr && (!is_flag || NeedsValue(*pending_))) {
      Give(*std::exchange(pending_, nullptr), word);
    } else if (word == "--") {
      options_ended_ = true;
    } else if (is_flag) {
      TakeFlag(word);
    } else {
      TakePlain(word);
    }
  }

  void TakeFlag(const std::string& word) {
    const std::size_t equals = word.find('=');
    pending_ = nullptr;
    const CLI::Option* option = Find(word.substr(0, equals));
    if (option == nullptr || !TakesValue(*option)) return;
    if (equals == std::string::npos) {
      pending_ = option;
    } else {
      Give(*option, word.substr(equals + 1));
    }
  }

  void TakePlain(const std::string& word) {
    for (const CLI::App* verb : Command().get_subcommands({})) {
      if (verb->get_name() != word || positionals_ > 0) continue;
      commands_.push_back(verb);
      return;
    }
    ++positionals_;
  }

  void Give(const CLI::Option& option, const std::string& value) {
    if (LongNameOf(option) == "socket") sockets_.socket = value;
    if (LongNameOf(option) == "config") sockets_.config = value;
  }

  std::vector<const CLI::App*> commands_;
  const CLI::Option* pending_ = nullptr;
  std::size_t positionals_ = 0;
  bool options_ended_ = false;
  GivenSockets sockets_;
};

class Completion {
 public:
  Completion(const Line& line, const ListConnections& list_connections, std::string_view begun)
      : line_(line), list_connections_(list_connections), begun_(begun) {}

  Candidates Take() && { return std::move(found_); }

  void AddValues(const CLI::Option& option) {
    const std::string type = option.get_type_name();
    for (const std::string& choice : ChoicesIn(type)) Add(choice, "");
    if (type == kConnection) {
      for (const std::string& name : list_connections_(line_.Sockets())) Add(name, "");
    }
    for (const ValueWord& value : kValueWords) {
      if (type != value.word) continue;
      found_.beside = value.beside;
      if (value.values == nullptr) continue;
      for (const std::string& text : value.values()) Add(text, "");
    }
  }

  void AddOptions() {
    for (const CLI::Option* option : line_.Options())
      Add("--" + LongNameOf(*option), option->get_description());
  }

  void AddVerbs() {
    for (const CLI::App* verb : line_.Command().get_subcommands({}))
      Add(verb->get_name(), verb->get_description());
  }

  bool IsEmpty() const { return found_.words.empty() && found_.beside == Beside::kNothing; }

 private:
  void Add(const std::string& word, const std::string& help) {
    if (word.starts_with(begun_)) found_.words.push_back({word, help});
  }

  const Line& line_;
  const ListConnections& list_connections_;
  std::string_view begun_;
  Candidates found_;
};

// --option=val: the candidates with what stands before them.
Candidates CompleteJoined(const Line& line, const std::string& word,
                          const ListConnections& list_connections) {
  const std::size_t equals = word.find('=');
  const CLI::Option* option = line.Find(word.substr(0, equals));
  if (option == nullptr || !TakesValue(*option)) return {};
  Completion completion(line, list_connections, std::string_view(word).substr(equals + 1));
  completion.AddValues(*option);
  Candidates found = std::move(completion).Take();
  for (Candidate& candidate : found.words) candidate.word.insert(0, word, 0, equals + 1);
  return found;
}

}  // namespace

Candidates Complete(const CLI::App& app, std::span<const std::string> words,
                    const ListConnections& list_connections) {
  if (words.empty()) return {};
  const Line line(app, words.first(words.size() - 1));
  const std::string begun = words.back() == "=" && line.Pending() != nullptr ? "" : words.back();
  const bool is_flag = begun.starts_with('-') && !line.OptionsEnded();
  Completion completion(line, list_connections, begun);
  if (line.Pending() != nullptr && (!is_flag || NeedsValue(*line.Pending()))) {
    completion.AddValues(*line.Pending());
    if (NeedsValue(*line.Pending())) return std::move(completion).Take();
  } else if (is_flag && begun.find('=') != std::string::npos) {
    return CompleteJoined(line, begun, list_connections);
  }
  if (is_flag) {
    completion.AddOptions();
    return std::move(completion).Take();
  }
  if (!line.HasPositionals()) completion.AddVerbs();
  if (const CLI::Option* positional = line.NextPositional()) completion.AddValues(*positional);
  // A verb that takes nothing more has its options left.
  if (begun.empty() && completion.IsEmpty() && !line.OptionsEnded()) completion.AddOptions();
  return std::move(completion).Take();
}

}  // namespace outboxd
