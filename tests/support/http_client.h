// tests/support/http_client.h — requests to the admin API, the simulated API or anything else that speaks
// HTTP on this machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"

namespace outboxd {

struct HttpAnswer {
  int status = 0;                              // 0: no answer
  std::map<std::string, std::string> headers;  // names in lower case; the last value of a repeated one
  std::string body;
  std::string error;  // why there was none

  // Gives up when the body is not JSON.
  JsonValue Json() const;
};

// Keeps its connection alive between requests. One thread at a time.
class HttpClient {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  explicit HttpClient(const std::filesystem::path& socket);
  explicit HttpClient(std::uint16_t port);  // 127.0.0.1
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void SetTimeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }
  HttpAnswer Get(std::string_view target) { return Send("GET", target); }
  HttpAnswer Post(std::string_view target, std::string_view json = {});
  // `target` goes out as it is: percent-encoded by the caller, dots not folded. A body is sent when it is not
  // empty.
  HttpAnswer Send(const std::string& method, std::string_view target, std::string_view body = {},
                  const Headers& headers = {});

 private:
  void* curl_ = nullptr;
  std::string socket_, base_;
  std::chrono::milliseconds timeout_ = std::chrono::seconds(20);
};

std::string UrlEncode(std::string_view text);

}  // namespace outboxd
