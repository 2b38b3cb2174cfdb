#include "tests/bench/poster.h"

#include <algorithm>
#include <stdexcept>

namespace outboxd::bench {
namespace {

constexpr int kPollMs = 1000;

void Demand(CURLcode code) {
  if (code != CURLE_OK) throw std::runtime_error(std::string("libcurl: ") + curl_easy_strerror(code));
}

void Demand(CURLMcode code) {
  if (code != CURLM_OK) throw std::runtime_error(std::string("libcurl: ") + curl_multi_strerror(code));
}

std::size_t Ignore(char*, std::size_t size, std::size_t count, void*) {
  return size * count;
}

}  // namespace

Poster::Poster(const PosterOptions& options)
    : options_(options),
      body_(MakeBody()),
      events_each_(std::max<std::uint64_t>(1, options.items)),
      headers_(curl_slist_append(curl_slist_append(nullptr, "Content-Type: application/json"), "Expect:")),
      multi_(curl_multi_init()) {
  Demand(curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(options.in_flight)));
  for (std::size_t i = 0; i < options.in_flight; ++i) {
    CURL* handle = handles_.emplace_back(curl_easy_init()).get();
    Demand(curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers_.get()));
    Demand(curl_easy_setopt(handle, CURLOPT_USERPWD, "site:key"));
    Demand(curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body_.data()));
    Demand(curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, static_cast<long>(body_.size())));
    Demand(curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, Ignore));
    Demand(curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L));
    if (!options.ca_file.empty()) Demand(curl_easy_setopt(handle, CURLOPT_CAINFO, options.ca_file.c_str()));
    free_.push_back(handle);
  }
}

Poster::~Poster() {
  for (const auto& handle : handles_) curl_multi_remove_handle(multi_.get(), handle.get());
}

std::string Poster::MakeBody() const {
  std::string body;
  events_.Append(body, 0);
  if (options_.items == 0) return body;
  body = "{\"batch\":[";
  for (std::uint64_t i = 0; i < options_.items; ++i) {
    if (i > 0) body += ',';
    events_.Append(body, i);
  }
  return body + "]}";
}

void Poster::Start() {
  CURL* const handle = free_.back();
  free_.pop_back();
  const std::string url =
      options_.items > 0 ? options_.base_url + "/api/v2/batch"
                         : options_.base_url + "/api/v1/customers/" + events_.Customer(started_) + "/events";
  Demand(curl_easy_setopt(handle, CURLOPT_URL, url.c_str()));
  Demand(curl_multi_add_handle(multi_.get(), handle));
  started_ += events_each_;
}

void Poster::Perform() {
  int running = 0;
  Demand(curl_multi_perform(multi_.get(), &running));
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const handle = message->easy_handle;
    Demand(message->data.result);
    Demand(curl_multi_remove_handle(multi_.get(), handle));
    free_.push_back(handle);
    finished_ += events_each_;
  }
}

void Poster::Wait(int descriptor) {
  curl_waitfd other{};
  other.fd = descriptor;
  other.events = CURL_WAIT_POLLIN;
  Demand(curl_multi_poll(multi_.get(), &other, descriptor >= 0 ? 1 : 0, kPollMs, nullptr));
}

}  // namespace outboxd::bench
