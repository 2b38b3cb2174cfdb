#include "daemon/base/log.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "config/log_level.h"
#include "core/names.h"
#include "core/text.h"
#include "core/time.h"
#include "daemon/base/log_sink.h"
#include "daemon/base/wall_clock.h"

namespace outboxd {
namespace {

std::atomic<LogLevel> level_now = LogLevel::kInfo;

constexpr std::size_t kWaitingBytes = 1 << 20;  // of lines that stderr does not take

std::string_view PriorityOf(LogLevel level) {  // sd-daemon(3)
  switch (level) {
    case LogLevel::kDebug:
      return "<7>";
    case LogLevel::kInfo:
      return "<6>";
    case LogLevel::kWarn:
      return "<4>";
    case LogLevel::kError:
      return "<3>";
  }
  return {};
}

bool IsJournal() {
  static const bool is_journal = IsJournalStream(STDERR_FILENO, std::getenv("JOURNAL_STREAM"));
  return is_journal;
}

// What a line begins with.
std::string Prefix(LogLevel level) {
  if (IsJournal()) return std::string(PriorityOf(level));
  std::string prefix = FormatRfc3339(WallClockNow());
  prefix += ' ';
  prefix += NameOf(level);
  prefix += ' ';
  return prefix;
}

void AppendNumber(auto number, std::string& line) {
  std::array<char, 32> digits{};
  const std::to_chars_result end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  line.append(digits.data(), end.ptr);
}

// Backslashes and quotes of the text itself are escaped first, so that what EscapeForTerminal adds cannot be
// mistaken for them.
void AppendText(std::string_view text, std::string& line) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  const std::string shown = EscapeForTerminal(escaped);
  const bool needs_quotes = shown.empty() || shown.find_first_of(" =\\") != std::string::npos;
  if (needs_quotes) line += '"';
  line += shown;
  if (needs_quotes) line += '"';
}

std::string ThreadName() {
  std::array<char, 16> name{};  // the kernel's length, with its NUL
  ::prctl(PR_GET_NAME, name.data());
  return name.data();
}

std::string WholeLine(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = Prefix(level) + FormatLogLine(event, fields);
  line += " thread=";
  AppendText(ThreadName(), line);
  line += '\n';
  return line;
}

std::string NoticeOf(std::uint64_t dropped) {
  return WholeLine(LogLevel::kWarn, "stderr was not read, log lines were dropped", {{"lines", dropped}});
}

// Never destroyed: its thread may outlive main().
LogSink& Sink() {
  static auto* const sink = new LogSink({STDERR_FILENO, kWaitingBytes, NoticeOf});
  return *sink;
}

}  // namespace

void LogValue::AppendTo(std::string& line) const {
  const auto append = [&line](auto value) {
    using Value = decltype(value);
    if constexpr (std::is_same_v<Value, std::string_view>) {
      AppendText(value, line);
    } else {
      AppendNumber(value, line);
    }
  };
  std::visit(append, value_);
}

std::string FormatLogLine(std::string_view event, std::initializer_list<LogField> fields) {
  std::string line(event);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    field.value.AppendTo(line);
  }
  return line;
}

bool IsJournalStream(int descriptor, const char* journal_stream) {
  struct stat status{};
  if (journal_stream == nullptr || ::fstat(descriptor, &status) != 0) return false;
  return std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino) == journal_stream;
}

void SetLogLevel(LogLevel level) {
  level_now.store(level, std::memory_order_relaxed);
}

bool LogEnabled(LogLevel level) {
  return level >= level_now.load(std::memory_order_relaxed);
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  Sink().Write(WholeLine(level, event, fields));
}

void WriteToLog(std::string_view text) {
  Sink().Write(text);
}

void StartLogThread() {
  Sink().Start();
}

bool FlushLog(std::chrono::milliseconds patience) {
  return Sink().Flush(patience);
}

std::uint64_t LogLinesDropped() {
  return Sink().Dropped();
}

}  // namespace outboxd
