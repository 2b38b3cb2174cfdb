#include "tests/support/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>

#include "tests/support/give_up.h"

namespace outboxd {
namespace {

std::size_t AppendBody(char* data, std::size_t size, std::size_t count, void* out) {
  static_cast<std::string*>(out)->append(data, size * count);
  return size * count;
}

std::size_t TakeHeader(char* data, std::size_t size, std::size_t count, void* out) {
  std::string_view line(data, size * count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char byte) { return static_cast<char>(std::tolower(byte)); });
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ')) value.remove_prefix(1);
  static_cast<HttpAnswer*>(out)->headers[name] = value;
  return size * count;
}

void* NewHandle() {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  void* curl = initialised == CURLE_OK ? curl_easy_init() : nullptr;
  if (curl == nullptr) GiveUp("libcurl does not start");
  return curl;
}

}  // namespace

JsonValue HttpAnswer::Json() const {
  Result<JsonValue> value = JsonValue::Parse(body);
  if (!value)
    GiveUp("not JSON (status " + std::to_string(status) + ", " + error + "): " + body.substr(0, 500));
  return *value;
}

HttpClient::HttpClient(const std::filesystem::path& socket)
    : curl_(NewHandle()), socket_(socket), base_("http://outboxd") {}
HttpClient::HttpClient(std::uint16_t port)
    : curl_(NewHandle()), base_("http://127.0.0.1:" + std::to_string(port)) {}
HttpClient::~HttpClient() {
  curl_easy_cleanup(curl_);
}

HttpAnswer HttpClient::Post(std::string_view target, std::string_view json) {
  return Send("POST", target, json, {{"Content-Type", "application/json"}});
}

HttpAnswer HttpClient::Send(const std::string& method, std::string_view target, std::string_view body,
                            const Headers& headers) {
  HttpAnswer answer;
  curl_slist* list = curl_slist_append(nullptr, "Expect:");
  for (const auto& [name, value] : headers) list = curl_slist_append(list, (name + ": " + value).c_str());
  const std::string url = base_ + std::string(target);

  curl_easy_reset(curl_);
  curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl_, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl_, CURLOPT_PROXY, "");
  curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_.count()));
  if (!socket_.empty()) curl_easy_setopt(curl_, CURLOPT_UNIX_SOCKET_PATH, socket_.c_str());
  if (!body.empty() || method == "POST" || method == "PUT") {
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.empty() ? "" : body.data());
  }
  if (method == "HEAD") curl_easy_setopt(curl_, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, AppendBody);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, TakeHeader);
  curl_easy_setopt(curl_, CURLOPT_HEADERDATA, &answer);
  const CURLcode code = curl_easy_perform(curl_);
  curl_slist_free_all(list);
  if (code != CURLE_OK) {
    answer.error = curl_easy_strerror(code);
    return answer;
  }
  long status = 0;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  return answer;
}

std::string UrlEncode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (std::isalnum(byte) != 0 || character == '-' || character == '.' || character == '_' ||
        character == '~')
      encoded.push_back(character);
    else
      encoded.append({'%', kHex[byte >> 4], kHex[byte & 15U]});
  }
  return encoded;
}

}  // namespace outboxd
