#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <charconv>
#include <iostream>
#include <string_view>

#include "tests/crash/crash_options.h"

namespace outboxd {

CrashOptions& TheCrashOptions() {
  static CrashOptions options;
  return options;
}

namespace {

bool ReadNumber(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ReadOptions(int count, char** arguments, CrashOptions& options) {
  for (int i = 1; i + 1 < count; ++i) {
    const std::string_view name = arguments[i];
    if (name == "--kills" && !ReadNumber(arguments[i + 1], options.kills)) return false;
    if (name == "--seed" && !ReadNumber(arguments[i + 1], options.seed)) return false;
  }
  return true;
}

}  // namespace
}  // namespace outboxd

int main(int count, char** arguments) {
  if (!outboxd::ReadOptions(count, arguments, outboxd::TheCrashOptions())) {
    std::cerr << "usage: crash_tests [--kills N] [--seed N] and doctest's options\n";
    return 2;
  }
  return doctest::Context(count, arguments).run();
}
