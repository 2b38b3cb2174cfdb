// Free space of the outbox's disk when the system does not tell it.
#include "daemon/clerk/disk_space.h"

#include <doctest/doctest.h>

#include "tests/support/stderr_capture.h"
#include "tests/support/temp_dir.h"

namespace outboxd {

TEST_CASE(
    "disk space: the file system of a file has some room; that of a missing folder is an error with its "
    "name") {
  TempDir folder;
  const auto there = FreeDiskBytes(folder / "outbox.db");
  REQUIRE(there);
  CHECK(*there > 0);
  CHECK(FreeDiskBytes("outbox.db").has_value());  // in the working directory
  const auto missing = FreeDiskBytes(folder / "missing" / "outbox.db");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::kIo);
  CHECK(missing.error().message.find("missing") != std::string::npos);
}

TEST_CASE("disk space: while the system does not tell, the last answer stands") {
  Result<std::uint64_t> answer = Fail(ErrorKind::kIo, "no");
  DiskSpace space([&] { return answer; });
  CHECK_FALSE(space.FreeBytes());
  space.Read();
  CHECK_FALSE(space.FreeBytes());
  CHECK(space.WhyUnknown() == "no");
  answer = 5;
  space.Read();
  CHECK(space.FreeBytes() == 5);
  CHECK(space.WhyUnknown().empty());
  answer = Fail(ErrorKind::kIo, "again");
  space.Read();
  CHECK(space.FreeBytes() == 5);
  CHECK(space.WhyUnknown() == "again");
}

TEST_CASE("disk space: a failure is logged once, and again when its reason changes or it comes back") {
  Result<std::uint64_t> answer = Fail(ErrorKind::kIo, "first reason");
  DiskSpace space([&] { return answer; });
  const test::StderrCapture log;
  space.Read();
  space.Read();
  CHECK(log.Count("first reason") == 1);
  answer = Fail(ErrorKind::kIo, "second reason");
  space.Read();
  space.Read();
  CHECK(log.Count("second reason") == 1);
  answer = 5;
  space.Read();
  answer = Fail(ErrorKind::kIo, "first reason");
  space.Read();
  CHECK(log.Count("first reason") == 2);
}

}  // namespace outboxd
