#include "daemon/base/log_sink.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>

#include "tests/support/await.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBytesMax = 1000;

std::string TestNotice(std::uint64_t dropped) {
  return "dropped " + std::to_string(dropped) + '\n';
}

// A descriptor whose reader has stopped, until it is drained.
class Stopped {
 public:
  enum class Kind : std::uint8_t { kPipe, kSocket };
  explicit Stopped(Kind kind) {
    const int made = kind == Kind::kPipe ? ::pipe(ends_.data())
                                         : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data());
    REQUIRE(made == 0);
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    ::fcntl(ends_[1], F_SETFL, O_NONBLOCK);
    while (::write(ends_[1], "x", 1) == 1) {
    }
    ::fcntl(ends_[1], F_SETFL, 0);
  }
  // The descriptor to write to stays open: a sink's thread may be in it.
  ~Stopped() { ::close(ends_[0]); }
  Stopped(const Stopped&) = delete;
  Stopped& operator=(const Stopped&) = delete;

  int descriptor() const { return ends_[1]; }

  // What was written since it was filled, once it is as wanted.
  std::string ReadUntil(const std::function<bool(const std::string&)>& is_wanted) const {
    std::string text;
    CHECK(Await([&] {
      std::array<char, 4096> part{};
      ssize_t length = 0;
      while ((length = ::read(ends_[0], part.data(), part.size())) > 0)
        text.append(part.data(), static_cast<std::size_t>(length));
      text.erase(0, std::min(text.find_first_not_of('x'), text.size()));
      return is_wanted(text);
    }));
    return text;
  }
  std::string ReadThrough(std::string_view end) const {
    return ReadUntil([end](const std::string& text) { return text.ends_with(end); });
  }

 private:
  std::array<int, 2> ends_{};
};

std::string Line(int number) {
  return "line " + std::to_string(number) + '\n';
}

// Lines in their order, with a notice wherever some are missing.
struct Told {
  std::uint64_t next = 0;  // number of the line that is neither there nor told to be missing
  std::uint64_t dropped = 0;
};
Told ToldBy(const std::string& text) {
  Told told;
  std::istringstream words(text.substr(0, text.rfind('\n') + 1));
  std::string word;
  std::uint64_t number = 0;
  while (words >> word >> number) {
    if (word == "line") {
      CHECK(number == told.next);
      ++told.next;
    } else {
      CHECK(word == "dropped");
      told.next += number;
      told.dropped += number;
    }
  }
  return told;
}

}  // namespace

TEST_CASE(
    "log sink: nobody waits for a reader that has stopped; what is missing is told when it reads again") {
  for (const Stopped::Kind kind : {Stopped::Kind::kPipe, Stopped::Kind::kSocket}) {
    const Stopped stopped(kind);
    LogSink sink({stopped.descriptor(), kBytesMax, TestNotice});
    sink.Start();
    for (int i = 0; i < 1000; ++i) sink.Write(Line(i));
    const std::uint64_t dropped = sink.Dropped();
    CHECK(dropped > 500);
    CHECK_FALSE(sink.Flush(1ms));
    // The thread may have taken the first lines before or after others were dropped.
    const std::string text =
        stopped.ReadUntil([](const std::string& read) { return ToldBy(read).next == 1000; });
    CHECK(ToldBy(text).dropped == dropped);
    CHECK(sink.Flush(10s));
    sink.Write("well again\n");
    CHECK(stopped.ReadThrough("again\n") == "well again\n");
    CHECK(sink.Dropped() == dropped);
  }
}

TEST_CASE("log sink: a line of any length comes out whole where nothing else waits") {
  const Stopped stopped(Stopped::Kind::kPipe);
  LogSink sink({stopped.descriptor(), kBytesMax, TestNotice});
  sink.Start();
  const std::string line = std::string(300'000, 'y') + '\n';
  sink.Write(line);
  CHECK(stopped.ReadThrough("\n") == line);
  CHECK(sink.Dropped() == 0);
}

TEST_CASE("log sink: a descriptor that somebody else made non-blocking loses no line") {
  const Stopped stopped(Stopped::Kind::kPipe);
  ::fcntl(stopped.descriptor(), F_SETFL, O_NONBLOCK);
  LogSink sink({stopped.descriptor(), kBytesMax, TestNotice});
  sink.Start();
  sink.Write(Line(1));
  CHECK_FALSE(sink.Flush(1ms));
  CHECK(stopped.ReadThrough("\n") == Line(1));
}

TEST_CASE("log sink: a file has each line when Write returns") {
  const TempDir dir;
  const int file = ::open((dir / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  LogSink sink({file, kBytesMax, TestNotice});
  sink.Write(Line(1));
  sink.Start();
  sink.Write(Line(2));
  CHECK(ReadFile(dir / "log") == Line(1) + Line(2));
}

TEST_CASE("log sink: a reader that has gone is not waited for") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  ::close(ends[0]);
  LogSink sink({ends[1], kBytesMax, TestNotice});
  sink.Start();
  sink.Write(Line(1));
  CHECK(sink.Flush(10s));
}

}  // namespace outboxd
