#include "config/acting_as.h"

#include <doctest/doctest.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "config/folder.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

constexpr uid_t kUser = 64'321;

TEST_CASE("acting as a user: root may do what they may, owns nothing of it, and is root again afterwards") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root can act as another user");
    return;
  }
  TempDir dir;
  std::filesystem::create_directory(dir / "theirs");
  std::filesystem::create_directory(dir / "roots");
  REQUIRE(chmod(dir.Path().c_str(), 0755) == 0);
  REQUIRE(chown((dir / "theirs").c_str(), kUser, kUser) == 0);
  const Result<Folder> theirs = Folder::Open(dir / "theirs"), roots = Folder::Open(dir / "roots");
  REQUIRE(theirs);
  REQUIRE(roots);
  const int groups_before = getgroups(0, nullptr);
  {
    const ActingAs user(kUser);
    CHECK(geteuid() == kUser);
    CHECK(getuid() == 0);
    CHECK(theirs->IsWritable());
    CHECK(theirs->Create("file"));
    CHECK_FALSE(roots->IsWritable());
    CHECK_FALSE(roots->Create("file"));
    const ActingAs again(0);
    CHECK(geteuid() == kUser);
    CHECK(getgroups(0, nullptr) == 1);
  }
  CHECK(geteuid() == 0);
  CHECK(getegid() == getgid());
  CHECK(getgroups(0, nullptr) == groups_before);
  struct stat made{};
  REQUIRE(stat((dir / "theirs/file").c_str(), &made) == 0);
  CHECK(made.st_uid == kUser);
  CHECK(made.st_gid == kUser);
  CHECK(roots->Create("file"));
}

TEST_CASE("acting as a user: oneself, and without being root, changes nothing") {
  const uid_t before = geteuid();
  {
    const ActingAs self(before);
    CHECK(geteuid() == before);
    if (before == 0) return;
    const ActingAs other(kUser);
    CHECK(geteuid() == before);
  }
  CHECK(geteuid() == before);
}

}  // namespace
}  // namespace outboxd
