// tests/producers/language.h — the languages that have a producer in docs/producers/, and one of these
// programs at work.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace outboxd {

struct Language {
  std::string_view name;
  std::string_view file;                  // of docs/producers/
  std::vector<std::string_view> needs;    // programs
  std::vector<std::string_view> command;  // runs the file, which comes behind it
  bool in_ci = false;                     // script/bootstrap installs what it needs
};

// In the order of the document.
const std::vector<Language>& Languages();
const Language& LanguageOf(std::string_view name);

// Ends the test as skipped where a program is missing; in CI (the variable CI is set) that is a failure for
// those that script/bootstrap installs.
void RequireRuntime(const Language& language);

// A producer whose standard input the test writes bit by bit.
class Producer {
 public:
  Producer(const Language& language, const std::filesystem::path& socket, std::string_view customer,
           std::vector<std::pair<std::string, std::string>> environment);
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // The numbers from `first` on.
  void Feed(int first, int last);
  // Ends its input and waits for its end.
  ExitStatus Finish();

  std::size_t Accepted() const;  // lines that it printed
  // How often it said that it tries again.
  std::size_t Repeats() const;
  std::string Out() const { return process_->Out(); }
  std::string Err() const { return process_->Err(); }
  // Gives up, showing what it says, when they do not come.
  void AwaitAccepted(std::size_t count);
  void AwaitRepeats(std::size_t count);

 private:
  TempDir dir_;
  int input_ = -1;
  std::unique_ptr<Process> process_;
};

}  // namespace outboxd
