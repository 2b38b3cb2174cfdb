#include "config/value_type.h"

#include <doctest/doctest.h>

#include "config/log_level.h"

using namespace outboxd;
using namespace std::chrono_literals;

namespace {

template <typename T>
std::string WhyNot(const ValueType<T>& type, const std::string& text) {
  const Result<T> value = type.read(text);
  return value ? "(read)" : value.error().message;
}

}  // namespace

TEST_CASE("value type: a range holds its borders and says them") {
  const ValueType<std::uint32_t> count = value_type::Count<std::uint32_t>(1, 64);
  CHECK(count.allowed == "1 to 64");
  CHECK(count.read("1").value() == 1);
  CHECK(count.read("64").value() == 64);
  CHECK(WhyNot(count, "0") == "must be from 1 to 64");
  CHECK(WhyNot(count, "65") == "must be from 1 to 64");
  CHECK(WhyNot(count, "5000000000") == "must be from 1 to 64");  // more than the member holds
  CHECK(WhyNot(count, "one") == "must be a whole number");
  CHECK(count.show(7) == "7");
}

TEST_CASE("value type: durations and sizes are shown with their units") {
  CHECK(value_type::Duration(1ms, 1h).allowed == "1ms to 1h");
  CHECK(value_type::Duration(0ms, 1h).show(90s) == "90s");
  CHECK(value_type::WholeSeconds(1s, 60s).allowed == "1s to 1min");
  CHECK(WhyNot(value_type::WholeSeconds(1s, 60s), "1500ms") == "must be whole seconds");
  CHECK(value_type::Size(256, 16 << 20).allowed == "256 to 16MiB");
  CHECK(value_type::Number(0, 1000).show(0.5) == "0.5");
  CHECK(WhyNot(value_type::Number(0, 1000), "nan") == "must be from 0 to 1000");
}

TEST_CASE("value type: a choice is read and shown by its names") {
  const ValueType<LogLevel> choice = value_type::Choice<LogLevel>();
  CHECK(choice.allowed == "debug, info, warn or error");
  CHECK(choice.read("warn").value() == LogLevel::kWarn);
  CHECK(choice.show(LogLevel::kError) == "error");
  CHECK(WhyNot(choice, "trace") == "must be debug, info, warn or error");
  CHECK(value_type::Flag().allowed == "true or false");
}

TEST_CASE("value type: a file's mode is shown as it is written") {
  CHECK(value_type::Mode().show(0660) == "0660");
  CHECK(value_type::Mode().read("0640").value() == 0640);
}

TEST_CASE("value type: a file is an absolute path of a bounded length") {
  const auto file = value_type::File(10);
  CHECK(file.read("/a/b").value() == "/a/b");
  CHECK(WhyNot(file, "a/b") == "must be the absolute path of a file");
  CHECK(WhyNot(file, "/0123456789") == "must be at most 10 bytes long");
}
