#include "daemon/intake/reply_queue.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

namespace outboxd {
namespace {

using Sent = ReplyQueue::Sent;

class Pair {
 public:
  Pair() { REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends_.data()) == 0); }
  ~Pair() {
    close(ends_[0]);
    CloseOther();
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  int End() const { return ends_[0]; }
  void CloseOther() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }
  // All that is there.
  std::string Read() const {
    std::string text;
    std::array<char, 65536> buffer{};
    ssize_t got = 0;
    while ((got = recv(ends_[1], buffer.data(), buffer.size(), 0)) > 0)
      text.append(buffer.data(), static_cast<std::size_t>(got));
    return text;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

TEST_CASE("reply queue: replies go out in order, with the ref of their line, and refusals are counted") {
  Metrics metrics;
  ReplyQueue replies(metrics);
  const Ulid id = *Ulid::Parse("01ARZ3NDEKTSV4RRFFQ69G5FAV");
  replies.AddOk(id, std::nullopt);
  replies.AddOk(id, "a\"b");
  replies.AddRefusal(Refusal::kInvalidJob, "id", "is required", "");
  replies.AddRefusal(Refusal::kBusy, {}, "outboxd is stopping", std::nullopt);
  Pair pair;
  CHECK(replies.Send(pair.End()) == Sent::kAll);
  CHECK(replies.empty());
  CHECK(pair.Read() ==
        R"({"ok":true,"job":"01ARZ3NDEKTSV4RRFFQ69G5FAV"})"
        "\n"
        R"({"ok":true,"job":"01ARZ3NDEKTSV4RRFFQ69G5FAV","ref":"a\"b"})"
        "\n"
        R"({"ok":false,"error":{"code":"invalid_job","field":"id","message":"is required"},"ref":""})"
        "\n"
        R"({"ok":false,"error":{"code":"busy","message":"outboxd is stopping"}})"
        "\n");
  CHECK(metrics.ReadTotals().refused == 2);
}

TEST_CASE("reply queue: what the socket does not take stays, and goes out later without a gap") {
  Metrics metrics;
  ReplyQueue replies(metrics);
  Pair pair;
  std::string all;
  for (int i = 0; i < 20'000; ++i) {
    const std::string message = std::to_string(i);
    replies.AddRefusal(Refusal::kInternal, {}, message, std::nullopt);
    all += R"({"ok":false,"error":{"code":"internal","message":")" + message + "\"}}\n";
  }
  REQUIRE(replies.bytes() == all.size());
  REQUIRE(replies.Send(pair.End()) == Sent::kFull);
  CHECK(replies.bytes() < all.size());
  std::string read;
  for (int round = 0; round < 1000 && !replies.empty(); ++round) {
    read += pair.Read();
    static_cast<void>(replies.Send(pair.End()));
  }
  read += pair.Read();
  CHECK(read == all);
}

TEST_CASE("reply queue: a producer that is gone is told") {
  Metrics metrics;
  ReplyQueue replies(metrics);
  Pair pair;
  pair.CloseOther();
  replies.AddRefusal(Refusal::kBusy, {}, "no", std::nullopt);
  CHECK(replies.Send(pair.End()) == Sent::kBroken);
}

}  // namespace
}  // namespace outboxd
