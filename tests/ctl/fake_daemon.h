// tests/ctl/fake_daemon.h — the daemon's two sockets with scripted answers, and a way to run outboxctl in
// this process.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ctl/console.h"

namespace outboxd::test {

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  std::string Write(const std::string& name, const std::string& content) const;  // gives its path
  static std::string Read(const std::filesystem::path& path);

 private:
  std::filesystem::path path_;
};

// Serves one client after the other on a Unix socket, in a thread of its own.
class SocketServer {
 public:
  // Gets what the client has sent so far; takes what it understood from the front and gives the answer.
  // nullopt: close the connection (after `answer`).
  struct Step {
    std::string answer;
    bool close = false;
  };
  using Serve = std::function<Step(std::string& received)>;
  SocketServer(std::filesystem::path path, Serve serve);
  ~SocketServer();
  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;

 private:
  void Loop();
  void Talk(int client);

  Serve serve_;
  int listener_ = -1;
  int stop_[2] = {-1, -1};
  std::thread thread_;
};

struct AdminRequest {
  std::string method, target, body;
};
struct AdminAnswer {
  int status = 200;
  std::string body = "{}";
};

class FakeAdmin {
 public:
  using Handler = std::function<AdminAnswer(const AdminRequest&)>;
  FakeAdmin(std::filesystem::path path, Handler handler);
  std::vector<AdminRequest> Requests();

 private:
  SocketServer::Step Serve(std::string& received);
  Handler handler_;
  std::mutex mutex_;
  std::vector<AdminRequest> requests_;
  SocketServer server_;
};

class FakeProducer {
 public:
  // The reply to one line, without its newline; empty: close without an answer; ending in '!': close after
  // it.
  using Handler = std::function<std::string(const std::string& line)>;
  FakeProducer(std::filesystem::path path, Handler handler);
  std::vector<std::string> Lines();

 private:
  SocketServer::Step Serve(std::string& received);
  Handler handler_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  SocketServer server_;
};

struct Ran {
  int code = -1;
  std::string out, err;
};

struct RunOptions {
  std::string input;
  bool terminal = false;
  bool colour = false;
};

// outboxctl with these arguments; its clock stands at 1,000,000,000 ms.
Ran RunCtl(const std::vector<std::string>& arguments, const RunOptions& options = {});

inline constexpr const char* kJob = "01JDB3T0C5W7X8Y9Z0ABCDEFGH";

inline bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline std::size_t LineCount(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace outboxd::test
