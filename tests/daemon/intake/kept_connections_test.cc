#include "daemon/intake/kept_connections.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/owned_fd.h"
#include "tests/support/shelf.h"

namespace outboxd {
namespace {

using State = KeptConnections::State;
using std::chrono::seconds;

constexpr KeptConnections::Time kStart{};

// Both ends of a producer's connection, and its place.
struct Pair {
  explicit Pair(KeptConnections& kept) {
    std::array<int, 2> ends{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    ours = OwnedFd(ends[0]);
    producer = OwnedFd(ends[1]);
    const auto added = kept.Add(ours.get(), kStart);
    REQUIRE(added);
    place = *added;
  }
  bool HasEnded() const {
    pollfd state{producer.get(), POLLIN, 0};
    char byte = 0;
    return poll(&state, 1, 0) == 1 && recv(producer.get(), &byte, 1, MSG_PEEK) == 0;
  }
  std::string Name() const { return "producer-" + std::to_string(place); }
  OwnedFd ours, producer;
  std::size_t place = 0;
};

// A process of the service after another one.
class Scene {
 public:
  std::unique_ptr<KeptConnections> Next() {
    auto passed = shelf.Passed();
    auto kept = std::make_unique<KeptConnections>(shelf.Store(), passed);
    CHECK(passed.empty());
    taken = kept->TakeUp();
    return kept;
  }
  std::vector<std::size_t> TakenPlaces() const {
    std::vector<std::size_t> places;
    for (const auto& one : taken) places.push_back(one.place);
    return places;
  }
  test::Shelf shelf;
  std::vector<KeptConnections::Kept> taken;
};

TEST_CASE("kept connections: after a crash those that owe nothing go on, the others end") {
  Scene scene;
  auto first = scene.Next();
  CHECK(scene.taken.empty());
  Pair quiet(*first), owing(*first), young(*first);
  first->Tick(kStart + seconds(1));
  first->SetState(owing.place, State::kOwing);
  quiet.ours = OwnedFd();
  owing.ours = OwnedFd();
  CHECK_FALSE(owing.HasEnded());  // the store holds a copy
  first.reset();

  auto second = scene.Next();
  CHECK(scene.TakenPlaces() == std::vector{quiet.place, young.place});
  CHECK(owing.HasEnded());
  CHECK(scene.shelf.Count(owing.Name()) == 0);
  for (const auto& one : scene.taken) CHECK(one.left.empty());
  REQUIRE(write(quiet.producer.get(), "x", 1) == 1);
  char byte = 0;
  CHECK(read(scene.taken[0].connection.get(), &byte, 1) == 1);
}

TEST_CASE("kept connections: one that lives for less than a second costs the store nothing") {
  Scene scene;
  auto kept = scene.Next();
  const std::size_t puts = scene.shelf.puts();
  Pair brief(*kept);
  kept->Tick(kStart + std::chrono::milliseconds(999));
  kept->End(brief.place);
  CHECK(scene.shelf.puts() == puts);
  const Pair again(*kept);
  CHECK(again.place == brief.place);
  kept->Tick(kStart + seconds(5));
  CHECK(scene.shelf.Count(again.Name()) == 1);
}

TEST_CASE("kept connections: a planned stop hands over young ones too, with all that is left of them") {
  Scene scene;
  auto first = scene.Next();
  Pair young(*first), old(*first);
  first->Tick(kStart + seconds(1));
  first->SetState(old.place, State::kOwing);
  const Pair younger(*first);
  first->HandOver(old.place, std::move(old.ours), {"{\"ty", "{\"ok\":"});
  first->HandOver(young.place, std::move(young.ours), {});
  first->Finish();
  first.reset();

  auto second = scene.Next();
  REQUIRE(scene.TakenPlaces() == std::vector{young.place, old.place});
  CHECK(scene.taken[1].left == LeftBehind{"{\"ty", "{\"ok\":"});
  CHECK(scene.taken[0].left.empty());

  // It crashes before the line is whole: no reply comes a second time.
  scene.taken.clear();
  second.reset();
  auto third = scene.Next();
  CHECK(scene.TakenPlaces() == std::vector{young.place});
  CHECK(old.HasEnded());
}

TEST_CASE("kept connections: an end is an end although the store has a copy, and frees its place later") {
  Scene scene;
  auto kept = scene.Next();
  Pair pair(*kept);
  kept->Tick(kStart + seconds(1));
  CHECK(scene.shelf.Count(pair.Name()) == 1);
  shutdown(pair.ours.get(), SHUT_RDWR);
  kept->End(pair.place);
  CHECK(pair.HasEnded());
  const Pair meanwhile(*kept);
  CHECK(meanwhile.place != pair.place);
  kept->Tick(kStart + seconds(2));
  CHECK(scene.shelf.Count(pair.Name()) == 0);
  const Pair after(*kept);
  CHECK(after.place == pair.place);
}

TEST_CASE("kept connections: a process that does not know the memory's format ends the connections") {
  Scene scene;
  auto first = scene.Next();
  const Pair pair(*first);
  first->Tick(kStart + seconds(1));
  first.reset();
  for (const PassedDescriptor& one : scene.shelf.Passed()) {
    if (one.name == "producers") REQUIRE(pwrite(one.descriptor.get(), "\x63", 1, 24) == 1);
  }
  auto second = scene.Next();
  CHECK(scene.taken.empty());
  CHECK(pair.HasEnded());
  CHECK(scene.shelf.size() == 1);  // the new memory
  const Pair next(*second);
  second->Tick(kStart + seconds(1));
  second.reset();
  auto third = scene.Next();
  CHECK(scene.TakenPlaces() == std::vector{next.place});
}

TEST_CASE("kept connections: two of one name, and names that nobody gave, end") {
  Scene scene;
  auto first = scene.Next();
  const Pair pair(*first), other(*first), stray(*first);
  first->End(stray.place);
  first->Tick(kStart + seconds(1));
  scene.shelf.Put(pair.Name(), stray.ours.get());
  scene.shelf.Put("producer-99999", stray.ours.get());
  first.reset();
  auto second = scene.Next();
  CHECK(scene.TakenPlaces() == std::vector{other.place});
  CHECK(pair.HasEnded());
  CHECK(scene.shelf.size() == 2);
}

TEST_CASE("kept connections: a start that fails before it takes them up leaves them for the next") {
  Scene scene;
  auto first = scene.Next();
  const Pair pair(*first);
  first->Tick(kStart + seconds(1));
  first.reset();
  {
    auto passed = scene.shelf.Passed();
    passed.push_back({"admin", OwnedFd()});
    const KeptConnections fails(scene.shelf.Store(), passed);
    CHECK(passed.size() == 1);
  }
  auto third = scene.Next();
  CHECK(scene.TakenPlaces() == std::vector{pair.place});
}

}  // namespace
}  // namespace outboxd
