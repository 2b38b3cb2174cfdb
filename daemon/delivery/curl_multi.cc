#include "daemon/delivery/curl_multi.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/check.h"
#include "core/time.h"
#include "daemon/base/require.h"
#include "daemon/delivery/curl_request.h"
#include "daemon/delivery/socket_watch.h"

namespace outboxd {
namespace {

// More than any connection's max_in_flight as a rule, so that idle connections are kept and not churned.
constexpr long kConnectionCache = 2048;

CURLM* NewMulti() {
  CURLM* multi = curl_multi_init();
  Require(multi != nullptr, "outboxd: curl_multi_init");  // fails by lack of memory alone
  return multi;
}

}  // namespace

void InitCurl() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  Require(ready == CURLE_OK, "outboxd: curl_global_init");
}

CurlMulti::CurlMulti(SocketWatch* watch) : watch_(watch), multi_(NewMulti()) {
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlMulti::OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlMulti::OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kConnectionCache);
}

CurlMulti::~CurlMulti() {
  CHECK(under_way_ == 0);
  curl_multi_cleanup(multi_);
}

CURLMcode CurlMulti::Add(CurlRequest& request) {
  const CURLMcode code = curl_multi_add_handle(multi_, request.Handle());
  if (code == CURLM_OK) {
    ++under_way_;
    request.JoinMulti(this, &is_up_);
  }
  return code;
}

void CurlMulti::Remove(CurlRequest& request) {
  CHECK(under_way_ != 0);
  --under_way_;
  is_up_ = true;
  curl_multi_remove_handle(multi_, request.Handle());
}

void CurlMulti::TakeEnded(std::vector<EndedRequest>& ended) {
  const std::size_t before = ended.size();
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE)
      ended.push_back({&CurlRequest::Of(message->easy_handle), message->data.result});
  }
  // Only now: removing a handle searches all messages not yet read.
  for (std::size_t i = before; i < ended.size(); ++i) {
    if (!multiplexes_) multiplexes_ = ended[i].request->WasShared();
    Remove(*ended[i].request);
  }
}

void CurlMulti::OnReady(int fd, std::uint32_t events) {
  int action = 0;
  if ((events & EPOLLIN) != 0) action |= CURL_CSELECT_IN;
  if ((events & EPOLLOUT) != 0) action |= CURL_CSELECT_OUT;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) action |= CURL_CSELECT_ERR;
  int running = 0;
  curl_multi_socket_action(multi_, fd, action, &running);
}

void CurlMulti::RunTimer(SteadyTime now) {
  if (!timer_ || *timer_ > now) return;
  timer_was_set_ = false;
  int running = 0;
  curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  // libcurl cuts its times to whole milliseconds, so the timer may come a little early; then it is not set
  // again by itself.
  if (!timer_was_set_) timer_ = now + Milliseconds(1);
}

int CurlMulti::OnSocket(CURL*, curl_socket_t fd, int what, void* self, void*) {
  std::uint32_t events = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= EPOLLIN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= EPOLLOUT;
  CurlMulti& multi = *static_cast<CurlMulti*>(self);
  multi.watch_->Want(fd, events, &multi);
  return 0;
}

int CurlMulti::OnTimer(CURLM*, long timeout_ms, void* self) {
  CurlMulti& multi = *static_cast<CurlMulti*>(self);
  multi.timer_was_set_ = true;
  multi.timer_.reset();
  if (timeout_ms >= 0) multi.timer_ = std::chrono::steady_clock::now() + Milliseconds(timeout_ms);
  return 0;
}

}  // namespace outboxd
