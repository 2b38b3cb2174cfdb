#include "config/value_type.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <utility>

#include "config/system_user.h"
#include "config/values.h"
#include "core/duration.h"
#include "core/result.h"
#include "core/time.h"

namespace outboxd::value_type {
namespace {

constexpr std::size_t kGroupNameBytes = 32;

Result<std::chrono::seconds> ReadWholeSeconds(const std::string& text) {
  ASSIGN_OR_RETURN(const Milliseconds duration, config_values::ReadDuration(text));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  if (duration != seconds) return Fail(ErrorKind::kInvalid, "must be whole seconds");
  return seconds;
}

Result<double> ReadNumber(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return Fail(ErrorKind::kInvalid, "must be a number");
}

std::string ShowNumber(double number) {
  std::array<char, 32> text{};
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  return error == std::errc() ? std::string(text.data(), end) : std::to_string(number);
}

Result<std::string> ReadGroup(const std::string& text) {
  const bool is_word = text.find_first_of(" \t\n:/") == std::string::npos;
  if (!text.empty() && text.size() <= kGroupNameBytes && is_word) return text;
  return Fail(ErrorKind::kInvalid, "must be the name or number of a group");
}

std::string ShowMode(std::uint32_t mode) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode);
  return text.data();
}

std::string AsItIs(const std::string& text) {
  return text;
}

// YAML may take a plain text for a number or a boolean; here it is the text.
std::string AnyText() {
  return R"("type":["string","number","boolean"],"minLength":1)";
}

std::string DurationSchema() {
  return R"("type":"string",)" + Pattern("^[0-9]+(ms|s|m|min|h|d)$");
}

}  // namespace

std::string Pattern(const std::string& pattern) {
  return R"("pattern":")" + pattern + R"(|\\$\\{")";
}

std::string WholeNumberSchema(std::uint64_t low, std::uint64_t high) {
  return R"("type":["integer","string"],"minimum":)" + std::to_string(low) + R"(,"maximum":)" +
         std::to_string(high) + "," + Pattern("^[0-9]+$");
}

ValueType<Milliseconds> Duration(Milliseconds low, Milliseconds high) {
  return Ranged<Milliseconds>({config_values::ReadDuration, ShowDuration, {}, Echo::kShown, DurationSchema()},
                              low, high);
}

ValueType<std::chrono::seconds> WholeSeconds(std::chrono::seconds low, std::chrono::seconds high) {
  return Ranged<std::chrono::seconds>({ReadWholeSeconds, ShowDuration, {}, Echo::kShown, DurationSchema()},
                                      low, high);
}

ValueType<std::uint64_t> Size(std::uint64_t low, std::uint64_t high) {
  const std::string schema = R"("type":["integer","string"],"minimum":)" + std::to_string(low) +
                             R"(,"maximum":)" + std::to_string(high) + "," +
                             Pattern("^[0-9]+([kMGT]B|[KMGT]iB)?$");
  return Ranged<std::uint64_t>({config_values::ReadSize, config_values::ShowSize, {}, Echo::kShown, schema},
                               low, high);
}

ValueType<double> Number(double low, double high) {
  const std::string schema = R"("type":["number","string"],"minimum":)" + ShowNumber(low) + R"(,"maximum":)" +
                             ShowNumber(high) + "," + Pattern("^[0-9.eE+-]+$");
  return Ranged<double>({ReadNumber, ShowNumber, {}, Echo::kShown, schema}, low, high);
}

ValueType<bool> Flag() {
  const auto read = [](const std::string& text) -> Result<bool> {
    if (text == "true" || text == "false") return text == "true";
    return Fail(ErrorKind::kInvalid, "must be true or false");
  };
  return {read, [](bool value) { return std::string(value ? "true" : "false"); }, "true or false",
          Echo::kShown, R"("type":["boolean","string"],)" + Pattern("^(true|false)$")};
}

ValueType<std::filesystem::path> File(std::size_t bytes_max, Echo echo) {
  const auto read = [bytes_max](const std::string& text) -> Result<std::filesystem::path> {
    const bool is_file =
        text.starts_with('/') && !text.ends_with('/') && text.find('\0') == std::string::npos;
    if (!is_file) return Fail(ErrorKind::kInvalid, "must be the absolute path of a file");
    if (text.size() > bytes_max)
      return Fail(ErrorKind::kInvalid, "must be at most " + std::to_string(bytes_max) + " bytes long");
    return std::filesystem::path(text);
  };
  return {read,
          [](const std::filesystem::path& path) { return path.string(); },
          {},
          echo,
          R"("type":"string",)" + Pattern("^/(.*[^/])?$")};
}

ValueType<std::string> Text(std::function<Result<std::string>(const std::string&)> read, Echo echo) {
  return {std::move(read), AsItIs, {}, echo, AnyText()};
}

// Without quotes it is a number to a schema: 660, or 432 to readers of YAML 1.1, where 0660 is octal.
ValueType<std::uint32_t> Mode() {
  return {config_values::ReadMode, ShowMode, "0600 to 0777", Echo::kShown,
          R"("type":["string","integer"],"minimum":384,"maximum":777,)" + Pattern("^0?[67][0-7]{2}$")};
}

ValueType<std::string> Group() {
  return Text(ReadGroup);
}

ValueType<std::uint32_t> User() {
  return {UserId, [](std::uint32_t user) { return std::to_string(user); }, {}, Echo::kShown, AnyText()};
}

ValueType<std::string> Address() {
  return Text(
      [](const std::string& text) { return config_values::CheckAddress(text).map([&] { return text; }); });
}

ValueType<std::string> Loopback() {
  return Text(
      [](const std::string& text) { return config_values::CheckLoopback(text).map([&] { return text; }); });
}

ValueType<std::string> HostName() {
  return Text(
      [](const std::string& text) { return config_values::CheckHostName(text).map([&] { return text; }); });
}

}  // namespace outboxd::value_type
