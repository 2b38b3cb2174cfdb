#include "daemon/delivery/worker.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "core/ascii.h"
#include "core/batch.h"
#include "core/json.h"
#include "core/limits.h"
#include "daemon/base/mutex.h"
#include "daemon/base/wall_clock.h"
#include "daemon/delivery/socket_watch.h"

namespace outboxd {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t kDebugBodyBytes = 10'000;
// More than any connection's max_in_flight as a rule, so that idle connections are kept and not churned.
constexpr long kConnectionCache = 2048;
// Shorter than the idle timeout of common load balancers (60 s), so that a request rarely meets a connection
// that is just being closed.
constexpr long kIdleConnectionSeconds = 50;
constexpr long kReceiveBufferBytes = 4L * 1024;

void Require(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::abort();
}

std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string Joined(std::string_view name, std::string_view separator, std::string_view value) {
  std::string line(name);
  return line.append(separator).append(value);
}

// One libcurl handle with all that must live as long as its transfer. Reused: only what differs from the last
// transfer is set again.
class Slot {
 public:
  explicit Slot(SocketWatch* watch) : watch_(watch), easy_(curl_easy_init()) {
    Require(easy_ != nullptr, "outboxd: curl_easy_init");
  }
  ~Slot() {
    curl_easy_cleanup(easy_);
    curl_mime_free(mime_);
    curl_slist_free_all(header_list_);
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  CURL* Handle() const { return easy_; }
  bool IsActive() const { return active_; }

  void Begin(Transfer transfer, const Worker::DebugLog& debug_log);
  // `code` is libcurl's result. The slot is free afterwards.
  Finished End(CURLcode code, const Worker::DebugLog& debug_log);
  Finished Abort(std::string error);

 private:
  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(easy_, option, value);
  }
  void AdoptEndpoint();
  HttpRequest MakeRequest() const;
  void SetRequest();
  void SetMethod();
  void SetParts();
  void SetHeaders();
  Finished Finish(Answer answer);
  Answer TakeAnswer(CURLcode code);
  std::optional<std::string> Header(const char* name) const;
  std::string TimeoutText() const;
  std::string ErrorText(CURLcode code) const;
  std::string Detail(CURLcode code) const;
  std::string SystemError() const;
  std::string DebugRequest() const;
  std::string DebugAnswer(const Answer& answer) const;
  std::string DebugSubject() const;

  static std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* self);
  static int OnSend(void* self, char* remote, char* local, int remote_port, int local_port);
  static curl_socket_t OnOpenSocket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int OnCloseSocket(void* watch, curl_socket_t fd);

  SocketWatch* const watch_;
  CURL* const easy_;
  std::shared_ptr<const Endpoint> endpoint_;  // whose options the handle carries
  curl_slist* header_list_ = nullptr;
  std::vector<std::pair<std::string, std::string>> listed_headers_;  // those in header_list_
  curl_mime* mime_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};

  // Of the transfer under way.
  bool active_ = false;
  Transfer transfer_;
  HttpRequest request_;
  std::string body_;
  std::size_t body_bytes_ = 0;
  int socket_error_ = 0;
  unsigned times_sent_ = 0;
  bool head_is_whole_ = false;
  std::size_t head_bytes_ = 0;
  Milliseconds timeout_{0};
  Timestamp sent_{};
  SteadyTime started_;
};

// libcurl takes a connection that ends among the headers for a whole answer.
std::size_t Slot::OnHeader(char* data, std::size_t size, std::size_t count, void* self) {
  Slot& slot = *static_cast<Slot*>(self);
  const std::string_view line(data, size * count);
  slot.head_is_whole_ = line == "\r\n" || line == "\n";
  slot.head_bytes_ += line.size();
  return slot.head_bytes_ > kAnswerHeadBytes ? CURL_WRITEFUNC_ERROR : line.size();
}

std::size_t Slot::OnBody(char* data, std::size_t size, std::size_t count, void* self) {
  Slot& slot = *static_cast<Slot*>(self);
  const std::size_t bytes = size * count;
  slot.body_.append(data, std::min(bytes, limits::kAnswerBytes - slot.body_.size()));
  slot.body_bytes_ += bytes;
  return slot.body_bytes_ > limits::kAnswerBytes + kDroppedAnswerBytes ? CURL_WRITEFUNC_ERROR : bytes;
}

// Called each time the request is about to leave. A second time means that a reused connection broke before
// any answer: libcurl would repeat the request unasked, although the first may have taken effect.
int Slot::OnSend(void* self, char*, char*, int, int) {
  return ++static_cast<Slot*>(self)->times_sent_ == 1 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

curl_socket_t Slot::OnOpenSocket(void* self, curlsocktype, curl_sockaddr* address) {
  Slot& slot = *static_cast<Slot*>(self);
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  slot.socket_error_ = fd < 0 ? errno : 0;
  if (fd < 0) return CURL_SOCKET_BAD;
  slot.watch_->Opened(fd);
  return fd;
}

int Slot::OnCloseSocket(void* watch, curl_socket_t fd) {
  static_cast<SocketWatch*>(watch)->Closed(fd);
  return close(fd);
}

// Options that hold for every transfer of one endpoint.
void Slot::AdoptEndpoint() {
  curl_easy_reset(easy_);
  curl_slist_free_all(std::exchange(header_list_, nullptr));
  listed_headers_.clear();
  endpoint_ = transfer_.endpoint;
  Set(CURLOPT_PRIVATE, this);
  Set(CURLOPT_PROTOCOLS_STR, "http,https");
  Set(CURLOPT_FOLLOWLOCATION, 0L);
  Set(CURLOPT_NOSIGNAL, 1L);
  // A transfer that ends leaves a lookup of its host's name to end by itself; libcurl would wait for it, and
  // all other transfers with it.
  Set(CURLOPT_QUICK_EXIT, 1L);
  Set(CURLOPT_TCP_NODELAY, 1L);
  Set(CURLOPT_TCP_KEEPALIVE, 1L);
  Set(CURLOPT_MAXAGE_CONN, kIdleConnectionSeconds);
  Set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  // A customer named ".." must not climb out of its path.
  Set(CURLOPT_PATH_AS_IS, 1L);
  // No PIPEWAIT: the first requests to a host open a connection each and do not wait for the first one's
  // handshake.
  Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  Set(CURLOPT_USERAGENT, "outboxd/" OUTBOXD_VERSION);
  Set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
  Set(CURLOPT_USERNAME, endpoint_->credentials.site_id.c_str());
  Set(CURLOPT_PASSWORD, endpoint_->credentials.api_key.c_str());
  Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(endpoint_->config.connect_timeout.count()));
  if (!endpoint_->config.ca_file.empty()) Set(CURLOPT_CAINFO, endpoint_->config.ca_file.c_str());
  Set(CURLOPT_ERRORBUFFER, error_.data());
  Set(CURLOPT_HEADERFUNCTION, &Slot::OnHeader);
  Set(CURLOPT_HEADERDATA, this);
  Set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  Set(CURLOPT_WRITEFUNCTION, &Slot::OnBody);
  Set(CURLOPT_WRITEDATA, this);
  Set(CURLOPT_PREREQFUNCTION, &Slot::OnSend);
  Set(CURLOPT_PREREQDATA, this);
  Set(CURLOPT_OPENSOCKETFUNCTION, &Slot::OnOpenSocket);
  Set(CURLOPT_OPENSOCKETDATA, this);
  Set(CURLOPT_CLOSESOCKETFUNCTION, &Slot::OnCloseSocket);
  Set(CURLOPT_CLOSESOCKETDATA, watch_);
}

void Slot::Begin(Transfer transfer, const Worker::DebugLog& debug_log) {
  active_ = true;
  transfer_ = std::move(transfer);
  socket_error_ = 0;
  times_sent_ = 0;
  head_is_whole_ = false;
  head_bytes_ = 0;
  body_bytes_ = 0;
  body_.clear();
  error_[0] = '\0';
  sent_ = WallClockNow();
  started_ = std::chrono::steady_clock::now();
  request_ = MakeRequest();
  if (transfer_.endpoint != endpoint_) AdoptEndpoint();
  SetRequest();
  if (request_.debug && debug_log) debug_log(DebugRequest());
}

HttpRequest Slot::MakeRequest() const {
  switch (transfer_.kind) {
    case TransferKind::kJob:
      return BuildRequest(transfer_.job->job, transfer_.job->stamp);
    case TransferKind::kBatch:
      return BuildBatchRequest(transfer_.batch);
    case TransferKind::kProbe:
      break;
  }
  return BuildRegionProbe();
}

void Slot::SetRequest() {
  const std::optional<Region> region = transfer_.job ? transfer_.job->job.region : std::nullopt;
  const std::string url = endpoint_->config.BaseUrl(region) + request_.target;
  Set(CURLOPT_URL, url.c_str());
  timeout_ = request_.timeout.value_or(endpoint_->config.timeout);
  Set(CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_.count()));
  SetMethod();
  SetHeaders();
}

void Slot::SetMethod() {
  const std::string& method = request_.method;
  const bool has_length = !request_.body.empty() || method == "POST" || method == "PUT" || method == "PATCH";
  if (!request_.parts.empty()) {
    SetParts();
  } else if (method == "HEAD") {
    Set(CURLOPT_NOBODY, 1L);
  } else if (has_length) {
    Set(CURLOPT_POST, 1L);
    Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    Set(CURLOPT_POSTFIELDS, request_.body.c_str());
  } else {
    Set(CURLOPT_HTTPGET, 1L);
  }
  Set(CURLOPT_CUSTOMREQUEST, method == "HEAD" ? nullptr : method.c_str());
}

void Slot::SetParts() {
  mime_ = curl_mime_init(easy_);
  for (const MultipartPart& part : request_.parts) {
    curl_mimepart* added = curl_mime_addpart(mime_);
    curl_mime_name(added, part.name.c_str());
    if (!part.filename.empty()) curl_mime_filename(added, part.filename.c_str());
    curl_mime_data(added, part.content.data(), part.content.size());
  }
  Set(CURLOPT_MIMEPOST, mime_);
}

void Slot::SetHeaders() {
  if (header_list_ != nullptr && listed_headers_ == request_.headers && mime_ == nullptr) return;
  curl_slist* list = curl_slist_append(nullptr, "Expect:");
  bool has_type = mime_ != nullptr;
  for (const auto& [name, value] : request_.headers) {
    has_type = has_type || EqualsIgnoringCase(name, "content-type");
    list = curl_slist_append(list, Joined(name, value.empty() ? ";" : ": ", value).c_str());
  }
  // libcurl would call any body a web form.
  if (!has_type) list = curl_slist_append(list, "Content-Type:");
  Set(CURLOPT_HTTPHEADER, list);
  curl_slist_free_all(std::exchange(header_list_, list));
  listed_headers_ = request_.headers;
}

Finished Slot::End(CURLcode code, const Worker::DebugLog& debug_log) {
  Answer answer = TakeAnswer(code);
  if (request_.debug && debug_log) debug_log(DebugAnswer(answer));
  return Finish(std::move(answer));
}

Finished Slot::Abort(std::string error) {
  Answer answer;
  answer.error = std::move(error);
  return Finish(std::move(answer));
}

Finished Slot::Finish(Answer answer) {
  if (mime_ != nullptr) {
    endpoint_.reset();  // so that the next transfer starts from a clean handle
    Set(CURLOPT_MIMEPOST, static_cast<curl_mime*>(nullptr));
    curl_mime_free(std::exchange(mime_, nullptr));
  }
  active_ = false;
  const auto duration = std::chrono::round<Milliseconds>(std::chrono::steady_clock::now() - started_);
  return Finished{
      .transfer = std::move(transfer_), .answer = std::move(answer), .sent = sent_, .duration = duration};
}

Answer Slot::TakeAnswer(CURLcode code) {
  Answer answer;
  const bool cut_by_us =
      code == CURLE_WRITE_ERROR && body_bytes_ > limits::kAnswerBytes + kDroppedAnswerBytes;
  if (code != CURLE_OK && !cut_by_us) {
    answer.error = ErrorText(code);
    return answer;
  }
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  // Trailers of a chunked body come after the body, so an answer with a body had its whole head.
  if (status < 200 || (!head_is_whole_ && body_bytes_ == 0)) {
    answer.error = "reset: answer cut short";
    return answer;
  }
  answer.status = static_cast<int>(status);
  answer.body = std::move(body_);
  if (status >= 300) {
    answer.location = Header("Location").value_or("");
    answer.retry_after = Header("Retry-After");
  }
  return answer;
}

// A bare CR may stand in a header; nobody downstream wants it in a log or a row.
std::optional<std::string> Slot::Header(const char* name) const {
  curl_header* header = nullptr;
  if (curl_easy_header(easy_, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return std::nullopt;
  return OneLine(header->value);
}

std::string Slot::Detail(CURLcode code) const {
  return OneLine(error_[0] != '\0' ? error_.data() : curl_easy_strerror(code));
}

// What the system said last, perhaps in an earlier transfer of this handle: libcurl keeps it.
std::string Slot::SystemError() const {
  long error = socket_error_;
  if (error == 0) curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &error);
  return error == 0 ? std::string() : std::generic_category().message(static_cast<int>(error));
}

std::string Slot::TimeoutText() const {
  const auto after = [](Milliseconds limit) {
    return "timeout after " + std::to_string(limit.count()) + " ms";
  };
  if (times_sent_ != 0) return after(timeout_);
  curl_off_t resolved_us = 0;
  curl_easy_getinfo(easy_, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
  return (resolved_us == 0 ? "resolve: " : "connect: ") +
         after(std::min(timeout_, endpoint_->config.connect_timeout));
}

std::string Slot::ErrorText(CURLcode code) const {
  const std::string detail = Detail(code);
  const std::string system = SystemError();
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return "resolve: " + detail;
    case CURLE_COULDNT_CONNECT:
      return "connect: " + (system.empty() ? detail : system);
    case CURLE_OPERATION_TIMEDOUT:
      return TimeoutText();
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return "tls: " + detail;
    case CURLE_GOT_NOTHING:
    case CURLE_ABORTED_BY_CALLBACK:
      return "reset: connection closed before an answer";
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return "reset: " + (!system.empty() && detail.ends_with(system) ? system : detail);
    case CURLE_WRITE_ERROR:
      return "transport: answer with more than " + std::to_string(kAnswerHeadBytes) + " bytes of headers";
    case CURLE_OUT_OF_MEMORY:  // libcurl's name for a line longer than it takes as well
      return "transport: a header too long, or no memory left";
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return "reset: answer cut short: " + detail;
    default:
      return "transport: " + detail;
  }
}

std::string Slot::DebugSubject() const {
  return "connection=" + transfer_.connection +
         (transfer_.job ? " job=" + transfer_.job->stamp.id.ToText() : std::string());
}

std::string CutBody(std::string_view body, std::size_t bytes) {
  std::string text = EscapeForTerminal(body.substr(0, kDebugBodyBytes));
  if (bytes > kDebugBodyBytes) text += " … (" + std::to_string(bytes) + " bytes)";
  return text;
}

bool IsSecret(std::string_view header) {
  return EqualsIgnoringCase(header, "authorization") || EqualsIgnoringCase(header, "proxy-authorization");
}

std::string Slot::DebugRequest() const {
  std::string text =
      "debug request " + DebugSubject() + " " + EscapeForTerminal(request_.method + " " + request_.target);
  for (const auto& [name, value] : request_.headers) {
    if (!IsSecret(name)) text += " | " + EscapeForTerminal(Joined(name, ": ", value));
  }
  for (const MultipartPart& part : request_.parts) {
    text += " | part " + EscapeForTerminal(part.name + " " + part.filename) + " (" +
            std::to_string(part.content.size()) + " bytes)";
  }
  return text + " | " + CutBody(request_.body, request_.body.size());
}

std::string Slot::DebugAnswer(const Answer& answer) const {
  std::string text = "debug answer " + DebugSubject() + " ";
  if (answer.status == 0) return text + answer.error;
  text += std::to_string(answer.status);
  curl_header* header = nullptr;
  while ((header = curl_easy_nextheader(easy_, CURLH_HEADER, -1, header)) != nullptr) {
    text += " | " + EscapeForTerminal(std::string(header->name) + ": " + header->value);
  }
  return text + " | " + CutBody(answer.body, body_bytes_);
}

}  // namespace

class Worker::Impl {
 public:
  Impl(const std::string& name, Sink sink, DebugLog debug_log);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void Send(std::vector<Transfer> transfers) EXCLUDES(mutex_);
  void Stop() EXCLUDES(mutex_);

 private:
  void Run();
  bool TakeInbox() EXCLUDES(mutex_);
  void Start(Transfer transfer);
  void RunTimer();
  int WaitMs() const;
  void OnReady(const epoll_event& event);
  void TakeFinished();
  void Release(Slot& slot, Finished finished);
  void Deliver();
  void AbortAll();
  static int OnSocket(CURL* easy, curl_socket_t fd, int what, void* self, void* socket);
  static int OnTimer(CURLM* multi, long timeout_ms, void* self);

  const Sink sink_;
  const DebugLog debug_log_;
  SocketWatch watch_;

  // The worker thread's own.
  CURLM* const multi_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_;
  std::vector<Transfer> incoming_;
  std::vector<std::pair<CURL*, CURLcode>> done_;
  std::vector<Finished> finished_;
  std::optional<SteadyTime> timer_;
  bool timer_was_set_ = false;

  Mutex mutex_;
  std::vector<Transfer> inbox_ GUARDED_BY(mutex_);
  bool waiting_ GUARDED_BY(mutex_) = false;  // the thread is about to wait: new transfers must wake it
  bool stopping_ GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

namespace {

// The thread inherits a mask that blocks every signal: they belong to the main thread.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

CURLM* NewMulti() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  Require(ready == CURLE_OK, "outboxd: curl_global_init");
  CURLM* multi = curl_multi_init();
  Require(multi != nullptr, "outboxd: curl_multi_init");
  return multi;
}

}  // namespace

Worker::Impl::Impl(const std::string& name, Sink sink, DebugLog debug_log)
    : sink_(std::move(sink)), debug_log_(std::move(debug_log)), multi_(NewMulti()) {
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Impl::OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Impl::OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kConnectionCache);
  const BlockedSignals blocked;
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

Worker::Impl::~Impl() {
  Stop();
  curl_multi_cleanup(multi_);  // before the slots and the watch: it closes connections through them
}

void Worker::Impl::Send(std::vector<Transfer> transfers) {
  MutexLock lock(mutex_);
  if (stopping_) return;
  if (inbox_.empty()) {
    inbox_ = std::move(transfers);
  } else {
    std::move(transfers.begin(), transfers.end(), std::back_inserter(inbox_));
  }
  if (std::exchange(waiting_, false)) watch_.Wake();
}

void Worker::Impl::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    watch_.Wake();
  }
  if (thread_.joinable()) thread_.join();
}

bool Worker::Impl::TakeInbox() {
  MutexLock lock(mutex_);
  incoming_.swap(inbox_);
  waiting_ = incoming_.empty();
  return !stopping_;
}

void Worker::Impl::Run() {
  while (TakeInbox()) {
    for (Transfer& transfer : incoming_) Start(std::move(transfer));
    incoming_.clear();
    RunTimer();
    TakeFinished();
    for (const epoll_event& event : watch_.Wait(finished_.empty() ? WaitMs() : 0)) OnReady(event);
    TakeFinished();
    Deliver();
  }
  AbortAll();
}

void Worker::Impl::Start(Transfer transfer) {
  if (free_.empty()) {
    slots_.push_back(std::make_unique<Slot>(&watch_));
    free_.push_back(slots_.back().get());
  }
  Slot& slot = *free_.back();
  free_.pop_back();
  slot.Begin(std::move(transfer), debug_log_);
  const CURLMcode code = curl_multi_add_handle(multi_, slot.Handle());
  if (code != CURLM_OK) Release(slot, slot.Abort(std::string("transport: ") + curl_multi_strerror(code)));
}

void Worker::Impl::RunTimer() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (!timer_ || *timer_ > now) return;
  timer_was_set_ = false;
  int running = 0;
  curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  // libcurl cuts its times to whole milliseconds, so the timer may come a little early; then it is not set
  // again by itself.
  if (!timer_was_set_) timer_ = now + Milliseconds(1);
}

int Worker::Impl::WaitMs() const {
  if (!timer_) return -1;
  const auto left = std::chrono::ceil<Milliseconds>(*timer_ - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

void Worker::Impl::OnReady(const epoll_event& event) {
  if (!watch_.IsWanted(event)) return;
  int action = 0;
  if ((event.events & EPOLLIN) != 0) action |= CURL_CSELECT_IN;
  if ((event.events & EPOLLOUT) != 0) action |= CURL_CSELECT_OUT;
  if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) action |= CURL_CSELECT_ERR;
  int running = 0;
  curl_multi_socket_action(multi_, event.data.fd, action, &running);
}

void Worker::Impl::TakeFinished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) done_.emplace_back(message->easy_handle, message->data.result);
  }
  // Only now: removing a handle searches all messages not yet read.
  for (const auto& [easy, code] : done_) {
    Slot* slot = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &slot);
    curl_multi_remove_handle(multi_, easy);
    Release(*slot, slot->End(code, debug_log_));
  }
  done_.clear();
}

void Worker::Impl::Release(Slot& slot, Finished finished) {
  finished_.push_back(std::move(finished));
  free_.push_back(&slot);
}

void Worker::Impl::Deliver() {
  if (!finished_.empty()) sink_(std::exchange(finished_, {}));
}

void Worker::Impl::AbortAll() {
  for (const std::unique_ptr<Slot>& slot : slots_) {
    if (!slot->IsActive()) continue;
    curl_multi_remove_handle(multi_, slot->Handle());
    finished_.push_back(slot->Abort("stopped"));
  }
  for (Transfer& transfer : incoming_) {
    Answer answer;
    answer.error = "stopped";
    const Timestamp now = WallClockNow();
    finished_.push_back(Finished{.transfer = std::move(transfer), .answer = std::move(answer), .sent = now});
  }
  incoming_.clear();
  Deliver();
}

int Worker::Impl::OnSocket(CURL*, curl_socket_t fd, int what, void* self, void*) {
  std::uint32_t events = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= EPOLLIN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= EPOLLOUT;
  static_cast<Impl*>(self)->watch_.Want(fd, events);
  return 0;
}

int Worker::Impl::OnTimer(CURLM*, long timeout_ms, void* self) {
  Impl& impl = *static_cast<Impl*>(self);
  impl.timer_was_set_ = true;
  impl.timer_.reset();
  if (timeout_ms >= 0) impl.timer_ = std::chrono::steady_clock::now() + Milliseconds(timeout_ms);
  return 0;
}

Worker::Worker(const std::string& name, Sink sink, DebugLog debug_log)
    : impl_(std::make_unique<Impl>(name, std::move(sink), std::move(debug_log))) {}

Worker::~Worker() = default;

void Worker::Send(std::vector<Transfer> transfers) {
  impl_->Send(std::move(transfers));
}

void Worker::Stop() {
  impl_->Stop();
}

}  // namespace outboxd
