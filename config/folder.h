// config/folder.h — a directory in which we make files: none of them goes through a link, over what is there
// already, or elsewhere because somebody swaps a part of the path meanwhile.
//
// The directory is opened step by step, and a symbolic link on the way is followed only if root or the
// present user made it. Its files are named by one part of a path. A file is made 0600 unless said otherwise,
// whatever the umask. Errors: kConflict when something is in the way, else kIo; the message names the file.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/owned_fd.h"
#include "core/result.h"

namespace outboxd {

enum class Existing { kRefused, kOpened };

class Folder {
 public:
  static Result<Folder> Open(const std::filesystem::path& directory);
  // The one that `file` is in, or will be. kInvalid when `file` names none.
  static Result<Folder> Of(const std::filesystem::path& file);
  // The directory `directory`, made with `mode` if there is none.
  static Result<Folder> Make(const std::filesystem::path& directory, mode_t mode);

  const std::filesystem::path& path() const { return path_; }
  // A path to what is held, whatever becomes of path(); good for this process while this object lives.
  std::filesystem::path Held() const;
  struct stat Status() const;
  // As the present user.
  bool IsWritable() const;
  bool Has(const std::string& name) const;

  // A new file to write to. With kOpened one that is there is written on at its end, if it is a regular file
  // of the present user's own.
  Result<OwnedFd> Create(const std::string& name, Existing existing = Existing::kRefused) const;
  // A file of this content in the place of what had the name, whole or not at all, also after a power cut.
  // `owner`: given to this user, for whom we have to be root.
  Result<void> Replace(const std::string& name, std::string_view text, mode_t mode = 0600,
                       std::optional<uid_t> owner = std::nullopt) const;
  // A regular file that is no link, to read from; none (-1) when there is nothing of that name.
  Result<OwnedFd> Read(const std::string& name) const;
  void Remove(const std::string& name) const;

 private:
  Folder(OwnedFd directory, std::filesystem::path path)
      : directory_(std::move(directory)), path_(std::move(path)) {}
  Failure FailFor(const std::string& name) const;

  OwnedFd directory_;
  std::filesystem::path path_;
};

}  // namespace outboxd
