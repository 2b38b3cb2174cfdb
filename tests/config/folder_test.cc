// Files that are made where others may have been before.
#include "config/folder.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr std::string_view kPrecious = "precious";
constexpr uid_t kStranger = 64'321;

mode_t ModeOf(const std::filesystem::path& file) {
  struct stat found{};
  REQUIRE(lstat(file.c_str(), &found) == 0);
  return found.st_mode & 07777;
}

Folder In(const std::filesystem::path& directory) {
  Result<Folder> folder = Folder::Open(directory);
  REQUIRE_MESSAGE(folder, (folder ? "" : folder.error().message));
  return std::move(*folder);
}

// What may stand in a file's place, by name.
void Plant(const TempDir& dir) {
  WriteFile(dir / "victim", kPrecious);
  WriteFile(dir / "file", kPrecious);
  std::filesystem::create_symlink("victim", dir / "link");
  std::filesystem::create_symlink("nothing", dir / "dangling");
  std::filesystem::create_hard_link(dir / "victim", dir / "hard");
  REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  std::filesystem::create_directory(dir / "directory");
}

TEST_CASE("folder: a new file is its owner's alone, whatever the umask") {
  TempDir dir;
  for (const mode_t mask : {mode_t{0}, mode_t{0777}}) {
    const mode_t before = umask(mask);
    const Result<OwnedFd> file = In(dir.Path()).Create("new" + std::to_string(mask));
    umask(before);
    REQUIRE(file);
    CHECK(write(file->get(), "x", 1) == 1);
    CHECK(ModeOf(dir / ("new" + std::to_string(mask))) == 0600);
  }
}

TEST_CASE("folder: what is there is neither written to nor opened, least of all what it leads to") {
  TempDir dir;
  Plant(dir);
  const Folder folder = In(dir.Path());
  for (const char* name : {"file", "link", "dangling", "hard", "pipe", "directory"}) {
    CAPTURE(name);
    const Result<OwnedFd> refused = folder.Create(name);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::kConflict);
    CHECK(refused.error().message.find((dir / name).string()) == 0);
  }
  CHECK(ReadFile(dir / "victim") == kPrecious);
  CHECK_FALSE(std::filesystem::exists(dir / "nothing"));
}

TEST_CASE("folder: asked to write on, it takes a regular file of one's own and nothing else") {
  TempDir dir;
  Plant(dir);
  const Folder folder = In(dir.Path());
  for (const char* name : {"link", "dangling", "hard", "pipe", "directory"}) {
    CAPTURE(name);
    CHECK_FALSE(folder.Create(name, Existing::kOpened));
  }
  const Result<OwnedFd> file = folder.Create("file", Existing::kOpened);
  REQUIRE(file);
  CHECK(write(file->get(), " stone", 6) == 6);
  CHECK(ReadFile(dir / "file") == "precious stone");
  CHECK(folder.Create("fresh", Existing::kOpened));
  if (geteuid() != 0) return;
  WriteFile(dir / "others", kPrecious);
  REQUIRE(chown((dir / "others").c_str(), kStranger, kStranger) == 0);
  CHECK_FALSE(folder.Create("others", Existing::kOpened));
}

TEST_CASE("folder: replacing takes a name over, not what it led to") {
  TempDir dir;
  Plant(dir);
  const Folder folder = In(dir.Path());
  for (const char* name : {"file", "link", "dangling", "hard", "pipe", "new"}) {
    CAPTURE(name);
    CHECK(folder.Replace(name, "text", 0644));
    CHECK(std::filesystem::is_regular_file(std::filesystem::symlink_status(dir / name)));
    CHECK(ReadFile(dir / name) == "text");
    CHECK(ModeOf(dir / name) == 0644);
  }
  CHECK_FALSE(folder.Replace("directory", "text"));
  CHECK(ReadFile(dir / "victim") == kPrecious);
  CHECK_FALSE(std::filesystem::exists(dir / "nothing"));
  std::size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.Path())) ++entries;
  CHECK(entries == 8);  // no half-written file is left
}

TEST_CASE("folder: reading takes regular files, and says when there is none") {
  TempDir dir;
  Plant(dir);
  const Folder folder = In(dir.Path());
  for (const char* name : {"link", "dangling", "pipe", "directory"}) {
    CAPTURE(name);
    CHECK_FALSE(folder.Read(name));
  }
  CHECK(folder.Read("file")->get() >= 0);
  const Result<OwnedFd> none = folder.Read("none");
  REQUIRE(none);
  CHECK(none->get() < 0);
}

TEST_CASE("folder: links on the way are followed if they are one's own or root's, and no other's") {
  TempDir dir;
  std::filesystem::create_directories(dir / "a/b");
  std::filesystem::create_directory_symlink(dir / "a", dir / "absolute");
  std::filesystem::create_directory_symlink("absolute/./b", dir / "relative");
  std::filesystem::create_directory_symlink("round", dir / "round");
  WriteFile(dir / "file", kPrecious);
  REQUIRE(In(dir / "relative").Create("made"));
  CHECK(std::filesystem::exists(dir / "a/b/made"));
  CHECK(In(dir / "a/b/../../relative").Has("made"));
  CHECK(Folder::Open(dir / "round").error().kind == ErrorKind::kConflict);
  CHECK_FALSE(Folder::Open(dir / "file"));
  CHECK_FALSE(Folder::Open(dir / "none"));
  CHECK(Folder::Of(dir / "a/").error().kind == ErrorKind::kInvalid);
  CHECK(Folder::Of(dir / "a/..").error().kind == ErrorKind::kInvalid);
  if (geteuid() != 0) {
    MESSAGE("skipped: links of other users; only root can make them");
    return;
  }
  std::filesystem::create_directory_symlink("a", dir / "strangers");
  REQUIRE(lchown((dir / "strangers").c_str(), kStranger, kStranger) == 0);
  const Result<Folder> refused = Folder::Of(dir / "strangers/b/file");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("goes through a symbolic link of 64321's") != std::string::npos);
}

TEST_CASE("folder: a directory is made with its mode, and what stands in its place is no directory") {
  TempDir dir;
  Plant(dir);
  const mode_t before = umask(0077);
  const Result<Folder> made = Folder::Make(dir / "made/", 0755);
  umask(before);
  REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
  CHECK(ModeOf(dir / "made") == 0755);
  REQUIRE(made->Create("file"));
  CHECK(std::filesystem::exists(dir / "made/file"));
  std::filesystem::create_directory_symlink("made", dir / "to-made");
  for (const char* name : {"file", "link", "dangling", "pipe", "to-made"}) {
    CAPTURE(name);
    CHECK_FALSE(Folder::Make(dir / name, 0755));
  }
  REQUIRE(chmod((dir / "directory").c_str(), 0700) == 0);
  CHECK(Folder::Make(dir / "directory", 0755));
  CHECK(ModeOf(dir / "directory") == 0700);  // somebody's own
}

}  // namespace
}  // namespace outboxd
