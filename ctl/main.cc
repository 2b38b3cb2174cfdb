// outboxctl — hand jobs to outboxd and look after its queue.
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "core/time.h"
#include "ctl/commands.h"
#include "ctl/console.h"

namespace {

int TerminalWidth(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  outboxd::Console console{std::cout, std::cerr};
  console.in_fd = STDIN_FILENO;
  console.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  console.err_is_terminal = isatty(STDERR_FILENO) == 1;
  console.in_is_terminal = isatty(STDIN_FILENO) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  console.colour = console.out_is_terminal && (no_colour == nullptr || *no_colour == '\0');
  console.width = console.out_is_terminal ? TerminalWidth(STDOUT_FILENO) : 0;
  console.err_width = console.err_is_terminal ? TerminalWidth(STDERR_FILENO) : 0;
  console.clock = [] { return std::chrono::floor<outboxd::Milliseconds>(std::chrono::system_clock::now()); };
  return outboxd::RunOutboxctl(std::vector<std::string>(argv + 1, argv + argc), console);
}
