#include "tests/bench/bare_post.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "core/json.h"
#include "tests/bench/event.h"
#include "tests/bench/sockets.h"

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

struct Easy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct Multi {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct Headers {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

class BarePost {
 public:
  explicit BarePost(const BarePostOptions& options);
  ~BarePost();
  BarePost(const BarePost&) = delete;
  BarePost& operator=(const BarePost&) = delete;
  std::string Run();

 private:
  void Start(CURL* handle);
  void Finish();
  std::string MakeBody() const;

  const BarePostOptions options_;
  const EventMaker events_{EventOptions{}};
  const std::string body_;
  const std::uint64_t events_each_;
  std::unique_ptr<curl_slist, Headers> headers_;
  std::unique_ptr<CURLM, Multi> multi_;
  std::vector<std::unique_ptr<CURL, Easy>> handles_;
  std::uint64_t started_ = 0;  // events
  std::uint64_t finished_ = 0;
};

BarePost::BarePost(const BarePostOptions& options)
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
  }
}

BarePost::~BarePost() {
  for (const auto& handle : handles_) curl_multi_remove_handle(multi_.get(), handle.get());
}

std::string BarePost::MakeBody() const {
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

void BarePost::Start(CURL* handle) {
  const std::string url =
      options_.items > 0 ? options_.base_url + "/api/v2/batch"
                         : options_.base_url + "/api/v1/customers/" + events_.Customer(started_) + "/events";
  Demand(curl_easy_setopt(handle, CURLOPT_URL, url.c_str()));
  Demand(curl_multi_add_handle(multi_.get(), handle));
  started_ += events_each_;
}

void BarePost::Finish() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* handle = message->easy_handle;
    Demand(message->data.result);
    Demand(curl_multi_remove_handle(multi_.get(), handle));
    finished_ += events_each_;
    if (started_ < options_.count) Start(handle);
  }
}

std::string BarePost::Run() {
  const double cpu_before = ProcessCpuSeconds();
  const std::int64_t start_ns = MonotonicNs();
  for (const auto& handle : handles_) {
    if (started_ < options_.count) Start(handle.get());
  }
  while (finished_ < started_) {
    int running = 0;
    Demand(curl_multi_perform(multi_.get(), &running));
    Finish();
    if (finished_ < started_) Demand(curl_multi_poll(multi_.get(), nullptr, 0, kPollMs, nullptr));
  }
  const double seconds = static_cast<double>(MonotonicNs() - start_ns) / 1e9;
  JsonWriter json;
  json.Object().Key("events").Int(static_cast<std::int64_t>(finished_)).Key("seconds").Number(seconds);
  json.Key("rate")
      .Number(static_cast<double>(finished_) / seconds)
      .Key("cpu_seconds")
      .Number(ProcessCpuSeconds() - cpu_before);
  json.Key("peak_bytes").Int(static_cast<std::int64_t>(PeakMemoryBytes())).EndObject();
  return json.Take();
}

}  // namespace

std::string RunBarePost(const BarePostOptions& options) {
  Demand(curl_global_init(CURL_GLOBAL_ALL));
  std::string report = BarePost(options).Run();
  curl_global_cleanup();
  return report;
}

}  // namespace outboxd::bench
