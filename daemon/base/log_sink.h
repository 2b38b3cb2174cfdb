// daemon/base/log_sink.h — where log lines go: a descriptor whose reader may have stopped. Whoever logs never
// waits for it.
//
// A line that the descriptor takes at once is written by the caller. Otherwise it waits, with those behind
// it, for the thread "outboxd-log"; beyond a bound lines are dropped and counted. When the descriptor takes
// them again, the thread writes those that waited, and then one line that says how many are missing.
//
// Not waited for: pipes, sockets, terminals. A regular file is written by the caller as its disk takes it.
//
// Threads: every method may be called on any thread; lines are written whole and in order.
// Errors: what the descriptor refuses is lost; logging never fails its caller.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace outboxd {

class LogSink {
 public:
  struct Options {
    int descriptor = -1;        // borrowed; it may be used until the process ends
    std::size_t bytes_max = 0;  // of lines that wait; the same again may be under way
    // The line, with its end, that tells of `dropped` lines. Called on the sink's thread.
    std::function<std::string(std::uint64_t dropped)> notice;
  };
  // Until Start(), Write() waits for the descriptor.
  explicit LogSink(Options options);
  // Does not wait: what the descriptor has not taken may never come out.
  ~LogSink();
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  // Starts the thread, with the signal mask of the caller. Once.
  void Start();
  void Write(std::string_view line);
  // Waits until all lines are out, at most `patience`. False: some are not.
  bool Flush(std::chrono::milliseconds patience);
  std::uint64_t Dropped() const;  // lines, so far

 private:
  struct State;
  const std::shared_ptr<State> state_;  // shared with the thread, which may hang in a write for ever
};

}  // namespace outboxd
