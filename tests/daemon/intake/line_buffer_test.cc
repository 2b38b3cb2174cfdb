#include "daemon/intake/line_buffer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/intake/read_size.h"

namespace outboxd {
namespace {

using Next = LineBuffer::Next;
using Lines = std::vector<std::string>;

constexpr std::size_t kLineBytes = 20;

// Every line that `bytes` complete.
Lines TakeAll(LineBuffer& buffer, std::string_view bytes) {
  Lines lines;
  std::string line;
  while (buffer.Take(bytes, kLineBytes, line) == Next::kLine) lines.push_back(std::exchange(line, {}));
  CHECK(bytes.empty());
  return lines;
}

TEST_CASE("line buffer: lines come out as they went in, wherever the reads are cut") {
  const std::string text = "one\n\ntwo three\r\n" + std::string(kLineBytes, 'x') + "\nfive\n";
  const Lines whole{"one", "", "two three\r", std::string(kLineBytes, 'x'), "five"};
  for (std::size_t first = 0; first <= text.size(); ++first) {
    for (std::size_t second = first; second <= text.size(); ++second) {
      CAPTURE(first);
      CAPTURE(second);
      LineBuffer buffer;
      Lines lines;
      const std::string_view view(text);
      for (const std::string_view piece :
           {view.substr(0, first), view.substr(first, second - first), view.substr(second)}) {
        for (std::string& line : TakeAll(buffer, piece)) lines.push_back(std::move(line));
      }
      CHECK(lines == whole);
      CHECK(buffer.HeldBytes() == 0);
    }
  }
}

TEST_CASE("line buffer: an unfinished line is held until its end comes, or taken as it is") {
  LineBuffer buffer;
  CHECK(TakeAll(buffer, "a\nbe") == Lines{"a"});
  CHECK(buffer.HeldBytes() == 2);
  CHECK(TakeAll(buffer, "gin") == Lines{});
  CHECK(buffer.HeldBytes() == 5);
  CHECK(buffer.TakeUnfinished() == "begin");
  CHECK(buffer.HeldBytes() == 0);
}

TEST_CASE("line buffer: a line over the limit is told as soon as it is, and nothing of it is held") {
  const std::string most(kLineBytes, 'x');
  std::string line;
  for (const std::string& text : {most + "x", most + "x\n"}) {
    LineBuffer buffer;
    std::string_view bytes = text;
    CHECK(buffer.Take(bytes, kLineBytes, line) == Next::kTooLong);
    CHECK(buffer.HeldBytes() == 0);
  }
  LineBuffer buffer;
  CHECK(TakeAll(buffer, most) == Lines{});
  std::string_view one_more = "x";
  CHECK(buffer.Take(one_more, kLineBytes, line) == Next::kTooLong);
  CHECK(buffer.HeldBytes() == 0);
}

TEST_CASE("line buffer: what is kept for later is held, and comes back whole") {
  LineBuffer buffer;
  CHECK_FALSE(buffer.HasKept());
  buffer.Keep("b\nc");
  CHECK(buffer.HasKept());
  CHECK(buffer.HeldBytes() == 3);
  CHECK(buffer.TakeKept() == "b\nc");
  CHECK_FALSE(buffer.HasKept());
  CHECK(buffer.HeldBytes() == 0);
}

TEST_CASE("read size: it grows while reads are full of few lines, and shrinks to what was taken at once") {
  ReadSize size;
  CHECK(size.bytes() == ReadSize::kFirst);
  size.Follow(size.bytes() - 1, size.bytes() - 1, 10);  // the producer has no more
  CHECK(size.bytes() == ReadSize::kFirst);
  size.Follow(size.bytes(), size.bytes(), kLinesAtOnce / 2 + 1);  // twice as much could be too many lines
  CHECK(size.bytes() == ReadSize::kFirst);
  for (int i = 0; i < 5; ++i) size.Follow(size.bytes(), size.bytes(), 10);
  CHECK(size.bytes() == ReadSize::kMost);
  size.Follow(size.bytes(), 50'000, kLinesAtOnce);
  CHECK(size.bytes() == 50'000);
  size.Follow(size.bytes(), kLinesAtOnce, kLinesAtOnce);
  CHECK(size.bytes() == ReadSize::kLeast);
}

TEST_CASE("read size: lines of one length are read in pieces that can be taken at once") {
  for (const std::size_t line_bytes : {1UL, 2UL, 15UL, 25UL, 40UL, 64UL, 350UL, 5000UL}) {
    CAPTURE(line_bytes);
    ReadSize size;
    for (int read = 0; read < 20; ++read) {
      const std::size_t bytes = size.bytes();
      const std::size_t lines = std::min(bytes / line_bytes, kLinesAtOnce);
      const std::size_t taken = lines == kLinesAtOnce ? std::min(bytes, lines * line_bytes) : bytes;
      if (read > 8) CHECK(taken == bytes);
      size.Follow(bytes, taken, lines);
    }
    if (line_bytes >= 128) CHECK(size.bytes() == ReadSize::kMost);
  }
}

}  // namespace
}  // namespace outboxd
