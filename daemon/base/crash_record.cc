#include "daemon/base/crash_record.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/result.h"
#include "core/time.h"

namespace outboxd {
namespace {

constexpr std::size_t kLines = 8;
constexpr std::size_t kDigits = 13;
constexpr std::size_t kLineBytes = kDigits + 1;

// What the handler needs; a handler reaches nothing but globals.
struct Watched {
  int descriptor = -1;
  off_t offset = 0;
  std::array<struct sigaction, kCrashSignals.size()> before{};
};
Watched watched;                                  // written while no handler is installed
std::atomic<bool> is_watched{false};              // one object at a time
std::atomic_flag is_recorded = ATOMIC_FLAG_INIT;  // two threads may crash at once

// Async-signal-safe, like all below it until Watch().
void WriteDown(int descriptor, off_t offset) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::int64_t milliseconds = std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
  std::array<char, kLineBytes> line{};
  line[kDigits] = '\n';
  for (std::size_t digit = kDigits; digit-- > 0; milliseconds /= 10)
    line[digit] = static_cast<char>('0' + milliseconds % 10);
  static_cast<void>(!pwrite(descriptor, line.data(), line.size(), offset));  // there is nobody to be told
}

void OnCrash(int number, siginfo_t* info, void*) {
  const int saved = errno;
  if (!is_recorded.test_and_set()) WriteDown(watched.descriptor, watched.offset);
  for (std::size_t i = 0; i < kCrashSignals.size(); ++i) {
    if (kCrashSignals[i] == number) sigaction(number, &watched.before[i], nullptr);
  }
  // An instruction that failed fails again on return, and then ends the process; a signal that was sent has
  // to be sent again.
  if (info->si_code <= 0) raise(number);
  errno = saved;
}

// nullopt: not a line of ours, or an empty one.
std::optional<Timestamp> ParseLine(std::string_view line) {
  std::int64_t milliseconds = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + kDigits, milliseconds);
  if (error != std::errc() || end != line.data() + kDigits || line[kDigits] != '\n' || milliseconds <= 0)
    return std::nullopt;
  return FromUnixMs(milliseconds);
}

Failure Unusable(const std::filesystem::path& file) {
  return Fail(ErrorKind::kIo, file.string() + ": " + std::strerror(errno));
}

}  // namespace

std::optional<Timestamp> HoldUntil(std::vector<Timestamp> crashes, Timestamp now) {
  std::erase_if(crashes, [now](Timestamp crash) { return crash > now; });
  if (crashes.size() < kCrashesMax) return std::nullopt;
  std::sort(crashes.begin(), crashes.end());
  const Timestamp last = crashes.back();
  const Timestamp first = crashes[crashes.size() - kCrashesMax];
  if (last - first > kCrashSpan || now - last >= kCrashSpan) return std::nullopt;
  return last + kCrashSpan;
}

Result<CrashRecord> CrashRecord::Open(const std::filesystem::path& file) {
  const mode_t before = umask(0027);  // as the outbox's other files, whatever the daemon was started with
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  const int why = errno;
  umask(before);
  errno = why;
  if (descriptor < 0) return Unusable(file);
  CrashRecord record(descriptor, {}, 0);
  std::string text(kLines * kLineBytes, '\0');
  const ssize_t count = pread(descriptor, text.data(), text.size(), 0);
  if (count < 0) return Unusable(file);
  std::array<Timestamp, kLines> lines{};
  for (std::size_t i = 0; i < kLines; ++i) {
    const auto crash = ParseLine(std::string_view(text).substr(i * kLineBytes, kLineBytes));
    if (!crash) continue;
    lines[i] = *crash;
    record.crashes_.push_back(*crash);
  }
  record.next_ = static_cast<std::size_t>(std::min_element(lines.begin(), lines.end()) - lines.begin());
  if (static_cast<std::size_t>(count) == text.size()) return record;
  std::string empty;
  for (std::size_t i = 0; i < kLines; ++i) empty += std::string(kDigits, '0') + '\n';
  const std::size_t whole = static_cast<std::size_t>(count) / kLineBytes * kLineBytes;
  const std::string_view missing = std::string_view(empty).substr(whole);
  if (pwrite(descriptor, missing.data(), missing.size(), static_cast<off_t>(whole)) !=
      static_cast<ssize_t>(missing.size()))
    return Unusable(file);
  return record;
}

CrashRecord::CrashRecord(CrashRecord&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      crashes_(std::move(other.crashes_)),
      next_(other.next_),
      watching_(std::exchange(other.watching_, false)) {}

CrashRecord::~CrashRecord() {
  if (watching_) {
    for (std::size_t i = 0; i < kCrashSignals.size(); ++i)
      sigaction(kCrashSignals[i], &watched.before[i], nullptr);
    is_watched = false;
  }
  if (descriptor_ >= 0) close(descriptor_);
}

void CrashRecord::Watch() {
  CHECK(!is_watched.exchange(true));
  watching_ = true;
  watched.descriptor = descriptor_;
  watched.offset = static_cast<off_t>(next_ * kLineBytes);
  is_recorded.clear();
  struct sigaction action{};
  action.sa_sigaction = OnCrash;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kCrashSignals.size(); ++i)
    sigaction(kCrashSignals[i], &action, &watched.before[i]);
}

}  // namespace outboxd
