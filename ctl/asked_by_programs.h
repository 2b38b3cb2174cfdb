// ctl/asked_by_programs.h — what shells and packages ask outboxctl, which people do not: no verbs, not in the
// help.
//
//     __complete PROGRAM WORD...   how the line `PROGRAM WORD...` may go on: "words", "files" or "folders"
//                                  (what may stand there besides), then a candidate a line, with a tab and
//                                  its help
//     __schema job|config          the JSON schema of a job line or of the config
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ctl/console.h"

namespace CLI {
class App;
}

namespace outboxd {

// nullopt: the arguments are not a program's question.
std::optional<int> AnswerProgram(const CLI::App& app, const std::vector<std::string>& arguments,
                                 const Console& console);

}  // namespace outboxd
