#include "daemon/base/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <type_traits>

#include "core/json.h"

namespace outboxd {
namespace {

std::atomic<LogLevel> level_now = LogLevel::kInfo;

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// "%*" in a pattern: what a line of this level begins with. `names` are those of debug, info, warn and error.
class LevelFlag final : public spdlog::custom_flag_formatter {
 public:
  explicit LevelFlag(const std::array<std::string_view, 4>& names) : names_(names) {}

  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& line) override {
    const std::string_view name =
        names_.at(static_cast<std::size_t>(message.level) - static_cast<std::size_t>(spdlog::level::debug));
    line.append(name.data(), name.data() + name.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<LevelFlag>(names_);
  }

 private:
  std::array<std::string_view, 4> names_;
};

std::unique_ptr<spdlog::formatter> MakeFormatter(bool is_journal) {
  constexpr std::array<std::string_view, 4> kNames = {"debug", "info", "warn", "error"};
  constexpr std::array<std::string_view, 4> kPriorities = {"<7>", "<6>", "<4>", "<3>"};  // sd-daemon(3)
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<LevelFlag>('*', is_journal ? kPriorities : kNames);
  formatter->set_pattern(is_journal ? "%*%v" : "%Y-%m-%dT%H:%M:%S.%eZ %* %v");
  return formatter;
}

// Never destroyed: threads and destructors may log until the very end.
spdlog::logger& Logger() {
  static spdlog::logger& logger = *[] {
    auto made =
        std::make_unique<spdlog::logger>("outboxd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_formatter(MakeFormatter(IsJournalStream(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))));
    made->set_level(spdlog::level::trace);
    return made.release();
  }();
  return logger;
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

}  // namespace

void LogValue::AppendTo(std::string& line) const {
  const auto append = [&line](auto value) {
    using Value = decltype(value);
    if constexpr (std::is_same_v<Value, std::string_view>) {
      AppendText(value, line);
    } else {
      fmt::format_to(std::back_inserter(line), "{}", value);
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
  return fmt::format("{}:{}", status.st_dev, status.st_ino) == journal_stream;
}

void InitLog(LogLevel level) {
  SetLogLevel(level);
  (void)Logger();
}

void SetLogLevel(LogLevel level) {
  level_now.store(level, std::memory_order_relaxed);
}

bool LogEnabled(LogLevel level) {
  return level >= level_now.load(std::memory_order_relaxed);
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  std::string line = FormatLogLine(event, fields);
  line += " thread=";
  AppendText(ThreadName(), line);
  Logger().log(ToSpdlog(level), spdlog::string_view_t(line));
}

}  // namespace outboxd
