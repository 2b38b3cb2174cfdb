#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include "tests/core/check_user.h"

namespace outboxd {
namespace {

struct Ending {
  int status = 0;
  std::string text;  // on stderr
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

TEST_CASE("check: a condition that holds is passed") {
  const Ending ending = EndingOf([] { RequirePositive(1); });
  CHECK(WIFEXITED(ending.status));
  CHECK(ending.text.empty());
}

TEST_CASE("check: a condition that does not hold names itself and aborts") {
  const Ending ending = EndingOf([] { RequirePositive(0); });
  REQUIRE(WIFSIGNALED(ending.status));
  CHECK(WTERMSIG(ending.status) == SIGABRT);
  CHECK(ending.text.find("check_user.cc:") != std::string::npos);
  CHECK(ending.text.find("CHECK failed: number > 0, \"positive\" != nullptr\n") == std::string::npos);
  CHECK(ending.text.find("CHECK failed: number > 0\n") != std::string::npos);
}

}  // namespace
}  // namespace outboxd
