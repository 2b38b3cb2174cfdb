// outboxd_outage — an outage of days in virtual time, and the table of what it cost. script/outage runs it
// with five million jobs.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/outage/few_jobs.h"
#include "tests/outage/outage.h"

namespace {

using outboxd::Milliseconds;
using outboxd::outage::Figures;
using outboxd::outage::Memory;
using outboxd::outage::Options;
using outboxd::outage::Outage;

constexpr const char* kUsage =
    "usage: outboxd_outage [--jobs N] [--days D] [--max-age-hours H] [--rate N] [--batch MODE] [--progress]\n"
    "       outboxd_outage --few-hours H\n"
    "  --jobs N           accepted while the API is down (200000), 1000 at least\n"
    "  --days D           how long that lasts (3)\n"
    "  --max-age-hours H  retry.max_age (168; outboxd's own default is 72)\n"
    "  --rate N           rate_limit (2000)\n"
    "  --batch MODE       off, on or auto (off)\n"
    "  --progress         tells on stderr how far it is\n"
    "  --few-hours H      of each kind, with 1, 5 and 300 jobs and a restart between any two attempts\n"
    "exit: 0 all promises held, 1 one broke (it is named), 2 wrong usage\n";

struct CommandLine {
  Options options;
  std::uint64_t few_hours = 0;  // 0: many jobs
  bool progress = false;
};

std::optional<std::uint64_t> ToNumber(const char* text) {
  char* end = nullptr;
  const std::uint64_t number = std::strtoull(text, &end, 10);
  return *text >= '1' && *text <= '9' && *end == '\0' ? std::optional(number) : std::nullopt;
}

std::optional<CommandLine> ReadCommandLine(int count, char** arguments) {
  CommandLine line;
  for (int index = 1; index < count; ++index) {
    const std::string_view name = arguments[index];
    std::uint64_t* number = name == "--jobs"            ? &line.options.jobs
                            : name == "--days"          ? &line.options.days
                            : name == "--max-age-hours" ? &line.options.max_age_hours
                            : name == "--rate"          ? &line.options.rate_limit
                            : name == "--few-hours"     ? &line.few_hours
                                                        : nullptr;
    if (number != nullptr) {
      const std::optional<std::uint64_t> value =
          index + 1 < count ? ToNumber(arguments[++index]) : std::nullopt;
      if (!value) return std::nullopt;
      *number = *value;
    } else if (name == "--batch" && index + 1 < count) {
      const auto mode = outboxd::kNames<outboxd::BatchMode>.Find(arguments[++index]);
      if (!mode) return std::nullopt;
      line.options.batch = *mode;
    } else if (name == "--progress") {
      line.progress = true;
    } else {
      return std::nullopt;
    }
  }
  return line.options.jobs >= 1'000 ? std::optional(line) : std::nullopt;
}

void PrintCount(const char* what, std::uint64_t count) {
  std::printf("%-58s %12llu\n", what, static_cast<unsigned long long>(count));
}

void PrintFraction(const char* what, double value) {
  std::printf("%-58s %14.1f\n", what, value);
}

double Seconds(Milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

double Megabytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

// Of sorted ones.
Milliseconds Share(const std::vector<Milliseconds>& times, double share) {
  return times.empty() ? Milliseconds(0)
                       : times[static_cast<std::size_t>(static_cast<double>(times.size() - 1) * share)];
}

void Print(const Outage& outage) {
  const Figures& figures = outage.figures();
  const Memory& memory = outage.memory();
  PrintCount("jobs accepted", figures.accepted);
  PrintCount("  delivered", figures.delivered);
  PrintCount("  expired", figures.expired);
  PrintCount("probes that failed during the outage", figures.probes);
  PrintCount("  of how many customers", figures.tried_customers);
  PrintCount("  most attempts at one job", figures.most_attempts);
  PrintFraction("from the API's return to the open gate, s", Seconds(figures.noticed));
  PrintCount("requests in the first second", figures.first_second);
  PrintCount("  largest in flight", figures.most_out_first_second);
  PrintCount("requests in the first minute", figures.first_minute);
  PrintCount("largest in flight", figures.most_out);
  PrintCount("requests since then", figures.requests);
  PrintCount("  most jobs in one", figures.most_jobs);
  PrintFraction("from the open gate to the backlog's end, s", Seconds(figures.drained));
  PrintFraction("  to 95 % of the backlog, s", Seconds(figures.bulk_drained));
  PrintFraction("  deliveries a second until then",
                static_cast<double>(figures.bulk) / Seconds(figures.bulk_drained));
  PrintFraction("  rate_limit", outage.config().rate_limit);
  PrintCount("most older jobs that one left ahead of", figures.most_ahead_of);
  PrintCount("most younger jobs that one left behind", figures.most_behind);
  std::vector<Milliseconds> waits = figures.waits;
  std::sort(waits.begin(), waits.end());
  PrintCount("jobs accepted after the API's return", waits.size());
  PrintFraction("  median wait, s", Seconds(Share(waits, 0.5)));
  PrintFraction("  longest wait, s", Seconds(Share(waits, 1)));
  PrintFraction("  longest wait of a customer without backlog, s", Seconds(figures.longest_wait_of_new));
  PrintFraction("resident memory before, MB", Megabytes(memory.before));
  PrintFraction("  at a tenth of the backlog", Megabytes(memory.at_tenth));
  PrintFraction("  at the end of the outage", Megabytes(memory.at_end_of_outage));
  PrintFraction("  peak of the outage", Megabytes(memory.peak_of_outage));
  PrintFraction("  peak of the drain", Megabytes(memory.peak_of_drain));
}

void PlayFew(std::chrono::hours length) {
  std::printf("%-20s %5s %9s %8s %9s %11s %11s\n", "outage", "jobs", "attempts", "probes", "restarts",
              "noticed, s", "drained, s");
  for (const outboxd::outage::Kind& kind : outboxd::outage::Kinds()) {
    for (const std::uint64_t jobs : {1U, 5U, 300U}) {
      const outboxd::outage::FewFigures figures = outboxd::outage::PlayFewJobs(kind, jobs, length);
      std::printf("%-20s %5llu %9llu %8llu %9llu %11.1f %11.1f\n", kind.name.c_str(),
                  static_cast<unsigned long long>(jobs), static_cast<unsigned long long>(figures.attempts),
                  static_cast<unsigned long long>(figures.probes),
                  static_cast<unsigned long long>(figures.restarts), Seconds(figures.noticed),
                  Seconds(figures.drained));
      std::fflush(stdout);
    }
  }
}

void PlayMany(const CommandLine& line) {
  Outage outage(line.options, [&](const std::string& done) {
    if (line.progress) std::fprintf(stderr, "%s\n", done.c_str());
  });
  outage.Run();
  Print(outage);
}

}  // namespace

int main(int count, char** arguments) {
  const std::optional<CommandLine> line = ReadCommandLine(count, arguments);
  if (!line) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  try {
    if (line->few_hours > 0) {
      PlayFew(std::chrono::hours(line->few_hours));
    } else {
      PlayMany(*line);
    }
  } catch (const std::exception& broken) {
    std::fprintf(stderr, "outboxd_outage: %s\n", broken.what());
    return 1;
  }
  return 0;
}
