#include "ctl/admin_client.h"

#include <curl/curl.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/encoding.h"
#include "core/json.h"
#include "core/result.h"
#include "ctl/options.h"

namespace outboxd {
namespace {

constexpr std::size_t kAnswerBytesMax = 256U << 20;
constexpr long kConnectSeconds = 5;
constexpr long kBriefSeconds = 60;
constexpr long kAliveSeconds = 10;
constexpr std::chrono::seconds kAliveFirst(2);
constexpr std::chrono::seconds kAliveEvery(10);

std::size_t Collect(char* data, std::size_t size, std::size_t count, void* into) {
  auto& body = *static_cast<std::string*>(into);
  const std::size_t bytes = size * count;
  if (body.size() + bytes > kAnswerBytesMax) return 0;
  body.append(data, bytes);
  return bytes;
}

void SetBasics(CURL* curl, const std::filesystem::path& socket, std::string& body) {
  curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "outboxctl/" OUTBOXD_VERSION);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Collect);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
}

// A daemon that takes its time over a request answers others meanwhile; one that hangs does not.
struct Patiently {
  using Clock = std::chrono::steady_clock;

  const std::filesystem::path& socket;
  Clock::time_point next = Clock::now() + kAliveFirst;

  static int OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Patiently*>(self)->IsGone() ? 1 : 0;
  }
  bool IsGone() {
    if (Clock::now() < next) return false;
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
    std::string body;
    SetBasics(curl.get(), socket, body);
    curl_easy_setopt(curl.get(), CURLOPT_URL, "http://outboxd/healthz");
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, kAliveSeconds);
    const CURLcode code = curl_easy_perform(curl.get());
    next = Clock::now() + kAliveEvery;
    return code != CURLE_OK;
  }
};

// `unavailable` is the Track API behind the daemon, not the daemon: to a script the daemon said no.
ErrorKind KindFromName(std::string_view name) {
  const ErrorKind kind = kNames<ErrorKind>.Find(name).value_or(ErrorKind::kInternal);
  return kind == ErrorKind::kUnavailable ? ErrorKind::kIo : kind;
}

Error ErrorOf(long status, const std::string& body) {
  const Result<JsonValue> answer = JsonValue::Parse(body);
  const JsonValue error = answer ? (*answer)["error"] : JsonValue();
  if (!error.IsObject()) {
    const ErrorKind kind = status == 503 ? ErrorKind::kBusy : ErrorKind::kInternal;
    std::string text = body.substr(0, 300);
    while (text.ends_with('\n')) text.pop_back();
    return Error{
        kind, "the daemon answered " + std::to_string(status) + (text.empty() ? "" : ": " + text), {}};
  }
  return Error{KindFromName(error["kind"].String()), error["message"].String("no reason given"),
               error["field"].String()};
}

std::string Reachability(const std::filesystem::path& socket, const std::string& why, long system_error) {
  std::string text = "cannot reach the daemon at " + socket.string() + ": ";
  text += system_error != 0 ? std::strerror(static_cast<int>(system_error)) : why;
  if (system_error == ENOENT || system_error == ECONNREFUSED)
    text += " (is outboxd running? another place is given by --socket or --config)";
  if (system_error == EACCES) text += " (your user needs to be in the socket's group)";
  return text;
}

}  // namespace

struct AdminClient::Handle {
  CURL* curl = nullptr;
  curl_slist* headers = nullptr;
  std::array<char, CURL_ERROR_SIZE> error{};
  std::string body;

  Handle() : curl(curl_easy_init()), headers(curl_slist_append(nullptr, "Content-Type: application/json")) {}
  ~Handle() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

AdminClient::AdminClient(std::filesystem::path socket)
    : socket_(std::move(socket)), handle_(std::make_unique<Handle>()) {
  CURL* curl = handle_->curl;
  if (curl == nullptr) return;
  SetBasics(curl, socket_, handle_->body);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, handle_->headers);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, handle_->error.data());
}

AdminClient::~AdminClient() = default;

Result<std::string> AdminClient::Perform(const std::string& target, const std::string* body,
                                         Patience patience) {
  CURL* curl = handle_->curl;
  if (curl == nullptr) return Fail(ErrorKind::kInternal, "libcurl could not be started");
  handle_->body.clear();
  handle_->error[0] = '\0';
  curl_easy_setopt(curl, CURLOPT_URL, ("http://outboxd" + target).c_str());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, patience == Patience::kBrief ? kBriefSeconds : 0L);
  if (body != nullptr) {
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->c_str());
  } else {
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
  }
  Patiently patiently{socket_};
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, patience == Patience::kBrief ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Patiently::OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &patiently);
  const CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_ABORTED_BY_CALLBACK)
    return Fail(ErrorKind::kUnavailable, "the daemon at " + socket_.string() + " has stopped answering");
  if (code != CURLE_OK) {
    long system_error = 0;
    if (code == CURLE_COULDNT_CONNECT) curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &system_error);
    const std::string why = handle_->error[0] != '\0' ? handle_->error.data() : curl_easy_strerror(code);
    return Fail(ErrorKind::kUnavailable, Reachability(socket_, why, system_error));
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || status > 299) return Failure(ErrorOf(status, handle_->body));
  return std::move(handle_->body);
}

namespace {

Result<JsonValue> ReadJson(const Result<std::string>& text) {
  if (!text) return Failure(text.error());
  Result<JsonValue> value = JsonValue::Parse(*text);
  if (!value) return Fail(ErrorKind::kInternal, "the daemon's answer is not JSON: " + value.error().message);
  return value;
}

}  // namespace

Result<JsonValue> AdminClient::Get(std::string_view path, const Query& query) {
  std::string target(path);
  char separator = '?';
  for (const auto& [name, value] : query) {
    target += separator + name + "=" + PercentEncode(value);
    separator = '&';
  }
  return ReadJson(Perform(target, nullptr, Patience::kBrief));
}

Result<std::string> AdminClient::GetText(std::string_view path) {
  return Perform(std::string(path), nullptr, Patience::kBrief);
}

Result<JsonValue> AdminClient::Post(std::string_view path, const std::string& body, Patience patience) {
  return ReadJson(Perform(std::string(path), &body, patience));
}

}  // namespace outboxd
