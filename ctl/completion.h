// ctl/completion.h — what may stand at the end of an unfinished command line, by the description that it is
// parsed with. The shells ask for it (ctl/completions/).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace outboxd {

struct Candidate {
  std::string word, help;
};

// What may stand there beside the candidates, which the shell knows better.
enum class Beside { kNothing, kFiles, kFolders };

struct Candidates {
  std::vector<Candidate> words;  // that begin as the last word does
  Beside beside = Beside::kNothing;
};

// The options of the whole program that the line gives already, which say where the daemon is.
struct GivenSockets {
  std::string socket, config;
};
// The names of the connections; asked for only where one belongs.
using ListConnections = std::function<std::vector<std::string>(const GivenSockets&)>;

// `words` are those behind the program's name; the last one, which may be empty, is to be completed.
Candidates Complete(const CLI::App& app, std::span<const std::string> words,
                    const ListConnections& list_connections);

}  // namespace outboxd
