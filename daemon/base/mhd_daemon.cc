#include "daemon/base/mhd_daemon.h"

#include <microhttpd.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/ascii.h"
#include "core/result.h"
#include "daemon/base/http_message.h"
#include "daemon/base/http_server.h"
#include "daemon/base/mhd_request.h"

namespace outboxd {
namespace {

constexpr std::string_view kUsualBody = "{}";
constexpr const char* kTlsVersions = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

std::size_t LeaveEncoded(void*, MHD_Connection*, char* text) {
  return std::strlen(text);
}

bool AsksForTheEnd(MHD_Connection* connection) {
  const char* wish = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONNECTION);
  return wish != nullptr && EqualsIgnoringCase(wish, "close");
}

bool IsListening(int descriptor) {
  int listening = 0;
  socklen_t length = sizeof listening;
  return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

}  // namespace

void CloseAfter(HttpResponse& answer) {
  answer.headers.emplace_back(MHD_HTTP_HEADER_CONNECTION, "close");
}

Result<void> MhdDaemon::Start(int listening, const HttpServerOptions& options, Threads threads,
                              const Callbacks& callbacks) {
  if (!IsListening(listening)) {
    close(listening);
    return Fail(ErrorKind::kInvalid, thread_name_ + ": the socket is not listening");
  }
  unsigned flags =
      MHD_USE_ITC | (threads == Threads::kOneForEachConnection
                         ? MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL
                         : MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME);
  connections_.SetLimits(options);
  keep_alive_ = "timeout=" + std::to_string(options.idle_timeout.count());
  std::vector<MHD_OptionItem> more;
  if (options.tls) {
    flags |= MHD_USE_TLS;
    // libmicrohttpd only reads them.
    more.push_back({MHD_OPTION_HTTPS_MEM_CERT, 0, const_cast<char*>(options.tls->certificate.data())});
    more.push_back({MHD_OPTION_HTTPS_MEM_KEY, 0, const_cast<char*>(options.tls->key.data())});
    more.push_back({MHD_OPTION_HTTPS_PRIORITIES, 0, const_cast<char*>(kTlsVersions)});
  }
  more.push_back({MHD_OPTION_END, 0, nullptr});
  daemon_ = MHD_start_daemon(
      flags, 0, &OnAccept, this, callbacks.on_request, callbacks.self, MHD_OPTION_LISTEN_SOCKET, listening,
      MHD_OPTION_URI_LOG_CALLBACK, callbacks.on_first_line, callbacks.self, MHD_OPTION_NOTIFY_COMPLETED,
      callbacks.on_end, callbacks.self, MHD_OPTION_UNESCAPE_CALLBACK, &LeaveEncoded, nullptr,
      MHD_OPTION_NOTIFY_CONNECTION, &MhdConnections::Notify, &connections_, MHD_OPTION_CONNECTION_LIMIT,
      MhdConnections::LimitOfDaemon(options), MHD_OPTION_CONNECTION_MEMORY_LIMIT, options.head_bytes_max,
      // An absent Host, and a space within a target, are refused.
      // No timeout of its own: it would also close a connection whose request is half read.
      MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_ARRAY, more.data(),
      MHD_OPTION_END);
  if (daemon_ != nullptr) return {};
  const int why = errno;
  close(listening);
  return Fail(ErrorKind::kInternal, thread_name_ + ": cannot start the HTTP server: " +
                                        (options.tls ? "is the certificate PEM, and the key its own?"
                                                     : std::generic_category().message(why)));
}

void MhdDaemon::Retire() {
  if (daemon_ == nullptr || is_retired_.exchange(true)) return;
  EndWithAnswers();
  // Taken back before the stop, so that a socket shared with systemd is closed in the end but not shut down
  // for everyone.
  listening_ = MHD_quiesce_daemon(daemon_);
}

void MhdDaemon::Stop() {
  if (daemon_ == nullptr) return;
  Retire();
  MHD_stop_daemon(std::exchange(daemon_, nullptr));
  close(listening_);
}

MHD_Result MhdDaemon::Send(MHD_Connection* connection, const HttpResponse& answer) const {
  // What nearly every request gets is not copied.
  const bool is_usual = answer.body == kUsualBody;
  void* bytes = const_cast<char*>(is_usual ? kUsualBody.data() : answer.body.data());  // only read
  MHD_Response* response = MHD_create_response_from_buffer(
      answer.body.size(), bytes, is_usual ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  if (answer.status != MHD_HTTP_NO_CONTENT)
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.content_type);
  bool closes = false;
  for (const auto& [name, value] : answer.headers) {
    MHD_add_response_header(response, name.c_str(), value.c_str());
    closes = closes || name == MHD_HTTP_HEADER_CONNECTION;
  }
  if (!closes && (ends_with_answers_ || MhdClient::Of(connection).ends_with_this())) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    closes = true;
  }
  if (!closes && !AsksForTheEnd(connection))
    MHD_add_response_header(response, MHD_HTTP_HEADER_KEEP_ALIVE, keep_alive_.c_str());
  MhdClient::Of(connection).Enter(MhdClient::Turn::kAnswer);
  const MHD_Result queued = MHD_queue_response(connection, answer.status, response);
  MHD_destroy_response(response);
  return queued;
}

void MhdDaemon::NameThread() const {
  thread_local const MhdDaemon* named_by = nullptr;
  if (named_by == this) return;
  named_by = this;
  pthread_setname_np(pthread_self(), thread_name_.c_str());
}

// The one callback on the listening thread.
MHD_Result MhdDaemon::OnAccept(void* self, const sockaddr*, socklen_t) {
  static_cast<MhdDaemon*>(self)->NameThread();
  return MHD_YES;
}

}  // namespace outboxd
