// ctl/progress.h — how an import shows how far it is: a bar on a terminal, now and then a line elsewhere.
// Time is an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "core/time.h"
#include "ctl/console.h"

namespace outboxd {

struct ProgressView {
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  std::uint64_t bytes = 0;                   // answered, from the start of the file
  std::optional<std::uint64_t> bytes_total;  // unknown for a pipe
  double lines_per_s = 0;
  std::optional<Milliseconds> left;
  std::string waiting;  // "the daemon is busy"; empty while lines flow
};

// "[=====>    ] 45.6%, 123,456 accepted, 7 refused, 51,000/s, 12s left". The bar takes what the text leaves
// of `columns`, up to 24; without a total, or room for one, there is none. 0 columns: text alone.
std::string FormatProgress(const ProgressView& view, std::size_t columns);

class Progress {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  enum class Style { kNone, kLines, kBar };
  Progress(const Console& console, Style style, Instant start, std::uint64_t bytes_before,
           std::uint64_t lines_before);

  // Shows `view` (its rate and time left are filled in here) when it is time to.
  void Update(ProgressView view, Instant now);
  // Clears the bar, so that other words can be printed.
  void Clear();

 private:
  void Measure(const ProgressView& view, Instant now);

  const Console& console_;
  Style style_;
  Instant shown_;
  Instant measured_;
  std::uint64_t lines_measured_;
  std::uint64_t bytes_measured_;
  double lines_per_s_ = 0;
  double bytes_per_s_ = 0;
  bool has_rate_ = false;
  bool bar_shown_ = false;
};

}  // namespace outboxd
