#include "ctl/editor.h"

#include <spawn.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "config/folder.h"
#include "config/small_file.h"
#include "core/result.h"

extern "C" char** environ;

namespace outboxd {
namespace {

constexpr std::size_t kEditedBytesMax = 16UL << 20;
constexpr const char* kEditedName = "job.json";

const char* EditorCommand() {
  for (const char* name : {"VISUAL", "EDITOR"}) {
    const char* command = std::getenv(name);
    if (command != nullptr && *command != '\0') return command;
  }
  return nullptr;
}

// A directory for the present user alone.
class EditedFile {
 public:
  static Result<EditedFile> Make(std::string_view text) {
    EditedFile made;
    std::string pattern = (std::filesystem::temp_directory_path() / "outboxctl-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      return Fail(ErrorKind::kIo, "cannot make " + pattern + ": " + std::generic_category().message(errno));
    made.folder_ = pattern;
    ASSIGN_OR_RETURN(const Folder folder, Folder::Open(made.folder_));
    RETURN_IF_ERROR(folder.Replace(kEditedName, text));
    return made;
  }
  EditedFile(EditedFile&& other) noexcept : folder_(std::exchange(other.folder_, {})) {}
  EditedFile& operator=(EditedFile&&) = delete;
  ~EditedFile() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  std::filesystem::path path() const { return folder_ / kEditedName; }

 private:
  EditedFile() = default;
  std::filesystem::path folder_;
};

// The command may have options of its own, so a shell takes it apart.
Result<void> RunEditor(const std::string& command, const std::string& file) {
  std::string shell = "sh";
  std::string option = "-c";
  std::string script = command + " \"$1\"";
  std::string name = "outboxctl";
  std::string path = file;
  const std::array<char*, 6> arguments = {shell.data(), option.data(), script.data(),
                                          name.data(),  path.data(),   nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawnp(&child, "sh", nullptr, nullptr, arguments.data(), environ);
  if (failed != 0) return Fail(ErrorKind::kIo, "cannot run sh: " + std::generic_category().message(failed));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Fail(ErrorKind::kIo, "cannot wait for the editor");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return Fail(ErrorKind::kIo, "the editor failed: " + command);
  return {};
}

}  // namespace

Result<std::string> EditText(const std::string& text) {
  const char* command = EditorCommand();
  if (command == nullptr) return Fail(ErrorKind::kInvalid, "neither VISUAL nor EDITOR is set");
  ASSIGN_OR_RETURN(const EditedFile file, EditedFile::Make(text));
  RETURN_IF_ERROR(RunEditor(command, file.path().string()));
  return ReadSmallFile(file.path(), kEditedBytesMax);
}

}  // namespace outboxd
