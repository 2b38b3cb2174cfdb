// daemon/base/log.h — the daemon's log on stderr: one line of key=value pairs each.
//
//   2026-11-24T03:10:27.123Z info connection connection=default state=paused pause=auth thread=outboxd-queue
//
// Under systemd, where stderr is the journal, a line begins with its syslog priority ("<6>") instead of time
// and level. Values are escaped and quoted where needed: what comes from outside cannot forge a line or reach
// a terminal.
//
// Threads: every function may be called on any thread; lines are written whole. After StartLogThread() nobody
// waits for whoever reads stderr (daemon/base/log_sink.h).
// Errors: a line that cannot be written is lost; logging never fails its caller.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "config/log_level.h"

namespace outboxd {

// A value as Log() takes it: text is borrowed for the call alone.
class LogValue {
 public:
  LogValue(std::string_view text) : value_(text) {}
  LogValue(const std::string& text) : value_(std::string_view(text)) {}
  LogValue(const char* text) : value_(std::string_view(text)) {}
  LogValue(bool value) : value_(std::string_view(value ? "true" : "false")) {}
  template <std::signed_integral T>
  LogValue(T number) : value_(std::int64_t{number}) {}
  template <std::unsigned_integral T>
  LogValue(T number) : value_(std::uint64_t{number}) {}
  LogValue(double number) : value_(number) {}

  void AppendTo(std::string& line) const;

 private:
  std::variant<std::string_view, std::int64_t, std::uint64_t, double> value_;
};

struct LogField {
  std::string_view key;
  LogValue value;
};

// Until this is called the level is info.
void SetLogLevel(LogLevel level);
// Whether a line of this level would be written; one relaxed load. Ask before building costly values.
bool LogEnabled(LogLevel level);

// `event` is a few fixed words; what varies goes into `fields`. The thread's name is added.
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// A line for people as it is, with its end: what the daemon complains of before it exits.
void WriteToLog(std::string_view text);

// Until this is called, lines wait for stderr. The thread has the caller's signal mask. Once.
void StartLogThread();
// Waits until all lines are out, at most `patience`; for the end of the process. False: some are not.
bool FlushLog(std::chrono::milliseconds patience);
// Because stderr did not take them, so far.
std::uint64_t LogLinesDropped();

// The line without what stands before `event`: `event key=value key="a value"`.
std::string FormatLogLine(std::string_view event, std::initializer_list<LogField> fields);

// Whether `descriptor` is the stream that `journal_stream` ($JOURNAL_STREAM, "DEVICE:INODE"; nullptr: unset)
// names.
bool IsJournalStream(int descriptor, const char* journal_stream);

}  // namespace outboxd
