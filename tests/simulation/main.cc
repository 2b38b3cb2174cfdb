// outboxd_simulate — runs simulated worlds, one for each seed, and tells of the first whose promises broke.
// script/simulate runs it.
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include "tests/simulation/hostile_world.h"
#include "tests/simulation/simulation.h"

namespace {

using outboxd::simulation::Simulation;
using outboxd::simulation::Summary;

constexpr auto kReportInterval = std::chrono::minutes(1);
constexpr const char* kUsage =
    "usage: outboxd_simulate [--hostile] [--seed N] [--runs M] [--step S] [--trace] [--twice]\n"
    "  --hostile  hostile producers beside good ones, instead of all kinds of trouble\n"
    "  --seed N   the first seed (1)\n"
    "  --runs M   how many seeds (1)\n"
    "  --step S   from one seed to the next (1): several processes can share the work\n"
    "  --trace    says what happens, line by line\n"
    "  --twice    runs each seed two times and demands that the same happens\n"
    "exit: 0 all promises held, 1 one broke (its seed is named), 2 wrong usage\n";

struct Options {
  std::uint64_t seed = 1, runs = 1, step = 1;
  bool hostile = false, trace = false, twice = false;
};

std::optional<std::uint64_t> ToNumber(const char* text) {
  char* end = nullptr;
  const std::uint64_t number = std::strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0' ? std::optional(number) : std::nullopt;
}

std::optional<Options> ReadOptions(int count, char** arguments) {
  Options options;
  for (int index = 1; index < count; ++index) {
    const std::string_view name = arguments[index];
    std::uint64_t* number = name == "--seed"   ? &options.seed
                            : name == "--runs" ? &options.runs
                            : name == "--step" ? &options.step
                                               : nullptr;
    if (number != nullptr) {
      const std::optional<std::uint64_t> value =
          index + 1 < count ? ToNumber(arguments[++index]) : std::nullopt;
      if (!value) return std::nullopt;
      *number = *value;
    } else if (name == "--hostile") {
      options.hostile = true;
    } else if (name == "--trace") {
      options.trace = true;
    } else if (name == "--twice") {
      options.twice = true;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

std::uint64_t running_seed = 0;
int own_stderr = STDERR_FILENO;

// What the daemon logs of failing disks would be thousands of lines. It goes to a file in memory, of which
// the end is shown when a run aborts: the condition that failed.
void SilenceDaemon() {
  const int aside = memfd_create("stderr", MFD_CLOEXEC);
  own_stderr = dup(STDERR_FILENO);
  if (aside < 0 || own_stderr < 0 || dup2(aside, STDERR_FILENO) < 0) own_stderr = STDERR_FILENO;
}

void ForgetLog() {
  if (own_stderr == STDERR_FILENO) return;
  static_cast<void>(!ftruncate(STDERR_FILENO, 0));
  lseek(STDERR_FILENO, 0, SEEK_SET);
}

void ShowEndOfLog() {
  if (own_stderr == STDERR_FILENO) return;
  char text[400];
  const off_t size = lseek(STDERR_FILENO, 0, SEEK_END);
  const off_t from = size > static_cast<off_t>(sizeof text) ? size - static_cast<off_t>(sizeof text) : 0;
  const ssize_t length = pread(STDERR_FILENO, text, sizeof text, from);
  if (length > 0) static_cast<void>(!write(own_stderr, text, static_cast<std::size_t>(length)));
}

int Fail(const Options& options, std::uint64_t seed, const std::string& why) {
  std::cout << std::flush;
  dprintf(own_stderr, "seed %llu: %s\nagain with: script/simulate%s --seed %llu --trace\n",
          static_cast<unsigned long long>(seed), why.c_str(), options.hostile ? " --hostile" : "",
          static_cast<unsigned long long>(seed));
  return 1;
}

// A bug that aborts, or worse, names its seed as well.
void OnFatalSignal(int signal_number) {
  char text[80];
  const int length = std::snprintf(text, sizeof text, "seed %llu: ended by signal %d\n",
                                   static_cast<unsigned long long>(running_seed), signal_number);
  ShowEndOfLog();
  static_cast<void>(!write(own_stderr, text, static_cast<std::size_t>(length)));
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

Summary RunOnce(const Options& options, std::uint64_t seed, bool trace) {
  std::ostream* out = trace ? &std::cout : nullptr;
  return options.hostile ? outboxd::simulation::PlayHostileScene(seed, out) : Simulation(seed, out).Run();
}

void Add(Summary& total, const Summary& run) {
  total.jobs += run.jobs;
  total.delivered += run.delivered;
  total.requests += run.requests;
  total.crashes += run.crashes;
  total.disk_faults += run.disk_faults;
  total.restarts += run.restarts;
}

}  // namespace

int main(int count, char** arguments) {
  const std::optional<Options> options = ReadOptions(count, arguments);
  if (!options) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  for (const int fatal : {SIGABRT, SIGSEGV, SIGFPE, SIGALRM}) signal(fatal, OnFatalSignal);
  SilenceDaemon();
  Summary total;
  auto reported = std::chrono::steady_clock::now();
  for (std::uint64_t run = 0; run < options->runs; ++run) {
    const std::uint64_t seed = options->seed + run * options->step;
    running_seed = seed;
    ForgetLog();
    alarm(120);  // a run that hangs
    try {
      const Summary summary = RunOnce(*options, seed, options->trace);
      Add(total, summary);
      if (options->twice && RunOnce(*options, seed, false).hash != summary.hash) {
        return Fail(*options, seed, "two runs of it differ");
      }
    } catch (const std::exception& broken) {
      return Fail(*options, seed, broken.what());
    }
    if (std::chrono::steady_clock::now() - reported < kReportInterval) continue;
    reported = std::chrono::steady_clock::now();
    std::cerr << run + 1 << " of " << options->runs << " seeds, up to " << seed << '\n';
  }
  std::cout << options->runs << " seeds, " << total.jobs << " jobs, " << total.delivered << " delivered, "
            << total.requests << " requests, " << total.crashes << " crashes, " << total.disk_faults
            << " disk faults, " << total.restarts << " restarts: every promise held\n";
  return 0;
}
