// storage/history_pack.h — attempts as they are kept: a row of `history` holds those that one commit wrote.
//
// `records` is a JSON array. First in it stands the list of kinds, which says once what several attempts
// share; each further element is an attempt:
//   [[kind, …], attempt, …]
//   kind:    [name, uid, answer, type, result, status, error, connection]
//   attempt: [random, id - seq, first_ms - time, sent_ms - first_ms, duration_ms, customer, kind, ref,
//   attempt,
//             accepted_ms - time]
// where `random` is the last eight digits of the job id, `time` the milliseconds that the id tells, `kind` a
// place in the list. What is left out at an end, and a 0 in a text's place, is the ordinary: no name, no ref,
// no error, the answer "{}", type track, result delivered, status 200, connection default, the first kind and
// attempt, accepted at the id's time. A uid that is not known is null, a status of 0 no answer.
//
// `id` rises, and is never below the sequence of a job in the row: a job's attempts stand from there on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "core/ulid.h"

namespace outboxd {

inline constexpr std::size_t kRandomDigits = 8;  // of a job id
// Of an event's name, or a page's, so much is kept.
inline constexpr std::size_t kNameKeptBytes = 200;

struct AttemptRow {
  Sequence sequence{};
  std::uint32_t attempt = 0;
  std::string job, connection, type, customer, result, error, answer;
  std::string name, ref;  // empty: none, or not known
  Timestamp sent{}, accepted{};
  Milliseconds duration{0};
  std::optional<std::int64_t> status, uid;
};

// One attempt to be packed. Texts are borrowed: those of its kind until its pack is finished, the others for
// the call.
struct AttemptRecord {
  Sequence sequence{};
  std::uint32_t attempt = 1;
  Timestamp id_time{};      // of the job id
  std::string_view random;  // its last eight digits
  std::string_view connection, type, customer, result, error, answer, name, ref;
  Timestamp sent{}, accepted{};
  Milliseconds duration{0};
  std::int64_t status = 0;  // 0: no answer
  std::optional<std::int64_t> uid;
};
AttemptRecord RecordOf(const AttemptRow& row);
AttemptRecord RecordOf(AttemptRow&& row) = delete;  // its texts would be gone

// Packs attempts, one row after another. Its memory is used again.
class PackBuilder {
 public:
  // A pack's payload, with the row's other columns, fits a page of 4096 bytes: longer ones would be spread
  // over several.
  static constexpr std::size_t kBytesMax = 4'000;

  // A new row. `first`: nothing that goes into it was sent before.
  void Begin(std::int64_t id, Timestamp first);
  // False: the row would be longer than `bytes_max`, and stays as it was. One attempt always has room.
  bool Add(const AttemptRecord& record, std::size_t bytes_max = kBytesMax);

  std::int64_t id() const { return id_; }
  Timestamp first() const { return first_; }
  Timestamp last() const { return last_; }
  std::size_t size() const { return size_; }
  const std::string& Finish();  // `records`, until the next Begin()

 private:
  std::size_t KindOf(const AttemptRecord& record);

  std::int64_t id_ = 0;
  Timestamp first_{}, last_{};
  std::size_t size_ = 0;
  std::vector<AttemptRecord> kinds_;  // one of each
  std::string kinds_text_, records_, whole_;
};

// What a row of `history` holds, in the order of writing. May be damaged: then what can be read, its numbers
// the nearest that can be right.
std::vector<AttemptRow> ReadPack(std::int64_t id, std::int64_t first_ms, std::string_view records);

// Whether such a text is left out of packs where it is the usual one.
bool IsUsualInPack(std::string_view text);

// The text as it stands in `records` wherever it is one of a pack's; nullopt: it may stand there in several
// ways.
std::optional<std::string> TextInPack(std::string_view text);

}  // namespace outboxd
