#include "daemon/base/passed_sockets.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <string>
#include <utility>
#include <vector>

#include "daemon/base/listening_address.h"
#include "daemon/base/tcp_socket.h"
#include "daemon/base/unix_socket.h"
#include "tests/support/line_client.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

class Scene {
 public:
  Scene() {
    config.producer.path = folder_ / "p.sock";
    config.admin.path = folder_ / "a.sock";
    producer_ = *UnixListener::Open(config.producer);
  }
  std::vector<PassedDescriptor> Passing(const std::string& name, int descriptor) const {
    std::vector<PassedDescriptor> passed;
    passed.push_back({name, OwnedFd(fcntl(descriptor, F_DUPFD_CLOEXEC, 0))});
    return passed;
  }
  std::string RefusalOf(std::vector<PassedDescriptor> passed) const {
    const auto matched = PassedSockets::Match(std::move(passed), config);
    return matched ? "" : matched.error().message;
  }
  int producer() const { return producer_->descriptor(); }
  Config config;

 private:
  TempDir folder_;
  std::optional<UnixListener> producer_;
};

TEST_CASE("passed sockets: each is taken once by its name and address, and its file stays") {
  Scene scene;
  auto sockets = PassedSockets::Match(scene.Passing("producer", scene.producer()), scene.config);
  REQUIRE(sockets);
  CHECK_FALSE(sockets->Take("admin", scene.config.producer.path.native()));
  {
    const auto listener = ListenAt(scene.config.producer, "producer", *sockets);
    REQUIRE(listener);
    CHECK((fcntl(listener->descriptor(), F_GETFL) & O_NONBLOCK) != 0);
  }
  CHECK(IsListening(scene.config.producer.path));
  CHECK_FALSE(sockets->Take("producer", scene.config.producer.path.native()));
  CHECK(ListenAt(scene.config.admin, "admin", *sockets));
}

TEST_CASE("passed sockets: one that the config has elsewhere is refused, and the unit named") {
  Scene scene;
  scene.config.producer.path = "/srv/other.sock";
  const std::string refusal = scene.RefusalOf(scene.Passing("producer", scene.producer()));
  CHECK(refusal.find("systemctl edit outboxd.socket") != std::string::npos);
  CHECK(refusal.find("listen.producer.path of the config is /srv/other.sock") != std::string::npos);
  CHECK(scene.RefusalOf(scene.Passing("admin", scene.producer())).find("outboxd-admin.socket") !=
        std::string::npos);
  CHECK(scene.RefusalOf(scene.Passing("track", scene.producer())).find("is none") != std::string::npos);
  CHECK(scene.RefusalOf(scene.Passing("metrics", scene.producer())).find("FileDescriptorName=") !=
        std::string::npos);
}

TEST_CASE("passed sockets: a port is the same however it is written") {
  Scene scene;
  const auto port = TcpListener::Open("[::1]:0");
  REQUIRE(port);
  const std::string address = ListeningAddress(port->descriptor());
  CHECK(address.starts_with("[::1]:"));
  const std::string long_form = "[0:0:0:0:0:0:0:1]:" + address.substr(6);
  scene.config.track.emplace_back().tcp = long_form;
  auto sockets = PassedSockets::Match(scene.Passing("track", port->descriptor()), scene.config);
  REQUIRE(sockets);
  CHECK(sockets->Take("track", long_form));
  CHECK_FALSE(IsAddress(address, "127.0.0.1:" + address.substr(6)));
}

TEST_CASE("passed sockets: what does not listen is refused") {
  Scene scene;
  const auto client = LineClient(scene.config.producer.path);
  CHECK(scene.RefusalOf(scene.Passing("producer", client.Descriptor())).find("no listening") !=
        std::string::npos);
}

}  // namespace
}  // namespace outboxd
