#include "core/time.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/ascii.h"

namespace outboxd {
namespace {

using std::chrono::day;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::month;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr int kMillisecondDigits = 3;

struct Clock {
  int hour = 0;
  int minute = 0;
  int second = 0;
};

// Takes a text apart from left to right. After the first mismatch nothing matches any more, so only the end
// needs a check.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool AtEnd() const { return ok_ && rest_.empty(); }
  void Refuse() { ok_ = false; }

  // Exactly `count` digits.
  int Digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!ok_ || rest_.empty() || !IsDigit(rest_.front())) return Mismatch();
      value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }

  bool TrySkip(std::string_view expected) {
    if (!ok_ || !rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }

  void Skip(std::string_view expected) {
    if (!TrySkip(expected)) ok_ = false;
  }

  char Letter() {
    if (!ok_ || rest_.empty()) return static_cast<char>(Mismatch());
    const char letter = rest_.front();
    rest_.remove_prefix(1);
    return letter;
  }

  // Digits behind the decimal point as milliseconds; at least one must be there, those past the third are
  // cut.
  int Fraction() {
    if (!ok_ || rest_.empty() || !IsDigit(rest_.front())) return Mismatch();
    int value = 0;
    int count = 0;
    for (; !rest_.empty() && IsDigit(rest_.front()); rest_.remove_prefix(1), ++count) {
      if (count < kMillisecondDigits) value = value * 10 + (rest_.front() - '0');
    }
    for (; count < kMillisecondDigits; ++count) value *= 10;
    return value;
  }

  int Month() {
    for (std::size_t i = 0; i < kMonths.size(); ++i) {
      if (TrySkip(kMonths[i])) return static_cast<int>(i) + 1;
    }
    return Mismatch();
  }

  Clock TimeOfDay() {
    Clock clock;
    clock.hour = Digits(2);
    Skip(":");
    clock.minute = Digits(2);
    Skip(":");
    clock.second = Digits(2);
    return clock;
  }

 private:
  int Mismatch() {
    ok_ = false;
    return 0;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// nullopt for a day or time that no calendar or clock shows. A leap second counts as the first of the next
// minute.
std::optional<Timestamp> Assemble(int years, int month_number, int day_number, const Clock& clock,
                                  int milliseconds) {
  const year_month_day date(year(years), month(static_cast<unsigned>(month_number)),
                            day(static_cast<unsigned>(day_number)));
  if (!date.ok() || clock.hour > 23 || clock.minute > 59 || clock.second > 60) return std::nullopt;
  return sys_days(date) + hours(clock.hour) + minutes(clock.minute) + seconds(clock.second) +
         Milliseconds(milliseconds);
}

void AppendDigits(std::string& text, std::int64_t value, int count) {
  std::int64_t divisor = 1;
  for (int i = 1; i < count; ++i) divisor *= 10;
  for (; divisor > 0; divisor /= 10) text += static_cast<char>('0' + value / divisor % 10);
}

std::optional<Milliseconds> ReadOffset(Scanner& scanner) {
  const char sign = scanner.Letter();
  if (sign == 'Z' || sign == 'z') return Milliseconds(0);
  const int offset_hours = scanner.Digits(2);
  scanner.Skip(":");
  const int offset_minutes = scanner.Digits(2);
  if ((sign != '+' && sign != '-') || offset_hours > 23 || offset_minutes > 59) return std::nullopt;
  const Milliseconds offset = hours(offset_hours) + minutes(offset_minutes);
  return sign == '-' ? -offset : offset;
}

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<Timestamp> ParseImfFixdate(Scanner scanner) {
  const int day_number = scanner.Digits(2);
  scanner.Skip(" ");
  const int month_number = scanner.Month();
  scanner.Skip(" ");
  const int years = scanner.Digits(4);
  scanner.Skip(" ");
  const Clock clock = scanner.TimeOfDay();
  scanner.Skip(" GMT");
  return scanner.AtEnd() ? Assemble(years, month_number, day_number, clock, 0) : std::nullopt;
}

// "Sunday, 06-Nov-94 08:49:37 GMT"
std::optional<Timestamp> ParseRfc850(Scanner scanner) {
  const int day_number = scanner.Digits(2);
  scanner.Skip("-");
  const int month_number = scanner.Month();
  scanner.Skip("-");
  const int years = scanner.Digits(2);
  scanner.Skip(" ");
  const Clock clock = scanner.TimeOfDay();
  scanner.Skip(" GMT");
  if (!scanner.AtEnd()) return std::nullopt;
  return Assemble(years + (years < 70 ? 2000 : 1900), month_number, day_number, clock, 0);
}

// "Sun Nov  6 08:49:37 1994"
std::optional<Timestamp> ParseAsctime(Scanner scanner) {
  const int month_number = scanner.Month();
  scanner.Skip(" ");
  const int day_number = scanner.Digits(scanner.TrySkip(" ") ? 1 : 2);
  scanner.Skip(" ");
  const Clock clock = scanner.TimeOfDay();
  scanner.Skip(" ");
  const int years = scanner.Digits(4);
  return scanner.AtEnd() ? Assemble(years, month_number, day_number, clock, 0) : std::nullopt;
}

}  // namespace

std::string FormatRfc3339(Timestamp at) {
  const auto midnight = std::chrono::floor<days>(at);
  const year_month_day date(midnight);
  const std::chrono::hh_mm_ss<Milliseconds> clock(at - midnight);
  std::string text;
  text.reserve(24);
  AppendDigits(text, static_cast<int>(date.year()), 4);
  text += '-';
  AppendDigits(text, static_cast<unsigned>(date.month()), 2);
  text += '-';
  AppendDigits(text, static_cast<unsigned>(date.day()), 2);
  text += 'T';
  AppendDigits(text, clock.hours().count(), 2);
  text += ':';
  AppendDigits(text, clock.minutes().count(), 2);
  text += ':';
  AppendDigits(text, clock.seconds().count(), 2);
  text += '.';
  AppendDigits(text, clock.subseconds().count(), 3);
  text += 'Z';
  return text;
}

std::optional<Timestamp> ParseRfc3339(std::string_view text) {
  Scanner scanner(text);
  const int years = scanner.Digits(4);
  scanner.Skip("-");
  const int month_number = scanner.Digits(2);
  scanner.Skip("-");
  const int day_number = scanner.Digits(2);
  const char separator = scanner.Letter();
  if (separator != 'T' && separator != 't' && separator != ' ') scanner.Refuse();
  const Clock clock = scanner.TimeOfDay();
  const int milliseconds = scanner.TrySkip(".") ? scanner.Fraction() : 0;
  const std::optional<Milliseconds> offset = ReadOffset(scanner);
  if (!scanner.AtEnd() || !offset) return std::nullopt;
  const std::optional<Timestamp> local = Assemble(years, month_number, day_number, clock, milliseconds);
  if (!local) return std::nullopt;
  const Timestamp utc = *local - *offset;
  const bool is_midnight = std::chrono::floor<seconds>(utc) == std::chrono::floor<days>(utc);
  if (clock.second == 60 && !is_midnight) return std::nullopt;  // leap seconds end a UTC day
  return utc;
}

std::optional<Timestamp> ParseHttpDate(std::string_view text) {
  for (const std::string_view name : kDays) {
    const std::string_view abbreviation = name.substr(0, 3);
    Scanner scanner(text);
    if (scanner.TrySkip(name)) {
      scanner.Skip(", ");
      return ParseRfc850(scanner);
    }
    if (scanner.TrySkip(abbreviation)) {
      if (scanner.TrySkip(", ")) return ParseImfFixdate(scanner);
      scanner.Skip(" ");
      return ParseAsctime(scanner);
    }
  }
  return std::nullopt;
}

}  // namespace outboxd
