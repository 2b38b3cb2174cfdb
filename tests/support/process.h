// tests/support/process.h — a program run by a test: started, signalled, waited for; never left behind.
//
// The kernel kills the program when the thread that started it ends: start it from one that lives at least as
// long.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"

namespace outboxd {

struct ExitStatus {
  int code = -1;   // -1 when a signal ended it
  int signal = 0;  // 0 when it exited by itself
};

struct ProcessOptions {
  std::vector<std::string> command;                              // the program's path and its arguments
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  std::string input;               // what it reads from stdin; nothing: /dev/null
  std::filesystem::path out, err;  // where its output goes, appended; empty: into a file of our own
};

class Process {
 public:
  explicit Process(ProcessOptions options);
  ~Process();  // SIGKILL if it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t Pid() const { return pid_; }
  bool Running();
  void Signal(int number);
  // nullopt when it still runs after `timeout`.
  std::optional<ExitStatus> Wait(std::chrono::milliseconds timeout);
  // What was written so far.
  std::string Out() const;
  std::string Err() const;

 private:
  TempDir dir_;
  std::filesystem::path out_, err_;
  pid_t pid_ = -1;
  int pid_descriptor_ = -1;
  std::optional<ExitStatus> status_;
};

struct Finished {
  ExitStatus status;
  std::string out, err;
};

// Runs a program to its end; gives up when that takes longer than `timeout`.
Finished Run(ProcessOptions options, std::chrono::milliseconds timeout = std::chrono::seconds(30));

}  // namespace outboxd
