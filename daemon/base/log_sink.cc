#include "daemon/base/log_sink.h"

#include <poll.h>
#include <pthread.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "daemon/base/mutex.h"

namespace outboxd {
namespace {

// Waits as long as it takes. A pipe may take a long line in parts.
void WriteOut(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {  // whoever shares the descriptor made it non-blocking
      pollfd room{descriptor, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (written == 0 || errno != EINTR) {
      return;
    }
  }
}

enum class Kind : std::uint8_t { kFile, kSocket, kOther };

Kind KindOf(int descriptor) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return Kind::kOther;
  if (S_ISREG(status.st_mode)) return Kind::kFile;
  return S_ISSOCK(status.st_mode) ? Kind::kSocket : Kind::kOther;
}

// How much of `text` is dealt with: written, or refused for good. Never waits for a reader. RWF_NOWAIT and
// not O_NONBLOCK: the latter would hold for all who share the pipe.
std::size_t WriteAtOnce(int descriptor, std::string_view text) {
  const Kind kind = KindOf(descriptor);  // each time: somebody may put another one in its place
  if (kind == Kind::kFile) {
    WriteOut(descriptor, text);
    return text.size();
  }
  const iovec part{const_cast<char*>(text.data()), text.size()};
  const ssize_t written = kind == Kind::kSocket
                              ? ::send(descriptor, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                              : ::pwritev2(descriptor, &part, 1, -1, RWF_NOWAIT);
  if (written >= 0) return static_cast<std::size_t>(written);
  const bool may_take_it_later =
      errno == EAGAIN || errno == EINTR || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL;
  return may_take_it_later ? 0 : text.size();
}

}  // namespace

struct LogSink::State {
  explicit State(Options with) : options(std::move(with)) {}

  const Options options;
  std::atomic<std::uint64_t> dropped{0};
  Mutex mutex;
  Condition arrived, drained;
  std::string waiting GUARDED_BY(mutex);
  std::uint64_t untold GUARDED_BY(mutex) = 0;  // dropped behind `waiting`
  bool has_thread GUARDED_BY(mutex) = false;
  bool is_writing GUARDED_BY(mutex) = false;
  bool closed GUARDED_BY(mutex) = false;

  bool IsIdle() const REQUIRES(mutex) { return waiting.empty() && untold == 0 && !is_writing; }

  void Write(std::string_view line) EXCLUDES(mutex) {
    MutexLock lock(mutex);
    if (!has_thread) {
      WriteOut(options.descriptor, line);
      return;
    }
    if (IsIdle()) {
      line.remove_prefix(WriteAtOnce(options.descriptor, line));
      if (line.empty()) return;
    } else if (untold > 0 || waiting.size() + line.size() > options.bytes_max) {
      // After the first one all, so that the notice stands where they are missing.
      ++untold;
      ++dropped;
      return;
    }
    waiting += line;
    arrived.NotifyOne();
  }

  // False: closed, and nothing waits.
  bool Take(std::string& lines, std::uint64_t& missing) EXCLUDES(mutex) {
    lines.clear();
    MutexLock lock(mutex);
    is_writing = false;
    if (IsIdle()) drained.NotifyAll();
    while (IsIdle() && !closed) arrived.Wait(mutex);
    std::swap(lines, waiting);
    missing = std::exchange(untold, 0);
    is_writing = !lines.empty() || missing > 0;
    return is_writing;
  }

  void Run() {
    std::string lines;
    std::uint64_t missing = 0;
    while (Take(lines, missing)) {
      WriteOut(options.descriptor, lines);
      if (missing > 0) WriteOut(options.descriptor, options.notice(missing));
    }
  }
};

LogSink::LogSink(Options options) : state_(std::make_shared<State>(std::move(options))) {}

LogSink::~LogSink() {
  MutexLock lock(state_->mutex);
  state_->closed = true;
  state_->arrived.NotifyOne();
}

void LogSink::Start() {
  MutexLock lock(state_->mutex);
  state_->has_thread = true;
  std::thread([state = state_] {
    ::pthread_setname_np(::pthread_self(), "outboxd-log");
    state->Run();
  }).detach();  // it may hang in a write when the process ends
}

void LogSink::Write(std::string_view line) {
  state_->Write(line);
}

bool LogSink::Flush(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  MutexLock lock(state_->mutex);
  while (!state_->IsIdle()) {
    if (!state_->drained.WaitUntil(state_->mutex, deadline)) return state_->IsIdle();
  }
  return true;
}

std::uint64_t LogSink::Dropped() const {
  return state_->dropped;
}

}  // namespace outboxd
