#include "daemon/delivery/curl_request.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/ascii.h"
#include "core/batch.h"
#include "core/job.h"
#include "core/request.h"
#include "core/text.h"
#include "core/verdict.h"
#include "daemon/base/require.h"
#include "daemon/base/wall_clock.h"
#include "daemon/delivery/curl_error.h"
#include "daemon/delivery/debug_text.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {
namespace {

// Shorter than the idle timeout of common load balancers (60 s), so that a request rarely meets a connection
// that is just being closed.
constexpr long kIdleConnectionSeconds = 50;
constexpr long kReceiveBufferBytes = 4L * 1024;

HttpRequest BuildRequest(const Transfer& transfer) {
  switch (transfer.kind) {
    case TransferKind::kJob:
      return BuildRequest(transfer.job->job, transfer.job->stamp);
    case TransferKind::kBatch:
      return BuildBatchRequest(transfer.batch);
    case TransferKind::kProbe:
      break;
  }
  return BuildRegionProbe();
}

std::string HeaderLine(const std::string& name, const std::string& value) {
  return name + (value.empty() ? ";" : ": ") + value;  // "name:" would remove the header
}

Answer NoAnswer(std::string why) {
  Answer answer;
  answer.error = std::move(why);
  return answer;
}

std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* events) {
  const std::string_view line(data, size * count);
  return static_cast<RequestEvents*>(events)->answer.AddHeaderLine(line) ? line.size() : CURL_WRITEFUNC_ERROR;
}

std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* events) {
  const std::string_view bytes(data, size * count);
  return static_cast<RequestEvents*>(events)->answer.AddBody(bytes) ? bytes.size() : CURL_WRITEFUNC_ERROR;
}

// Called each time the request is about to leave. A second time means that a reused connection broke before
// any answer: libcurl would repeat the request unasked, although the first may have taken effect.
int OnSend(void* events, char*, char*, int, int) {
  return ++static_cast<RequestEvents*>(events)->times_sent == 1 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

curl_socket_t OnOpenSocket(void* self, curlsocktype, curl_sockaddr* address) {
  RequestEvents& events = *static_cast<RequestEvents*>(self);
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  events.socket_error = fd < 0 ? errno : 0;
  if (fd < 0) return CURL_SOCKET_BAD;
  events.watch->Opened(fd);
  return fd;
}

int OnCloseSocket(void* watch, curl_socket_t fd) {
  static_cast<SocketWatch*>(watch)->Closed(fd);
  return close(fd);
}

void SetCallbacks(CURL* easy, RequestEvents* events) {
  const auto set = [easy](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  set(CURLOPT_HEADERFUNCTION, &OnHeader);
  set(CURLOPT_HEADERDATA, events);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_WRITEFUNCTION, &OnBody);
  set(CURLOPT_WRITEDATA, events);
  set(CURLOPT_PREREQFUNCTION, &OnSend);
  set(CURLOPT_PREREQDATA, events);
  set(CURLOPT_OPENSOCKETFUNCTION, &OnOpenSocket);
  set(CURLOPT_OPENSOCKETDATA, events);
  set(CURLOPT_CLOSESOCKETFUNCTION, &OnCloseSocket);
  set(CURLOPT_CLOSESOCKETDATA, events->watch);
}

}  // namespace

Answer AbortedAnswer() {
  return NoAnswer("stopped");
}

CurlRequest::CurlRequest(SocketWatch* watch)
    : easy_(curl_easy_init()), events_{.watch = watch, .answer = {}} {
  Require(easy_ != nullptr, "outboxd: curl_easy_init");
}

CurlRequest::~CurlRequest() {
  curl_easy_cleanup(easy_);
  curl_mime_free(mime_);
  curl_slist_free_all(header_list_);
}

CurlRequest& CurlRequest::Of(CURL* handle) {
  CurlRequest* request = nullptr;
  curl_easy_getinfo(handle, CURLINFO_PRIVATE, &request);
  return *request;
}

// Options that hold for every transfer of one endpoint.
void CurlRequest::AdoptEndpoint() {
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
  SetCallbacks(easy_, &events_);
}

void CurlRequest::Begin(Transfer transfer, const DebugLog& debug_log) {
  active_ = true;
  transfer_ = std::move(transfer);
  events_.answer.Clear();
  events_.socket_error = 0;
  events_.times_sent = 0;
  error_[0] = '\0';
  sent_ = WallClockNow();
  started_ = std::chrono::steady_clock::now();
  request_ = BuildRequest(transfer_);
  if (transfer_.endpoint != endpoint_) AdoptEndpoint();
  SetRequest();
  if (request_.debug && debug_log) debug_log(DebugRequestText(transfer_, request_));
}

void CurlRequest::SetRequest() {
  const std::optional<Region> region = transfer_.job ? transfer_.job->job.region : std::nullopt;
  const std::string url = endpoint_->config.BaseUrl(region) + request_.target;
  Set(CURLOPT_URL, url.c_str());
  timeout_ = request_.timeout.value_or(endpoint_->config.timeout);
  Set(CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_.count()));
  SetMethod();
  SetHeaders();
}

void CurlRequest::SetMethod() {
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

void CurlRequest::SetParts() {
  mime_ = curl_mime_init(easy_);
  for (const MultipartPart& part : request_.parts) {
    curl_mimepart* added = curl_mime_addpart(mime_);
    curl_mime_name(added, part.name.c_str());
    if (!part.filename.empty()) curl_mime_filename(added, part.filename.c_str());
    curl_mime_data(added, part.content.data(), part.content.size());
  }
  Set(CURLOPT_MIMEPOST, mime_);
}

void CurlRequest::SetHeaders() {
  if (header_list_ != nullptr && listed_headers_ == request_.headers && mime_ == nullptr) return;
  curl_slist* list = curl_slist_append(nullptr, "Expect:");
  bool has_type = mime_ != nullptr;
  for (const auto& [name, value] : request_.headers) {
    has_type = has_type || EqualsIgnoringCase(name, "content-type");
    list = curl_slist_append(list, HeaderLine(name, value).c_str());
  }
  // libcurl would call any body a web form.
  if (!has_type) list = curl_slist_append(list, "Content-Type:");
  Set(CURLOPT_HTTPHEADER, list);
  curl_slist_free_all(std::exchange(header_list_, list));
  listed_headers_ = request_.headers;
}

Finished CurlRequest::End(CURLcode code, const DebugLog& debug_log) {
  Answer answer = TakeAnswer(code);
  if (request_.debug && debug_log)
    debug_log(DebugAnswerText(transfer_, answer, AllHeaders(), events_.answer.BodyBytes()));
  const Ending ending = EndingOf(answer);
  return Finish(ending, std::move(answer));
}

Finished CurlRequest::Fail(std::string error) {
  return Finish(Ending::kFailed, NoAnswer(std::move(error)));
}

Finished CurlRequest::Abort() {
  return Finish(Ending::kAborted, AbortedAnswer());
}

Finished CurlRequest::Finish(Ending ending, Answer answer) {
  if (mime_ != nullptr) {
    endpoint_.reset();  // so that the next transfer starts from a clean handle
    Set(CURLOPT_MIMEPOST, static_cast<curl_mime*>(nullptr));
    curl_mime_free(std::exchange(mime_, nullptr));
  }
  active_ = false;
  const auto duration = std::chrono::round<Milliseconds>(std::chrono::steady_clock::now() - started_);
  return Finished{.transfer = std::move(transfer_),
                  .ending = ending,
                  .answer = std::move(answer),
                  .sent = sent_,
                  .duration = duration};
}

Answer CurlRequest::TakeAnswer(CURLcode code) {
  const bool cut_by_us = code == CURLE_WRITE_ERROR && events_.answer.IsBodyTooLong();
  if (code != CURLE_OK && !cut_by_us) return NoAnswer(ErrorText(code));
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || !events_.answer.HasWholeHead()) return NoAnswer("reset: answer cut short");
  Answer answer;
  answer.status = static_cast<int>(status);
  answer.body = events_.answer.TakeBody();
  if (status >= 300) {
    answer.location = Header("Location").value_or("");
    answer.retry_after = Header("Retry-After");
  }
  return answer;
}

std::optional<std::string> CurlRequest::Header(const char* name) const {
  curl_header* header = nullptr;
  if (curl_easy_header(easy_, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return std::nullopt;
  return OneLine(header->value);
}

CurlRequest::Headers CurlRequest::AllHeaders() const {
  Headers headers;
  curl_header* header = nullptr;
  while ((header = curl_easy_nextheader(easy_, CURLH_HEADER, -1, header)) != nullptr)
    headers.emplace_back(header->name, header->value);
  return headers;
}

std::string CurlRequest::ErrorText(CURLcode code) const {
  long system_error = events_.socket_error;
  if (system_error == 0) curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &system_error);
  curl_off_t resolved_us = 0;
  curl_easy_getinfo(easy_, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
  CurlFailure failure;
  failure.code = code;
  failure.detail = error_[0] != '\0' ? error_.data() : curl_easy_strerror(code);
  if (system_error != 0) failure.system = std::generic_category().message(static_cast<int>(system_error));
  failure.was_resolved = resolved_us != 0;
  failure.was_sent = events_.times_sent != 0;
  failure.timeout = timeout_;
  failure.connect_timeout = endpoint_->config.connect_timeout;
  return CurlErrorText(failure);
}

}  // namespace outboxd
