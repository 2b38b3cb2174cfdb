#include "daemon/base/mailbox.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace outboxd {
namespace {

using std::chrono::milliseconds;

TEST_CASE("mailbox: the reader takes everything at once, in the order it was put") {
  Mailbox<int> mailbox(10);
  for (int i = 0; i < 5; ++i) CHECK(mailbox.Put(i));
  std::vector<int> out{99};
  CHECK(mailbox.TakeAll(out));
  CHECK(out == std::vector<int>{0, 1, 2, 3, 4});
}

TEST_CASE("mailbox: Post goes beyond the capacity and never waits") {
  Mailbox<int> mailbox(1);
  for (int i = 0; i < 10; ++i) CHECK(mailbox.Post(i));
  std::vector<int> out;
  mailbox.TakeAll(out);
  CHECK(out.size() == 10);
}

TEST_CASE("mailbox: Put waits while it is full, so the reader never finds more than its capacity") {
  constexpr std::size_t kCapacity = 3;
  constexpr int kMessages = 2000;
  Mailbox<int> mailbox(kCapacity);
  std::thread producer([&] {
    for (int i = 0; i < kMessages; ++i) mailbox.Put(i);
    mailbox.Close();
  });
  int next = 0;
  std::size_t most = 0;
  std::vector<int> out;
  while (mailbox.TakeAll(out)) {
    most = std::max(most, out.size());
    for (const int message : out) CHECK(message == next++);
  }
  producer.join();
  CHECK(next == kMessages);
  CHECK(most <= kCapacity);
}

TEST_CASE("mailbox: many producers lose nothing and each keeps its own order") {
  constexpr std::size_t kProducers = 8;
  constexpr int kEach = 2000;
  struct Message {
    std::size_t producer;
    int number;
  };
  Mailbox<std::unique_ptr<Message>> mailbox(16);
  std::atomic<std::size_t> left = kProducers;
  std::vector<std::thread> producers;
  for (std::size_t producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&, producer] {
      for (int i = 0; i < kEach; ++i) mailbox.Put(std::make_unique<Message>(Message{producer, i}));
      if (--left == 0) mailbox.Close();
    });
  }
  std::vector<int> next(kProducers, 0);
  std::vector<std::unique_ptr<Message>> out;
  while (mailbox.TakeAll(out)) {
    for (const auto& message : out) CHECK(message->number == next[message->producer]++);
  }
  for (std::thread& producer : producers) producer.join();
  CHECK(next == std::vector<int>(kProducers, kEach));
}

TEST_CASE("mailbox: closing lets the reader drain what is there, then tells it to stop") {
  Mailbox<int> mailbox(10);
  mailbox.Put(1);
  mailbox.Close();
  CHECK_FALSE(mailbox.Put(2));
  CHECK_FALSE(mailbox.Post(3));
  std::vector<int> out;
  CHECK(mailbox.TakeAll(out));
  CHECK(out == std::vector<int>{1});
  CHECK_FALSE(mailbox.TakeAll(out));
  CHECK(out.empty());
}

TEST_CASE("mailbox: closing wakes a producer that waits for room, and its message is dropped") {
  Mailbox<int> mailbox(1);
  mailbox.Put(1);
  std::atomic<bool> accepted = true;
  std::thread producer([&] { accepted = mailbox.Put(2); });
  mailbox.Close();
  producer.join();
  CHECK_FALSE(accepted);
}

TEST_CASE("mailbox: closing wakes a reader that waits for messages") {
  Mailbox<int> mailbox(1);
  std::atomic<bool> more = true;
  std::thread reader([&] {
    std::vector<int> out;
    more = mailbox.TakeAll(out);
  });
  mailbox.Close();
  reader.join();
  CHECK_FALSE(more);
}

TEST_CASE("mailbox: a reader with a timeout comes back empty-handed and is told to go on") {
  Mailbox<int> mailbox(1);
  std::vector<int> out{7};
  CHECK(mailbox.TakeAll(out, milliseconds(1)));
  CHECK(out.empty());
  mailbox.Put(3);
  CHECK(mailbox.TakeAll(out, milliseconds(0)));
  CHECK(out == std::vector<int>{3});
}

}  // namespace

TEST_CASE("mailbox: a patient message waits for company, and an urgent one ends the wait") {
  Mailbox<int> mailbox(10);
  std::vector<int> out;
  REQUIRE(mailbox.PostPatiently(1, std::chrono::hours(1)));
  REQUIRE(mailbox.PostPatiently(2, std::chrono::hours(1)));
  REQUIRE(mailbox.Post(3));
  CHECK(mailbox.TakeAll(out));
  CHECK(out == std::vector<int>{1, 2, 3});
  REQUIRE(mailbox.PostPatiently(4, std::chrono::microseconds(1)));
  CHECK(mailbox.TakeAll(out));
  CHECK(out == std::vector<int>{4});
  REQUIRE(mailbox.PostPatiently(5, std::chrono::hours(1)));
  mailbox.Close();
  CHECK(mailbox.TakeAll(out));
  CHECK(out == std::vector<int>{5});
  CHECK_FALSE(mailbox.PostPatiently(6, std::chrono::hours(1)));
}

TEST_CASE("mailbox: a reader without patience takes what is posted patiently at once") {
  Mailbox<int> mailbox(10);
  std::vector<int> out;
  REQUIRE(mailbox.PostPatiently(1, std::chrono::hours(1)));
  CHECK(mailbox.TakeAll(out, std::nullopt, false));
  CHECK(out == std::vector<int>{1});
  std::thread reader([&] { CHECK(mailbox.TakeAll(out, std::nullopt, false)); });
  REQUIRE(mailbox.PostPatiently(2, std::chrono::hours(1)));
  reader.join();
  CHECK(out == std::vector<int>{2});
}

TEST_CASE("mailbox: somebody else takes what is there in the reader's place, who looks when he is told to") {
  Mailbox<int> mailbox(10);
  std::vector<int> out{7};
  REQUIRE(mailbox.PostPatiently(1, std::chrono::hours(1)));
  mailbox.TakeNow(out);
  CHECK(out == std::vector<int>{1});
  std::thread reader([&] {
    std::vector<int> taken;
    CHECK(mailbox.TakeAll(taken));
    CHECK(taken.empty());
  });
  mailbox.LookBy(std::chrono::steady_clock::now());
  reader.join();
  std::thread impatient([&] {
    CHECK(mailbox.TakeAll(out));
    CHECK(out == std::vector<int>{2});
  });
  REQUIRE(mailbox.PostPatiently(2, std::chrono::hours(1)));
  mailbox.LookBy(std::chrono::steady_clock::now() + std::chrono::hours(1), false);
  impatient.join();
}

}  // namespace outboxd
