#include "storage/history_pack.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ascii.h"
#include "core/json.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"
#include "core/ulid.h"

namespace outboxd {
namespace {

constexpr std::size_t kTimeDigits = 10, kSequenceDigits = 8;  // of a job id
// What is ordinary is not written.
constexpr std::string_view kUsualAnswer = "{}", kUsualType = "track", kUsualResult = "delivered",
                           kUsualConnection = "default";
constexpr std::int64_t kUsualStatus = 200;
// The last kinds that an attempt is compared with: errors and answers may be as many as attempts.
constexpr std::size_t kKindsCompared = 8;
// As of a row's other times and numbers (storage/column.h).
constexpr std::int64_t kLatestUnixMs = 253'402'300'799'999;
constexpr std::int64_t kMost = std::int64_t{1} << 48;

void AppendInt(std::string& out, std::int64_t number) {
  char digits[24];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, written.ptr);
}

void AppendText(std::string& out, std::string_view text) {
  if (IsUtf8(text)) return AppendJsonString(out, text);
  AppendJsonString(out, ReplaceInvalidUtf8(text));
}

// 0 for what is usual.
void AppendUnusual(std::string& out, std::string_view text, std::string_view usual) {
  if (text == usual) {
    out += '0';
  } else {
    AppendText(out, text);
  }
}

// Members up to the last that is not ordinary.
void AppendKind(std::string& out, const AttemptRecord& kind) {
  const int members = kind.connection != kUsualConnection ? 8
                      : !kind.error.empty()               ? 7
                      : kind.status != kUsualStatus       ? 6
                      : kind.result != kUsualResult       ? 5
                      : kind.type != kUsualType           ? 4
                      : kind.answer != kUsualAnswer       ? 3
                      : kind.uid                          ? 2
                      : !kind.name.empty()                ? 1
                                                          : 0;
  out += '[';
  if (members > 0) AppendUnusual(out, kind.name, "");
  if (members > 1) {
    out += ',';
    if (kind.uid) {
      AppendInt(out, *kind.uid);
    } else {
      out += "null";
    }
  }
  const auto text = [&](int place, std::string_view value, std::string_view usual) {
    if (members <= place) return;
    out += ',';
    AppendUnusual(out, value, usual);
  };
  text(2, kind.answer, kUsualAnswer);
  text(3, kind.type, kUsualType);
  text(4, kind.result, kUsualResult);
  if (members > 5) AppendInt(out += ',', kind.status);
  text(6, kind.error, "");
  text(7, kind.connection, kUsualConnection);
  out += ']';
}

bool IsOfKind(const AttemptRecord& left, const AttemptRecord& right) {
  return left.name == right.name && left.type == right.type && left.uid == right.uid &&
         left.status == right.status && left.result == right.result && left.answer == right.answer &&
         left.error == right.error && left.connection == right.connection;
}

std::int64_t Difference(Timestamp later, Timestamp earlier) {
  return (later - earlier).count();
}

struct Place {
  std::int64_t id = 0;
  Timestamp first{};
};

void AppendRecord(std::string& out, const AttemptRecord& record, Place place, std::size_t kind) {
  const std::int64_t delay = Difference(record.accepted, record.id_time);
  const int members = delay != 0 ? 10 : record.attempt != 1 ? 9 : !record.ref.empty() ? 8 : kind != 0 ? 7 : 6;
  AppendText(out += ",[", record.random);
  AppendInt(out += ',', place.id - static_cast<std::int64_t>(ToNumber(record.sequence)));
  AppendInt(out += ',', Difference(place.first, record.id_time));
  AppendInt(out += ',', Difference(record.sent, place.first));
  AppendInt(out += ',', record.duration.count());
  AppendText(out += ',', record.customer);
  if (members > 6) AppendInt(out += ',', static_cast<std::int64_t>(kind));
  if (members > 7) AppendUnusual(out += ',', record.ref, "");
  if (members > 8) AppendInt(out += ',', record.attempt);
  if (members > 9) AppendInt(out += ',', delay);
  out += ']';
}

// A list's members by their place, whatever they are.
class Members {
 public:
  explicit Members(const JsonValue& list) : items_(list.Items()) {}
  std::int64_t Int(std::size_t place, std::int64_t usual) const {
    const std::int64_t number = place < items_.size() ? items_[place].Int(usual) : usual;
    return std::clamp(number, -kMost, kMost);
  }
  std::string Text(std::size_t place, std::string_view usual) const {
    return place < items_.size() ? items_[place].String(usual) : std::string(usual);
  }
  bool HasInt(std::size_t place) const {
    constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::min();
    return place < items_.size() && items_[place].Int(kNone) != kNone;
  }

 private:
  std::vector<JsonValue> items_;
};

Timestamp TimeOf(std::int64_t unix_ms) {
  return FromUnixMs(std::clamp<std::int64_t>(unix_ms, 0, kLatestUnixMs));
}

void FillKind(AttemptRow& row, const Members& kind) {
  row.name = kind.Text(0, "");
  if (kind.HasInt(1)) row.uid = kind.Int(1, 0);
  row.answer = kind.Text(2, kUsualAnswer);
  row.type = kind.Text(3, kUsualType);
  row.result = kind.Text(4, kUsualResult);
  if (const std::int64_t status = kind.Int(5, kUsualStatus); status != 0) row.status = status;
  row.error = kind.Text(6, "");
  row.connection = kind.Text(7, kUsualConnection);
}

AttemptRow RowFrom(const Members& record, Place place) {
  constexpr std::int64_t kAttemptsMost = 1'000'000'000;
  constexpr std::int64_t kSequenceMost = (std::int64_t{1} << 40) - 1;
  const std::int64_t first_ms = ToUnixMs(place.first);
  const Timestamp id_time = TimeOf(first_ms - record.Int(2, 0));
  AttemptRow row;
  row.sequence = Sequence{
      static_cast<std::uint64_t>(std::clamp<std::int64_t>(place.id - record.Int(1, 0), 0, kSequenceMost))};
  row.attempt = static_cast<std::uint32_t>(std::clamp<std::int64_t>(record.Int(8, 1), 0, kAttemptsMost));
  row.job = Ulid::Make(id_time, row.sequence, 0).ToText();
  row.job.replace(kTimeDigits + kSequenceDigits, std::string::npos, record.Text(0, ""));
  row.sent = TimeOf(first_ms + record.Int(3, 0));
  row.duration = Milliseconds(record.Int(4, 0));
  row.customer = record.Text(5, "");
  row.ref = record.Text(7, "");
  row.accepted = TimeOf(ToUnixMs(id_time) + record.Int(9, 0));
  return row;
}

// Answers of an earlier format may hold any bytes.
Result<JsonValue> ParseLeniently(std::string_view records) {
  if (IsUtf8(records)) return JsonValue::Parse(records);
  return JsonValue::Parse(ReplaceInvalidUtf8(records));
}

}  // namespace

AttemptRecord RecordOf(const AttemptRow& row) {
  constexpr std::size_t kDigits = kTimeDigits + kSequenceDigits;
  AttemptRecord record;
  record.sequence = row.sequence;
  record.attempt = row.attempt;
  const std::string_view job = row.job;
  const std::string digits = std::string(job.substr(0, kDigits)) + "00000000";
  if (const std::optional<Ulid> id = Ulid::Parse(digits)) record.id_time = id->Time();
  record.random = job.substr(std::min(kDigits, job.size()));
  record.connection = row.connection;
  record.type = row.type;
  record.customer = row.customer;
  record.result = row.result;
  record.error = row.error;
  record.answer = row.answer;
  record.name = row.name;
  record.ref = row.ref;
  record.sent = row.sent;
  record.accepted = row.accepted;
  record.duration = row.duration;
  record.status = row.status.value_or(0);
  record.uid = row.uid;
  return record;
}

void PackBuilder::Begin(std::int64_t id, Timestamp first) {
  id_ = std::clamp(id, -kMost, kMost);
  first_ = last_ = first;
  size_ = 0;
  kinds_.clear();
  kinds_text_.clear();
  records_.clear();
}

std::size_t PackBuilder::KindOf(const AttemptRecord& record) {
  const std::size_t compared = std::min(kKindsCompared, kinds_.size());
  for (std::size_t back = 1; back <= compared; ++back) {
    if (IsOfKind(kinds_[kinds_.size() - back], record)) return kinds_.size() - back;
  }
  if (!kinds_.empty()) kinds_text_ += ',';
  AppendKind(kinds_text_, record);
  kinds_.push_back(record);
  return kinds_.size() - 1;
}

bool PackBuilder::Add(const AttemptRecord& record, std::size_t bytes_max) {
  constexpr std::size_t kBrackets = 4;
  const std::size_t kinds = kinds_.size(), kinds_bytes = kinds_text_.size(), bytes = records_.size();
  AppendRecord(records_, record, {id_, first_}, KindOf(record));
  if (size_ > 0 && kinds_text_.size() + records_.size() + kBrackets > bytes_max) {
    kinds_.erase(kinds_.begin() + static_cast<std::ptrdiff_t>(kinds), kinds_.end());
    kinds_text_.resize(kinds_bytes);
    records_.resize(bytes);
    return false;
  }
  ++size_;
  last_ = std::max(last_, record.sent);
  return true;
}

const std::string& PackBuilder::Finish() {
  whole_ = "[[";
  whole_.append(kinds_text_).append("]").append(records_).append("]");
  return whole_;
}

std::vector<AttemptRow> ReadPack(std::int64_t id, std::int64_t first_ms, std::string_view records) {
  std::vector<AttemptRow> rows;
  const Result<JsonValue> parsed = ParseLeniently(records);
  if (!parsed) return rows;
  const std::vector<JsonValue> items = parsed->Items();
  if (items.empty()) return rows;
  std::vector<Members> kinds;
  for (const JsonValue& kind : items.front().Items()) kinds.emplace_back(kind);
  const Members usual{JsonValue()};
  const Place place{std::clamp<std::int64_t>(id, -kMost, kMost), TimeOf(first_ms)};
  rows.reserve(items.size() - 1);
  for (std::size_t at = 1; at < items.size(); ++at) {
    const Members record(items[at]);
    if (!record.HasInt(1)) continue;  // nobody knows of what job
    const std::int64_t kind = record.Int(6, 0);
    const bool is_known = kind >= 0 && std::cmp_less(kind, kinds.size());
    rows.push_back(RowFrom(record, place));
    FillKind(rows.back(), is_known ? kinds[static_cast<std::size_t>(kind)] : usual);
  }
  return rows;
}

bool IsUsualInPack(std::string_view text) {
  return text.empty() || text == kUsualAnswer || text == kUsualType || text == kUsualResult ||
         text == kUsualConnection;
}

std::optional<std::string> TextInPack(std::string_view text) {
  const bool stands_for_itself = std::all_of(
      text.begin(), text.end(), [](char byte) { return Byte(byte) >= 0x20 && byte != '"' && byte != '\\'; });
  if (!stands_for_itself || !IsUtf8(text)) return std::nullopt;
  return '"' + std::string(text) + '"';
}

}  // namespace outboxd
