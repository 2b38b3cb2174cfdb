// config/findings.h — what is wrong with a config file: collected while it is read, so that an operator sees
// all of it at once.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace outboxd {

class ConfigFindings {
 public:
  explicit ConfigFindings(std::filesystem::path file) : file_(std::move(file)) {}

  // `key` may be empty: then the file as a whole is meant.
  void Add(int line, const std::string& key, const std::string& message);
  bool empty() const { return problems_.empty(); }
  // The first ten by line, one a line. Requires !empty().
  Failure ToFailure() const;

 private:
  struct Problem {
    int line = 1;
    std::string key;
    std::string text;
  };
  std::filesystem::path file_;
  std::vector<Problem> problems_;  // by line
};

// `text` for people: cut, and without bytes that a terminal would obey.
std::string ShownInFinding(std::string_view text);

}  // namespace outboxd
