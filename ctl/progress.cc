#include "ctl/progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>

#include "core/duration.h"
#include "ctl/console.h"
#include "ctl/format.h"
#include "ctl/table.h"

namespace outboxd {
namespace {

std::string Bar(double part, std::size_t columns) {
  const auto filled = static_cast<std::size_t>(std::clamp(part, 0.0, 1.0) * static_cast<double>(columns));
  std::string bar = "[" + std::string(filled, '=');
  if (filled < columns) bar += ">" + std::string(columns - filled - 1, ' ');
  return bar + "]";
}

std::string FormatText(const ProgressView& view, double part) {
  std::string text = view.bytes_total ? FormatPercent(part) + ", " : std::string();
  text += FormatCount(static_cast<std::int64_t>(view.accepted)) + " accepted, " +
          FormatCount(static_cast<std::int64_t>(view.refused)) + " refused";
  if (!view.waiting.empty()) return text + ", waiting: " + view.waiting;
  text += ", " + FormatRate(view.lines_per_s);
  if (view.left && view.left->count() >= 1000) text += ", " + ShowSpan(*view.left) + " left";
  return text;
}

}  // namespace

std::string FormatProgress(const ProgressView& view, std::size_t columns) {
  constexpr std::size_t kWidestBar = 24;
  constexpr std::size_t kNarrowestBar = 5;
  const double part = !view.bytes_total ? 0
                      : *view.bytes_total == 0
                          ? 1
                          : static_cast<double>(view.bytes) / static_cast<double>(*view.bytes_total);
  std::string text = FormatText(view, part);
  if (columns == 0) return text;
  const std::size_t room = columns - std::min(columns, DisplayWidth(text) + 3);
  if (!view.bytes_total || room < kNarrowestBar) return CutToWidth(text, columns);
  return Bar(part, std::min(room, kWidestBar)) + " " + text;
}

Progress::Progress(const Console& console, Style style, Instant start, std::uint64_t bytes_before,
                   std::uint64_t lines_before)
    : console_(console),
      style_(style),
      shown_(start),
      measured_(start),
      lines_measured_(lines_before),
      bytes_measured_(bytes_before) {}

void Progress::Measure(const ProgressView& view, Instant now) {
  const double seconds = std::chrono::duration<double>(now - measured_).count();
  if (seconds < 0.05) return;
  const std::uint64_t lines = view.accepted + view.refused;
  const double lines_per_s = static_cast<double>(lines - std::min(lines, lines_measured_)) / seconds;
  const double bytes_per_s =
      static_cast<double>(view.bytes - std::min(view.bytes, bytes_measured_)) / seconds;
  constexpr double kMemorySeconds = 5;
  const double weight = has_rate_ ? 1 - std::exp(-seconds / kMemorySeconds) : 1;
  lines_per_s_ += (lines_per_s - lines_per_s_) * weight;
  bytes_per_s_ += (bytes_per_s - bytes_per_s_) * weight;
  has_rate_ = true;
  measured_ = now;
  lines_measured_ = lines;
  bytes_measured_ = view.bytes;
}

void Progress::Update(ProgressView view, Instant now) {
  const auto interval = style_ == Style::kBar ? Milliseconds(100) : Milliseconds(5000);
  if (style_ == Style::kNone || now - shown_ < interval) return;
  shown_ = now;
  Measure(view, now);
  view.lines_per_s = lines_per_s_;
  if (view.bytes_total && bytes_per_s_ > 0) {
    const double bytes_left =
        static_cast<double>(*view.bytes_total - std::min(*view.bytes_total, view.bytes));
    view.left = Milliseconds(static_cast<std::int64_t>(std::min(bytes_left / bytes_per_s_, 1e9)) * 1000);
  }
  if (style_ == Style::kLines) {
    console_.err << FormatProgress(view, 0) << '\n' << std::flush;
    return;
  }
  // One column stays free: a full line would wrap on some terminals.
  const std::size_t columns = console_.err_width > 1 ? static_cast<std::size_t>(console_.err_width - 1) : 79;
  console_.err << '\r' << FormatProgress(view, columns) << "\x1b[K" << std::flush;
  bar_shown_ = true;
}

void Progress::Clear() {
  if (bar_shown_) console_.err << "\r\x1b[K" << std::flush;
  bar_shown_ = false;
}

}  // namespace outboxd
