#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "tests/support/give_up.h"

namespace outboxd {
namespace {

// Everything the child needs, made before the fork: after it only async-signal-safe calls are allowed.
struct Launch {
  std::vector<std::string> environment_texts;
  std::vector<char*> arguments, environment;
  int in = -1, out = -1, err = -1;
};

std::vector<std::string> Environment(const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> texts;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    const auto is_same = [name](const auto& pair) { return pair.first == name; };
    if (std::none_of(added.begin(), added.end(), is_same)) texts.emplace_back(text);
  }
  for (const auto& [name, value] : added) texts.push_back(name + "=" + value);
  return texts;
}

int OpenOrGiveUp(const std::filesystem::path& file, int flags) {
  const int descriptor = open(file.c_str(), flags | O_CLOEXEC, 0644);
  if (descriptor < 0) GiveUp("cannot open " + file.string() + ": " + std::strerror(errno));
  return descriptor;
}

void RunChild(const Launch& launch, pid_t parent) {
  // Undo what the parent ignores or blocks.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  dup2(launch.in, STDIN_FILENO);
  dup2(launch.out, STDOUT_FILENO);
  dup2(launch.err, STDERR_FILENO);
  execvpe(launch.arguments[0], launch.arguments.data(), launch.environment.data());
  constexpr std::string_view kMessage = "cannot run the program\n";
  [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, kMessage.data(), kMessage.size());
  _exit(127);
}

}  // namespace

Process::Process(ProcessOptions options)
    : out_(options.out.empty() ? dir_ / "out" : options.out),
      err_(options.err.empty() ? dir_ / "err" : options.err) {
  if (options.command.empty()) GiveUp("no command");
  Launch launch;
  launch.environment_texts = Environment(options.environment);
  for (std::string& text : options.command) launch.arguments.push_back(text.data());
  launch.arguments.push_back(nullptr);
  for (std::string& text : launch.environment_texts) launch.environment.push_back(text.data());
  launch.environment.push_back(nullptr);
  if (!options.input.empty()) WriteFile(dir_ / "in", options.input);
  launch.in = OpenOrGiveUp(options.input.empty() ? "/dev/null" : dir_ / "in", O_RDONLY);
  launch.out = OpenOrGiveUp(out_, O_WRONLY | O_CREAT | O_APPEND);
  launch.err = OpenOrGiveUp(err_, O_WRONLY | O_CREAT | O_APPEND);

  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) RunChild(launch, parent);
  for (const int descriptor : {launch.in, launch.out, launch.err}) close(descriptor);
  if (pid_ < 0) GiveUp("cannot fork");
  // By number: glibc 2.36 declares pidfd_open without extern "C".
  pid_descriptor_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (pid_descriptor_ < 0) GiveUp("cannot watch the process");
}

Process::~Process() {
  if (!status_) Signal(SIGKILL);
  if (!status_) Wait(std::chrono::seconds(10));
  if (pid_descriptor_ >= 0) close(pid_descriptor_);
}

bool Process::Running() {
  return !Wait(std::chrono::milliseconds(0));
}

void Process::Signal(int number) {
  if (!status_ && pid_ > 0) kill(pid_, number);
}

std::optional<ExitStatus> Process::Wait(std::chrono::milliseconds timeout) {
  if (status_) return status_;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  pollfd descriptor{pid_descriptor_, POLLIN, 0};
  int ready = -1;
  do {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    ready = poll(&descriptor, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return std::nullopt;
  int state = 0;
  if (waitpid(pid_, &state, 0) != pid_) GiveUp("cannot wait for the process");
  status_ = WIFEXITED(state) ? ExitStatus{WEXITSTATUS(state), 0} : ExitStatus{-1, WTERMSIG(state)};
  return status_;
}

std::string Process::Out() const {
  return ReadFile(out_);
}
std::string Process::Err() const {
  return ReadFile(err_);
}

Finished Run(ProcessOptions options, std::chrono::milliseconds timeout) {
  const std::string program = options.command.empty() ? "" : options.command.front();
  Process process(std::move(options));
  const std::optional<ExitStatus> status = process.Wait(timeout);
  if (!status) GiveUp(program + " did not end in time; stderr: " + process.Err());
  return {*status, process.Out(), process.Err()};
}

}  // namespace outboxd
