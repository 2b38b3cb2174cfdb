// tests/daemon/delivery/scripted_server.h — an HTTPS server on the loopback that speaks HTTP/1.1 or HTTP/2
// and does to its connections what a script says, so that each way in which a connection can end is shown.
#pragma once

#include <gnutls/gnutls.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace outboxd::testing {

enum class Http : std::uint8_t { kOne, kTwo };

// A request that has arrived whole. Scripts tell requests apart by their bodies.
struct Call {
  std::uint32_t stream = 0;  // 0 with HTTP/1.1
  std::string body;
};

// One connection. Scripts use it on its own thread, tests on theirs.
class Line {
 public:
  Line(int fd, Http http, std::size_t number);
  ~Line();
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  std::size_t Number() const { return number_; }  // of the server's connections, from 1
  std::size_t Calls() const { return calls_; }    // on this one
  bool IsLeft(const Call& call) const { return call.stream > last_stream_; }  // GOAWAY said so of its stream

  void Answer(const Call& call, int status = 200, std::string_view body = "{}");
  // The head of an answer with a body of 1000 bytes, and a piece of that.
  void BeginAnswer(const Call& call);
  void Trickle(const Call& call);
  // An answer that says that it is the last: "Connection: close", or GOAWAY behind it.
  void AnswerLast(const Call& call);
  void GoAway(std::uint32_t last_stream);  // HTTP/2
  void Refuse(const Call& call);           // HTTP/2: RST_STREAM with REFUSED_STREAM
  void Ping();                             // HTTP/2
  void Close();                            // in good order: what was written arrives
  void HalfClose();                        // nothing more is written, and reading goes on
  void Reset();
  void Freeze() { is_frozen_ = true; }  // neither reads nor writes any more, and stays open
  void Vanish();  // as where a NAT forgot the connection: nothing is acknowledged either

 private:
  friend class ScriptedServer;
  bool Handshake();
  void Shutdown();  // so that its thread ends
  std::string Read();
  void Write(std::string_view bytes);
  void WriteFrame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload);

  const int fd_;
  const Http http_;
  const std::size_t number_;
  std::atomic<std::size_t> calls_ = 0;
  std::atomic<std::uint32_t> unanswered_ = 0;  // streams
  std::atomic<std::uint32_t> last_stream_ = UINT32_MAX;
  std::atomic<bool> is_frozen_ = false;
  gnutls_session_t session_ = nullptr;
  std::mutex writing_;
};

class ScriptedServer {
 public:
  using Script = std::function<void(Line&, const Call&)>;

  // `streams_max`: HTTP/2's SETTINGS_MAX_CONCURRENT_STREAMS; what is over it is refused. `port` 0: a free
  // one.
  explicit ScriptedServer(Http http, Script script, std::uint32_t streams_max = 1000, std::uint16_t port = 0);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::uint16_t Port() const { return port_; }
  std::string Url() const { return "https://127.0.0.1:" + std::to_string(Port()); }
  static std::filesystem::path Authority();  // what signs for 127.0.0.1, localhost and ::1

  std::size_t Connections() const { return connections_; }
  std::size_t Open() const { return open_; }
  std::map<std::string, int> Arrived() const;  // how often each body came
  void FreezeAll();                            // those there are now
  void VanishAll();
  bool CanVanish() const;  // some sandboxes let no ordinary user filter what a socket gets
  void StopListening();    // and serves on

 private:
  void Accept();
  void Serve(Line& line);
  void ServeOne(Line& line);
  void ServeTwo(Line& line);
  void OnCall(Line& line, const Call& call);

  const Http http_;
  const Script script_;
  const std::uint32_t streams_max_;
  const int listener_;
  const std::uint16_t port_;
  std::atomic<bool> is_deaf_ = false;
  std::atomic<bool> is_stopping_ = false;
  std::atomic<std::size_t> connections_ = 0;
  std::atomic<std::size_t> open_ = 0;
  mutable std::mutex mutex_;
  std::list<std::unique_ptr<Line>> lines_;
  std::map<std::string, int> arrived_;
  std::list<std::thread> threads_;  // the acceptor's own until it is joined
  std::thread acceptor_;
};

}  // namespace outboxd::testing
