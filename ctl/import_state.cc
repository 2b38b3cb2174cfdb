#include "ctl/import_state.h"

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "config/acting_as.h"
#include "config/folder.h"
#include "config/owned_fd.h"
#include "core/json.h"
#include "core/result.h"

namespace outboxd {
namespace {

Failure SystemFailure(const std::string& what) {
  return Fail(ErrorKind::kIo, what + ": " + std::strerror(errno));
}

constexpr std::size_t kStateBytes = 4096;

std::uint64_t Unsigned(const JsonValue& number) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(number.Int(), 0));
}

}  // namespace

ImportStateFile::ImportStateFile(const std::filesystem::path& input_path, int input_fd)
    : path_(input_path.string() + ".outboxd-import"), input_fd_(input_fd), folder_(Folder::Of(path_)) {
  struct stat input{};
  if (::geteuid() != 0 || ::fstat(input_fd_, &input) != 0) return;
  const ActingAs owner(input.st_uid);
  Result<Folder> theirs = Folder::Of(path_);
  if (!theirs || !theirs->IsWritable()) return;
  folder_ = std::move(theirs);
  owner_ = input.st_uid;
}

// FNV-1a over the last bytes of the file before `offset`: tells a file that was replaced or rewritten from
// one that only grew.
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
  if (!folder_) return std::nullopt;  // Save() says why there is none
  ASSIGN_OR_RETURN(const std::optional<std::string> text, Read());
  if (!text) return std::nullopt;
  const Result<JsonValue> saved = JsonValue::Parse(*text);
  if (!saved || !(*saved)["offset"].IsNumber()) {
    return Fail(ErrorKind::kConflict, path_.string() + " is not an import state; remove it to begin anew");
  }
  ImportState state{Unsigned((*saved)["offset"]), Unsigned((*saved)["lines"]), Unsigned((*saved)["accepted"]),
                    Unsigned((*saved)["refused"])};
  if ((*saved)["packed"].IsNumber()) state.packed = Unsigned((*saved)["packed"]);
  ASSIGN_OR_RETURN(const std::string fingerprint, Fingerprint(state.packed.value_or(state.offset)));
  if (fingerprint != (*saved)["fingerprint"].String()) {
    return Fail(ErrorKind::kConflict, "the file is not the one whose import was interrupted; remove " +
                                          path_.string() + " to begin anew");
  }
  return state;
}

// What others planted is not read: it could skip lines. One that root made, before it gave the input away,
// is.
Result<std::optional<std::string>> ImportStateFile::Read() const {
  ASSIGN_OR_RETURN(const OwnedFd file, folder_->Read(path_.filename().string()));
  if (file.get() < 0) return std::nullopt;
  struct stat status{}, input{};
  if (::fstat(file.get(), &status) != 0 || ::fstat(input_fd_, &input) != 0)
    return SystemFailure("cannot read " + path_.string());
  if (status.st_uid != 0 && status.st_uid != ::getuid() && status.st_uid != input.st_uid)
    return Fail(ErrorKind::kConflict, path_.string() + " is another user's; remove it to begin anew");
  std::string text(kStateBytes, '\0');
  const ssize_t length = ::read(file.get(), text.data(), text.size());
  if (length < 0) return SystemFailure("cannot read " + path_.string());
  text.resize(static_cast<std::size_t>(length));
  return text;
}

Result<void> ImportStateFile::Save(const ImportState& state) const {
  if (!folder_) return Failure(folder_.error());
  ASSIGN_OR_RETURN(const std::string fingerprint, Fingerprint(state.packed.value_or(state.offset)));
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
  if (state.packed) writer.Key("packed").Int(static_cast<std::int64_t>(*state.packed));
  writer.Key("fingerprint").String(fingerprint).EndObject();
  const ActingAs owner(owner_);
  return folder_->Replace(path_.filename().string(), writer.Text() + "\n");
}

void ImportStateFile::Remove() const {
  const ActingAs owner(owner_);
  if (folder_) folder_->Remove(path_.filename().string());
}

}  // namespace outboxd
