#include "daemon/delivery/debug_output.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace outboxd {
namespace {

using std::chrono::seconds;

struct Written {
  std::uint64_t bytes = 0;
  std::size_t longest = 0;
  std::vector<std::pair<User, DebugOutput::LeftOut>> left_out;
  DebugOutput output{
      {[this](std::string_view line) {
         bytes += line.size();
         longest = std::max(longest, line.size());
       },
       [this](User user, const DebugOutput::LeftOut& amount) { left_out.emplace_back(user, amount); }}};
};

constexpr DebugOutput::Time kStart{std::chrono::hours(1)};

TEST_CASE(
    "debug output: a flood is bounded, another user's lines are written, and what is left out is told") {
  Written written;
  constexpr int kLines = 600;
  for (int i = 0; i < kLines; ++i)
    written.output.Write(1000, std::string(100'000, 'x'), kStart + seconds(i / 20));
  const std::uint64_t of_flood = written.bytes;
  CHECK(of_flood <= DebugOutput::kBytesAMinute);
  CHECK(of_flood > DebugOutput::kBytesAMinute / 2);
  CHECK(written.longest == DebugOutput::kLineBytes);
  written.output.Write(1001, "mine", kStart + seconds(31));
  CHECK(written.bytes == of_flood + 4);
  written.output.Tick(kStart + seconds(59));
  CHECK(written.left_out.empty());
  written.output.Tick(kStart + seconds(60));
  REQUIRE(written.left_out.size() == 1);
  CHECK(written.left_out[0].first == User(1000));
  CHECK(written.left_out[0].second.lines == kLines - of_flood / DebugOutput::kLineBytes);
  written.output.Write(1000, "again", kStart + seconds(61));
  CHECK(written.bytes == of_flood + 9);
  written.output.Tick(kStart + seconds(200));
  CHECK(written.left_out.size() == 1);
}

}  // namespace
}  // namespace outboxd
