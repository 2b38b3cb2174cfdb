// tests/support/line_client.h — a blocking stream client with deadlines, for the producer socket and for raw
// bytes to anything that listens.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace outboxd {

class LineClient {
 public:
  static constexpr std::chrono::milliseconds kPatience = std::chrono::seconds(20);

  // Both give up when nobody listens.
  explicit LineClient(const std::filesystem::path& socket);
  static LineClient OverTcp(std::uint16_t port);  // on 127.0.0.1
  LineClient(LineClient&& other) noexcept;
  LineClient& operator=(LineClient&& other) noexcept;
  ~LineClient();

  // Sends as they are. False when the other side closed or takes nothing for `timeout`; SentBytes() tells how
  // far it came.
  bool Send(std::string_view bytes, std::chrono::milliseconds timeout = kPatience);
  bool SendLine(std::string_view line) { return Send(std::string(line) + "\n"); }
  std::size_t SentBytes() const { return sent_bytes_; }

  // The next line without its newline; nullopt at the deadline or at the end (Ended() tells which).
  std::optional<std::string> ReadLine(std::chrono::milliseconds timeout = kPatience);
  // One line, one reply; gives up when none comes.
  std::string Ask(std::string_view line);
  // Everything up to the end of the stream or the deadline.
  std::string ReadToEnd(std::chrono::milliseconds timeout = kPatience);
  bool Ended() const { return ended_; }
  // The stream ended by a reset, not by an orderly close.
  bool WasReset() const { return was_reset_; }

  void CloseWriting();  // half-close: the other side sees the end, replies still come
  void Close();
  int Descriptor() const { return descriptor_; }

 private:
  explicit LineClient(int descriptor) : descriptor_(descriptor) {}
  bool Fill(std::chrono::steady_clock::time_point deadline);

  int descriptor_ = -1;
  std::string received_;
  std::size_t sent_bytes_ = 0;
  bool ended_ = false;
  bool was_reset_ = false;
};

// Whether somebody accepts connections on a Unix socket.
bool IsListening(const std::filesystem::path& socket);

}  // namespace outboxd
