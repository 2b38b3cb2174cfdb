#include "tests/producers/language.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "tests/support/await.h"
#include "tests/support/give_up.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

constexpr int kSkipped = 77;  // of ctest
// `go run` would hide the exit status.
constexpr std::string_view kBuildGo =
    R"(go build -o "$PRODUCER_FOLDER/producer" "$0" && exec "$PRODUCER_FOLDER/producer" "$@")";

bool IsInPath(std::string_view program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::filesystem::path file = std::filesystem::path(folder) / program;
    if (access(file.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(file)) return true;
  }
  return false;
}

std::size_t CountOf(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

std::vector<std::string> CommandOf(const Language& language, const std::filesystem::path& socket,
                                   std::string_view customer, const std::filesystem::path& input) {
  // A shell opens the pipe, which waits for nobody: the test has its other end.
  std::vector<std::string> command = {"sh", "-c", R"(input=$1; shift; exec "$@" <"$input")", "sh", input};
  command.insert(command.end(), language.command.begin(), language.command.end());
  if (language.file.ends_with(".cc")) {
    command.emplace_back(EXAMPLE_PRODUCER);
  } else {
    command.push_back(std::string(PRODUCERS_FOLDER) + "/" + std::string(language.file));
  }
  command.insert(command.end(), {socket, std::string(customer)});
  return command;
}

}  // namespace

const std::vector<Language>& Languages() {
  static const std::vector<Language> languages = {
      {"Shell", "producer.sh", {"awk", "timeout"}, {"sh"}, true},
      {"Python", "producer.py", {"python3"}, {"python3"}, true},
      {"Node", "producer.mjs", {"node"}, {"node"}, true},
      {"Ruby", "producer.rb", {"ruby"}, {"ruby"}},
      {"Go", "producer.go", {"go"}, {"sh", "-c", kBuildGo}},
      {"PHP", "producer.php", {"php"}, {"php"}},
      {"C++", "producer.cc", {}, {}, true},
      {"Java", "producer.java", {"java", "javac"}, {"java"}},
  };
  return languages;
}

const Language& LanguageOf(std::string_view name) {
  const auto found = std::find_if(Languages().begin(), Languages().end(),
                                  [name](const Language& language) { return language.name == name; });
  if (found == Languages().end()) GiveUp("there is no producer in " + std::string(name));
  return *found;
}

void RequireRuntime(const Language& language) {
  for (const std::string_view program : language.needs) {
    if (IsInPath(program)) continue;
    if (language.in_ci && std::getenv("CI") != nullptr) GiveUp("there is no " + std::string(program));
    std::cout << "skipped: there is no " << program << std::endl;
    std::_Exit(kSkipped);
  }
}

Producer::Producer(const Language& language, const std::filesystem::path& socket, std::string_view customer,
                   std::vector<std::pair<std::string, std::string>> environment) {
  const std::filesystem::path input = dir_ / "input";
  if (mkfifo(input.c_str(), 0600) != 0) GiveUp("no fifo");
  ProcessOptions run;
  run.command = CommandOf(language, socket, customer, input);
  run.environment = std::move(environment);
  run.environment.emplace_back("OUTBOXCTL", OUTBOXCTL_BINARY);
  run.environment.emplace_back("PRODUCER_FOLDER", dir_.Path());
  process_ = std::make_unique<Process>(std::move(run));
  // When it reads: what is written before would be gone with an early end of the input.
  const bool is_read = Await(
      [&] {
        input_ = open(input.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        return input_ >= 0;
      },
      kLongPatience);
  if (!is_read) GiveUp("the producer does not read its input: " + process_->Err());
}

Producer::~Producer() {
  if (input_ >= 0) close(input_);
}

void Producer::Feed(int first, int last) {
  std::string numbers;
  for (int number = first; number <= last; ++number) numbers.append(std::to_string(number)).append("\n");
  if (write(input_, numbers.data(), numbers.size()) != static_cast<ssize_t>(numbers.size()))
    GiveUp("the fifo takes nothing");
}

ExitStatus Producer::Finish() {
  close(input_);
  input_ = -1;
  const std::optional<ExitStatus> status = process_->Wait(kLongPatience);
  if (!status) GiveUp("the producer does not end: " + process_->Err());
  return *status;
}

std::size_t Producer::Accepted() const {
  return CountOf(process_->Out(), "\n");
}

std::size_t Producer::Repeats() const {
  return CountOf(process_->Err(), "trying again");
}

void Producer::AwaitAccepted(std::size_t count) {
  if (!Await([&] { return Accepted() >= count; }, kLongPatience))
    GiveUp(std::to_string(Accepted()) + " accepted instead of " + std::to_string(count) + ": " + Err());
}

void Producer::AwaitRepeats(std::size_t count) {
  if (!Await([&] { return Repeats() >= count; }, kLongPatience))
    GiveUp("tried again " + std::to_string(Repeats()) + " times: " + Err());
}

}  // namespace outboxd
