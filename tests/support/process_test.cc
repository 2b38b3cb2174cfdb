#include "tests/support/process.h"

#include <doctest/doctest.h>

#include <csignal>

namespace outboxd {
namespace {

using std::chrono::milliseconds;

Finished RunShell(const std::string& script, const std::string& input = {}) {
  ProcessOptions options;
  options.command = {"/bin/sh", "-c", script};
  options.input = input;
  options.environment = {{"GREETING", "good morning"}};
  return Run(std::move(options));
}

TEST_CASE("process: input, environment, both outputs and the exit code pass through") {
  const Finished finished = RunShell("cat; echo \"$GREETING\" >&2; exit 7", "hello\n");
  CHECK(finished.status.code == 7);
  CHECK(finished.out == "hello\n");
  CHECK(finished.err == "good morning\n");
}

TEST_CASE("process: the end by a signal is told from an exit") {
  const Finished finished = RunShell("kill -9 $$");
  CHECK(finished.status.code == -1);
  CHECK(finished.status.signal == SIGKILL);
}

TEST_CASE("process: a program that does not exist ends with 127") {
  ProcessOptions options;
  options.command = {"/nowhere/at/all"};
  CHECK(Run(std::move(options)).status.code == 127);
}

TEST_CASE("process: waiting has a deadline, and the destructor leaves nobody behind") {
  pid_t pid = 0;
  {
    ProcessOptions options;
    options.command = {"/bin/sleep", "1000"};
    Process process(std::move(options));
    pid = process.Pid();
    CHECK_FALSE(process.Wait(milliseconds(1)));
    CHECK(process.Running());
  }
  CHECK(kill(pid, 0) == -1);
}

}  // namespace
}  // namespace outboxd
