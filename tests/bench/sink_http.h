// tests/bench/sink_http.h — reads HTTP/1.1 requests as far as a sink must: where each ends, and how many
// items a v2 batch carries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace outboxd::bench {

struct SinkRequest {
  std::string_view method;
  std::string_view target;
  std::uint64_t items = 0;  // objects in the array of a /batch body; 0 for any other target
  bool closes = false;      // Connection: close
};

// Counts the objects of the array in {"batch":[{…},{…}]} as the bytes come by.
class BatchCounter {
 public:
  void Scan(std::string_view bytes);
  std::uint64_t Items() const { return items_; }

 private:
  std::uint64_t items_ = 0;
  unsigned depth_ = 0;
  bool in_string_ = false;
  bool after_backslash_ = false;
};

class SinkReader {
 public:
  // Called once a request has come in whole; what it is given dies with the call.
  using OnRequest = std::function<void(const SinkRequest&)>;

  // Takes any number of bytes. False when they are not HTTP with a Content-Length: the connection is of no
  // more use. `wants_continue` turns true when the client waits for "100 Continue".
  bool Take(std::string_view bytes, const OnRequest& on_request, bool& wants_continue);

 private:
  bool TakeHead(std::string_view& bytes);
  bool ReadHead(std::string_view head);
  void Finish(const OnRequest& on_request);

  std::string head_;  // of the request whose body is being read, or the beginning of one
  SinkRequest request_;
  BatchCounter counter_;
  std::size_t body_left_ = 0;
  bool in_body_ = false;
  bool is_batch_ = false;
  bool expects_continue_ = false;
};

}  // namespace outboxd::bench
