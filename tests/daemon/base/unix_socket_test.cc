#include "daemon/base/unix_socket.h"

#include <doctest/doctest.h>

#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

TEST_CASE("unix socket: its file goes with it, but not another that has taken its place") {
  const TempDir folder;
  SocketConfig config;
  config.path = folder / "socket";
  {
    const Result<UnixListener> listener = UnixListener::Open(config);
    REQUIRE(listener.has_value());
    CHECK(UnixListener::Open(config).error().kind == ErrorKind::kConflict);
  }
  CHECK_FALSE(std::filesystem::exists(config.path));

  std::optional<UnixListener> first = std::move(*UnixListener::Open(config));
  std::filesystem::remove(config.path);
  const Result<UnixListener> second = UnixListener::Open(config);
  REQUIRE(second.has_value());
  first.reset();
  CHECK(std::filesystem::exists(config.path));
}

}  // namespace
}  // namespace outboxd
