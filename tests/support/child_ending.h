// tests/support/child_ending.h — what becomes of a process that does something: for what must abort.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

namespace outboxd::test {

struct Ending {
  int status = 0;
  std::string text;  // on stderr
  bool HasAborted() const { return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT; }
};

// Of a child process that calls `act`.
template <typename Act>
Ending EndingOf(Act act) {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // not doctest's
    dup2(ends[1], STDERR_FILENO);
    act();
    _exit(0);
  }
  close(ends[1]);
  Ending ending;
  std::array<char, 256> bytes{};
  for (ssize_t count = 0; (count = read(ends[0], bytes.data(), bytes.size())) > 0;) {
    ending.text.append(bytes.data(), static_cast<std::size_t>(count));
  }
  close(ends[0]);
  REQUIRE(waitpid(child, &ending.status, 0) == child);
  return ending;
}

}  // namespace outboxd::test
