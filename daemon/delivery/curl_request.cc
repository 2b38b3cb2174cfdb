#include "daemon/delivery/curl_request.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "config/credentials.h"
#include "core/ascii.h"
#include "core/batch.h"
#include "core/encoding.h"
#include "core/job.h"
#include "core/request.h"
#include "core/secrets.h"
#include "core/text.h"
#include "core/user_shares.h"
#include "core/verdict.h"
#include "daemon/base/require.h"
#include "daemon/base/wall_clock.h"
#include "daemon/delivery/curl_error.h"
#include "daemon/delivery/debug_text.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/tcp_ends.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {
namespace {

constexpr long kReceiveBufferBytes = 4L * 1024;
constexpr std::size_t kTargetKeptBytes = 8UL * 1024;

User UserOf(const Transfer& transfer) {
  return transfer.job ? transfer.job->uid : std::nullopt;
}

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

// A lower-case http_proxy alone counts for libcurl; it does no harm here.
bool IsProxyInEnvironment() {
  return std::ranges::any_of(
      std::array{"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"},
      [](const char* name) { return std::getenv(name) != nullptr; });
}

std::string BasicAuthorization(const Credentials& credentials) {
  return "Authorization: Basic " + Base64Encode(credentials.site_id + ":" + credentials.api_key);
}

std::string HeaderLine(const std::string& name, const std::string& value) {
  return name + (value.empty() ? ";" : ": ") + value;  // "name:" would remove the header
}

Answer NoAnswer(std::string why, Fault fault) {
  Answer answer;
  answer.error = std::move(why);
  answer.fault = fault;
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

// True when the request has left already: libcurl is about to repeat it unasked, although it may have taken
// effect. It does so when the server refused the stream, which no error says, and when a connection broke
// before an answer that others had used or that others joined.
bool RefuseRepeat(RequestEvents& events) {
  if (!events.was_sent) return false;
  if (events.repeat == Repeat::kNone)
    events.repeat = events.error[0] == '\0' ? Repeat::kAfterRefusal : Repeat::kAfterError;
  return true;
}

// Called each time the request is about to leave.
int OnSend(void* self, char*, char*, int, int) {
  RequestEvents& events = *static_cast<RequestEvents*>(self);
  if (RefuseRepeat(events)) return CURL_PREREQFUNC_ABORT;
  events.was_sent = *events.is_up = true;
  return CURL_PREREQFUNC_OK;
}

// A repeat is to cost neither a lookup nor a connection.
int OnResolve(void*, void*, void* events) {
  return RefuseRepeat(*static_cast<RequestEvents*>(events)) ? 1 : 0;
}

curl_socket_t OnOpenSocket(void* self, curlsocktype, curl_sockaddr* address) {
  RequestEvents& events = *static_cast<RequestEvents*>(self);
  if (RefuseRepeat(events)) return CURL_SOCKET_BAD;
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  events.socket_error = fd < 0 ? errno : 0;
  if (fd < 0) return CURL_SOCKET_BAD;
  // A peer that vanished is noticed by what it does not acknowledge, long before the kernel gives up by
  // itself.
  setsockopt(fd, SOL_TCP, TCP_USER_TIMEOUT, &events.user_timeout_ms, sizeof events.user_timeout_ms);
  events.has_opened = true;
  events.watch->Opened(fd);
  return fd;
}

int OnCloseSocket(void* watch, curl_socket_t fd) {
  static_cast<SocketWatch*>(watch)->Closed(fd);
  return close(fd);
}

std::optional<std::string> HeaderOf(CURL* easy, const char* name) {
  curl_header* header = nullptr;
  if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return std::nullopt;
  return OneLine(header->value);
}

std::vector<std::pair<std::string, std::string>> HeadersOf(CURL* easy) {
  std::vector<std::pair<std::string, std::string>> headers;
  curl_header* header = nullptr;
  while ((header = curl_easy_nextheader(easy, CURLH_HEADER, -1, header)) != nullptr)
    headers.emplace_back(header->name, header->value);
  return headers;
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
  set(CURLOPT_RESOLVER_START_FUNCTION, &OnResolve);
  set(CURLOPT_RESOLVER_START_DATA, events);
  set(CURLOPT_OPENSOCKETFUNCTION, &OnOpenSocket);
  set(CURLOPT_OPENSOCKETDATA, events);
  set(CURLOPT_CLOSESOCKETFUNCTION, &OnCloseSocket);
  set(CURLOPT_CLOSESOCKETDATA, events->watch);
}

// Of the host's TLS and of a proxy's alike. Beside the file libcurl would go on to look into the directory of
// the system's authorities, and it would keep what it has read of the file for a day.
void SetTrust(CURL* easy, const std::filesystem::path& ca_file) {
  const auto set = [easy](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  for (const CURLoption version : {CURLOPT_SSLVERSION, CURLOPT_PROXY_SSLVERSION})
    set(version, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (ca_file.empty()) return;
  for (const CURLoption file : {CURLOPT_CAINFO, CURLOPT_PROXY_CAINFO}) set(file, ca_file.c_str());
  for (const CURLoption directory : {CURLOPT_CAPATH, CURLOPT_PROXY_CAPATH})
    set(directory, static_cast<const char*>(nullptr));
  set(CURLOPT_CA_CACHE_TIMEOUT, 0L);
}

Answer Unanswered(const CurlFailure& failure, const Secrets& secrets) {
  const bool may_be_cut = failure.detail.size() + 1 >= CURL_ERROR_SIZE;
  const TextEnd end = may_be_cut ? TextEnd::kCut : TextEnd::kWhole;
  return NoAnswer(secrets.Redact(CurlErrorText(failure), end), FaultOf(failure));
}

}  // namespace

Answer AbortedAnswer() {
  return NoAnswer("stopped", Fault::kNone);
}

Answer UntakenAnswer(const char* why) {
  return NoAnswer(std::string("transport: ") + why, Fault::kNetwork);
}

Answer DeadAnswer(const RequestEvents& events) {
  return NoAnswer("reset: the connection is dead",
                  events.answer.HasBegun() ? Fault::kNetwork : Fault::kUnanswered);
}

CurlRequest::CurlRequest(SocketWatch* watch) : easy_(curl_easy_init()) {
  events_.watch = watch;
  Require(easy_ != nullptr, "outboxd: curl_easy_init");
}

CurlRequest::~CurlRequest() {
  curl_easy_cleanup(easy_);
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
  secrets_ = SecretsOf(*endpoint_);
  route_ = Route::kPooled;
  events_.user_timeout_ms = static_cast<unsigned>(endpoint_->config.connect_timeout.count());
  Set(CURLOPT_PRIVATE, this);
  Set(CURLOPT_PROTOCOLS_STR, "http,https");
  Set(CURLOPT_FOLLOWLOCATION, 0L);
  Set(CURLOPT_NOSIGNAL, 1L);
  // A transfer that ends leaves a lookup of its host's name to end by itself; libcurl would wait for it, and
  // all other transfers with it.
  Set(CURLOPT_QUICK_EXIT, 1L);
  Set(CURLOPT_TCP_NODELAY, 1L);
  Set(CURLOPT_TCP_KEEPALIVE, 1L);
  Set(CURLOPT_MAXAGE_CONN, static_cast<long>(kIdleConnection.count()));
  Set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  // A customer named ".." must not climb out of its path.
  Set(CURLOPT_PATH_AS_IS, 1L);
  // No PIPEWAIT: the first requests to a host open a connection each and do not wait for the first one's
  // handshake.
  Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  // For each request it would read six variables of the environment.
  if (!IsProxyInEnvironment()) Set(CURLOPT_PROXY, "");
  Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(endpoint_->config.connect_timeout.count()));
  SetTrust(easy_, endpoint_->config.ca_file);
  Set(CURLOPT_ERRORBUFFER, events_.error.data());
  // Any that libcurl knows; what is asked for is said by the headers.
  Set(CURLOPT_ACCEPT_ENCODING, "");
  SetCallbacks(easy_, &events_);
}

void CurlRequest::Begin(Transfer transfer, const DebugLog& debug_log) {
  active_ = true;
  transfer_ = std::move(transfer);
  events_.Clear();
  sent_ = WallClockNow();
  started_ = std::chrono::steady_clock::now();
  request_ = BuildRequest(transfer_);
  if (transfer_.endpoint != endpoint_) AdoptEndpoint();
  SetRequest();
  if (request_.debug && debug_log)
    debug_log(UserOf(transfer_), DebugRequestText(transfer_, request_, *secrets_));
}

void CurlRequest::SetRequest() {
  const std::optional<Region> region = transfer_.job ? transfer_.job->job.region : std::nullopt;
  const std::string url = endpoint_->config.BaseUrl(region) + request_.target;
  Set(CURLOPT_URL, url.c_str());
  timeout_ = request_.timeout.value_or(endpoint_->config.timeout);
  Set(CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_.count()));
  if (transfer_.route != route_) {
    route_ = transfer_.route;
    Set(CURLOPT_FRESH_CONNECT, route_ == Route::kOwn ? 1L : 0L);
    Set(CURLOPT_FORBID_REUSE, route_ == Route::kOwn ? 1L : 0L);
  }
  SetMethod();
  SetHeaders();
}

void CurlRequest::SetMethod() {
  const std::string& method = request_.method;
  const bool has_length = !request_.body.empty() || method == "POST" || method == "PUT" || method == "PATCH";
  if (method == "HEAD") {
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

// Those that libcurl would make of options of their own it formats twice for each request.
void CurlRequest::SetHeaders() {
  const bool has_credentials = !request_.without_credentials;
  if (header_list_ != nullptr && has_listed_credentials_ == has_credentials &&
      listed_headers_ == request_.headers)
    return;
  curl_slist* list = curl_slist_append(nullptr, "Expect:");
  if (has_credentials) list = curl_slist_append(list, BasicAuthorization(endpoint_->credentials).c_str());
  // An answer is "{}" as a rule: nothing to gain. A job's own header of this name leaves all the same.
  list = curl_slist_append(list, "Accept-Encoding:");
  bool has_type = false;
  bool has_agent = false;
  for (const auto& [name, value] : request_.headers) {
    has_type = has_type || EqualsIgnoringCase(name, "content-type");
    has_agent = has_agent || EqualsIgnoringCase(name, "user-agent");
    list = curl_slist_append(list, HeaderLine(name, value).c_str());
  }
  if (!has_agent) list = curl_slist_append(list, "User-Agent: outboxd/" OUTBOXD_VERSION);
  // libcurl would call any body a web form.
  if (!has_type) list = curl_slist_append(list, "Content-Type:");
  Set(CURLOPT_HTTPHEADER, list);
  curl_slist_free_all(std::exchange(header_list_, list));
  listed_headers_ = request_.headers;
  has_listed_credentials_ = has_credentials;
}

Finished CurlRequest::End(CURLcode code, const DebugLog& debug_log) {
  Answer answer = TakeAnswer(code);
  if (request_.debug && debug_log)
    debug_log(UserOf(transfer_),
              DebugAnswerText(transfer_, answer, HeadersOf(easy_), events_.answer.BodyBytes(), *secrets_));
  const Ending ending = EndingOf(answer);
  return Finish(ending, std::move(answer));
}

Finished CurlRequest::Fail(Answer answer) {
  return Finish(Ending::kFailed, std::move(answer));
}

Finished CurlRequest::Abort() {
  return Finish(Ending::kAborted, AbortedAnswer());
}

Finished CurlRequest::Finish(Ending ending, Answer answer) {
  active_ = false;
  has_been_large_ = has_been_large_ || request_.target.size() > kTargetKeptBytes;
  request_ = HttpRequest{};
  const auto duration = std::chrono::round<Milliseconds>(std::chrono::steady_clock::now() - started_);
  return Finished{.transfer = std::move(transfer_),
                  .ending = ending,
                  .answer = std::move(answer),
                  .sent = sent_,
                  .duration = duration};
}

Answer CurlRequest::TakeAnswer(CURLcode code) {
  const AnswerBuffer& buffer = events_.answer;
  const bool cut_by_us = code == CURLE_WRITE_ERROR && buffer.IsBodyTooLong();
  const bool is_garbled = code == CURLE_BAD_CONTENT_ENCODING && buffer.HasWholeHead() &&
                          HeaderOf(easy_, "Content-Encoding").has_value();
  if (code != CURLE_OK && !cut_by_us && !is_garbled) {
    const CurlFailure failure = FailureBy(code);
    events_.has_hung = HasHung(failure);
    return Unanswered(failure, *secrets_);
  }
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || !buffer.HasWholeHead()) return NoAnswer("reset: answer cut short", Fault::kNetwork);
  Answer answer;
  answer.status = static_cast<int>(status);
  answer.is_body_cut = buffer.IsBodyCut() || is_garbled;
  answer.body = events_.answer.TakeBody();
  if (answer.is_body_cut || secrets_->StandIn(answer.body)) answer.secrets = secrets_;
  if (status >= 300) {
    answer.location = secrets_->Redact(HeaderOf(easy_, "Location").value_or(""));
    answer.retry_after = HeaderOf(easy_, "Retry-After");
  }
  return answer;
}

CurlFailure CurlRequest::FailureBy(CURLcode code) const {
  long system_error = events_.socket_error;
  if (system_error == 0) curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &system_error);
  curl_off_t resolved_us = 0;
  curl_easy_getinfo(easy_, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
  long tunnel_status = 0;
  curl_easy_getinfo(easy_, CURLINFO_HTTP_CONNECTCODE, &tunnel_status);
  CurlFailure failure;
  failure.code = code;
  failure.detail = events_.error[0] != '\0' ? events_.error.data() : curl_easy_strerror(code);
  if (system_error != 0) failure.system = std::generic_category().message(static_cast<int>(system_error));
  failure.was_resolved = resolved_us != 0;
  failure.was_sent = events_.was_sent;
  failure.was_reused = events_.was_sent && !events_.has_opened;
  failure.has_answer_begun = events_.answer.HasBegun();
  failure.repeat = events_.repeat;
  // The last stream of a connection that the server leaves: libcurl ends it without a word and without a
  // repeat.
  if (code == CURLE_HTTP2 && events_.error[0] == '\0') failure.repeat = Repeat::kAfterRefusal;
  failure.tunnel_status = static_cast<int>(tunnel_status);
  failure.timeout = timeout_;
  failure.is_own_timeout = timeout_ < endpoint_->config.timeout;
  failure.connect_timeout = endpoint_->config.connect_timeout;
  failure.waited = SinceSent();
  return failure;
}

std::optional<bool> CurlRequest::WasShared() const {
  long version = 0;
  curl_easy_getinfo(easy_, CURLINFO_HTTP_VERSION, &version);
  if (version == 0) return std::nullopt;
  return version == CURL_HTTP_VERSION_2_0;
}

TcpEnds CurlRequest::Ends() const {
  const char* local = nullptr;
  const char* remote = nullptr;
  long port = 0;
  curl_easy_getinfo(easy_, CURLINFO_LOCAL_IP, &local);
  curl_easy_getinfo(easy_, CURLINFO_LOCAL_PORT, &port);
  curl_easy_getinfo(easy_, CURLINFO_PRIMARY_IP, &remote);
  return TcpEnds{local != nullptr ? local : "", static_cast<int>(port), remote != nullptr ? remote : ""};
}

Milliseconds CurlRequest::SinceSent() const {
  curl_off_t before_us = 0;
  curl_easy_getinfo(easy_, CURLINFO_PRETRANSFER_TIME_T, &before_us);
  return std::chrono::floor<Milliseconds>(std::chrono::steady_clock::now() - started_ -
                                          std::chrono::microseconds(before_us));
}

}  // namespace outboxd
