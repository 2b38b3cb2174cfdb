// tests/core/job_lines.h — tables of job lines that must be read or refused.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/job_line.h"

namespace outboxd::testing {

struct Refused {
  std::string line;
  std::string field;
  std::string message_part;
  Refusal code = Refusal::kInvalidJob;
};

inline void CheckRefused(const std::vector<Refused>& table) {
  for (const Refused& row : table) {
    const std::string line = row.line.substr(0, 300);
    CAPTURE(line);
    const auto job = ParseJobLine(row.line);
    CHECK_MESSAGE(!job, "was accepted");
    if (job) continue;
    CHECK(job.error().code == row.code);
    CHECK(job.error().field == row.field);
    CHECK_MESSAGE(job.error().message.find(row.message_part) != std::string::npos,
                  "message: ", job.error().message);
  }
}

inline void CheckAccepted(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    const std::string start = line.substr(0, 300);
    CAPTURE(start);
    const auto job = ParseJobLine(line);
    CHECK_MESSAGE(job, (job ? std::string() : job.error().field + ": " + job.error().message));
  }
}

// The line is valid or the test ends.
inline Job Read(std::string line) {
  CAPTURE(line);
  auto job = ParseJobLine(line);
  REQUIRE_MESSAGE(job, (job ? std::string() : job.error().field + ": " + job.error().message));
  return std::move(*job);
}

inline std::string Repeat(std::string_view text, std::size_t count) {
  std::string repeated;
  for (std::size_t i = 0; i < count; ++i) repeated += text;
  return repeated;
}

}  // namespace outboxd::testing
