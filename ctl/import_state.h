// ctl/import_state.h — how far an import of a file has come, kept beside the file (FILE.outboxd-import) until
// it is done.
//
// Everything before `offset` was answered by the daemon. Of a gzip file it counts bytes of the lines, and
// `packed` says how much of the file itself was read for them. Saved by fsync and rename: a crash leaves the
// old state or the new one. Lines answered after the last save are sent again by a resumed import; a line
// that carries its own event_id takes effect once all the same.
//
// 0600. As root it is made as the input's owner, if they may write there.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "config/folder.h"
#include "core/result.h"

namespace outboxd {

struct ImportState {
  std::uint64_t offset = 0;  // bytes
  std::uint64_t lines = 0;
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  std::optional<std::uint64_t> packed = std::nullopt;  // bytes of the file, where that is gzip
};

class ImportStateFile {
 public:
  // `input` is the open input file.
  ImportStateFile(const std::filesystem::path& input_path, int input_fd);

  // nullopt: there is none. kConflict: it belongs to another content of the input file.
  Result<std::optional<ImportState>> Load() const;
  Result<void> Save(const ImportState& state) const;
  void Remove() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  Result<std::string> Fingerprint(std::uint64_t offset) const;
  Result<std::optional<std::string>> Read() const;

  std::filesystem::path path_;
  int input_fd_;
  Result<Folder> folder_;  // held, so that it stays the one in which the import began
  uid_t owner_ = 0;        // as whom root works there
};

}  // namespace outboxd
