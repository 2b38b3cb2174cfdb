// tests/bench/poster.h — libcurl's multi interface posting one ready-made body again and again over kept
// connections: what delivering costs at least. Throws when a request fails.
#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/event.h"

namespace outboxd::bench {

struct PosterOptions {
  std::string base_url;
  std::string ca_file;    // trusted for https
  std::size_t items = 0;  // events in one v2 batch; 0: one v1 request each
  std::size_t in_flight = 64;
};

class Poster {
 public:
  explicit Poster(const PosterOptions& options);
  ~Poster();
  Poster(const Poster&) = delete;
  Poster& operator=(const Poster&) = delete;

  bool IsFull() const { return free_.empty(); }
  void Start();  // one request; not while full
  // Moves everything on; nothing waits.
  void Perform();
  // Until a request can move on, the descriptor (-1: none) can be read, or a second has passed.
  void Wait(int descriptor = -1);

  std::uint64_t StartedEvents() const { return started_; }
  std::uint64_t FinishedEvents() const { return finished_; }

 private:
  struct Easy {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  struct Multi {
    void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
  };
  struct Headers {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  std::string MakeBody() const;

  const PosterOptions options_;
  const EventMaker events_{EventOptions{}};
  const std::string body_;
  const std::uint64_t events_each_;
  std::unique_ptr<curl_slist, Headers> headers_;
  std::unique_ptr<CURLM, Multi> multi_;
  std::vector<std::unique_ptr<CURL, Easy>> handles_;
  std::vector<CURL*> free_;
  std::uint64_t started_ = 0;  // events
  std::uint64_t finished_ = 0;
};

}  // namespace outboxd::bench
