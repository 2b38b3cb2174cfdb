#include "ctl/import_state.h"

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>

#include "core/json.h"
#include "core/result.h"
#include "ctl/owned_fd.h"

namespace outboxd {
namespace {

Failure SystemFailure(const std::string& what) {
  return Fail(ErrorKind::kIo, what + ": " + std::strerror(errno));
}

bool WriteDurably(const std::filesystem::path& path, const std::string& text) {
  const OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  return file.get() >= 0 &&
         ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
         ::fsync(file.get()) == 0;
}

// Best effort: without it a power cut may bring the older state back, which is a state all the same.
void SyncFolder(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const OwnedFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) ::fsync(fd.get());
}

std::uint64_t Unsigned(const JsonValue& number) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(number.Int(), 0));
}

}  // namespace

ImportStateFile::ImportStateFile(const std::filesystem::path& input_path, int input_fd)
    : path_(input_path.string() + ".outboxd-import"), input_fd_(input_fd) {}

// FNV-1a over the last bytes before `offset`: tells a file that was replaced or rewritten from one that only
// grew.
Result<std::string> ImportStateFile::Fingerprint(std::uint64_t offset) const {
  std::array<char, 4096> tail;
  const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(offset, tail.size()));
  const ssize_t got = ::pread(input_fd_, tail.data(), wanted, static_cast<off_t>(offset - wanted));
  if (got < 0) return SystemFailure("cannot read the input");
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i)
    hash = (hash ^ static_cast<unsigned char>(tail[i])) * 0x100000001b3;
  if (static_cast<std::size_t>(got) != wanted) return std::string("shorter");
  std::array<char, 16> digits;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), hash, 16);
  return std::string(digits.data(), written.ptr);
}

Result<std::optional<ImportState>> ImportStateFile::Load() const {
  std::ifstream file(path_, std::ios::binary);
  if (!file) return std::nullopt;
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const Result<JsonValue> saved = JsonValue::Parse(text);
  if (!saved || !(*saved)["offset"].IsNumber()) {
    return Fail(ErrorKind::kConflict, path_.string() + " is not an import state; remove it to begin anew");
  }
  const ImportState state{Unsigned((*saved)["offset"]), Unsigned((*saved)["lines"]),
                          Unsigned((*saved)["accepted"]), Unsigned((*saved)["refused"])};
  ASSIGN_OR_RETURN(const std::string fingerprint, Fingerprint(state.offset));
  if (fingerprint != (*saved)["fingerprint"].String()) {
    return Fail(ErrorKind::kConflict, "the file is not the one whose import was interrupted; remove " +
                                          path_.string() + " to begin anew");
  }
  return state;
}

Result<void> ImportStateFile::Save(const ImportState& state) const {
  ASSIGN_OR_RETURN(const std::string fingerprint, Fingerprint(state.offset));
  JsonWriter writer;
  writer.Object()
      .Key("offset")
      .Int(static_cast<std::int64_t>(state.offset))
      .Key("lines")
      .Int(static_cast<std::int64_t>(state.lines));
  writer.Key("accepted")
      .Int(static_cast<std::int64_t>(state.accepted))
      .Key("refused")
      .Int(static_cast<std::int64_t>(state.refused));
  writer.Key("fingerprint").String(fingerprint).EndObject();
  const std::filesystem::path fresh = path_.string() + ".new";
  if (!WriteDurably(fresh, writer.Text() + "\n") || ::rename(fresh.c_str(), path_.c_str()) != 0) {
    return SystemFailure("cannot write " + path_.string());
  }
  SyncFolder(path_);
  return {};
}

void ImportStateFile::Remove() const {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace outboxd
