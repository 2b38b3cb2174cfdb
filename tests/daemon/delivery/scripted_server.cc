#include "tests/daemon/delivery/scripted_server.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <set>
#include <utility>

#include "config/loopback_certificate.h"
#include "tests/support/temp_dir.h"

namespace outboxd::testing {
namespace {

enum Frame : std::uint8_t {
  kData,
  kHeaders,
  kPriority,
  kRstStream,
  kSettings,
  kPushPromise,
  kPing,
  kGoAway,
  kWindowUpdate
};
constexpr std::uint8_t kEndStream = 1;  // also: acknowledges
constexpr std::uint8_t kEndHeaders = 4;
constexpr std::uint32_t kRefusedStream = 7;
constexpr std::size_t kFrameHead = 9;
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kTrickledBytes = 1000;

std::string Number32(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::uint32_t Read32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// HPACK: ":status" as a literal that is not indexed.
std::string StatusBlock(int status) {
  return std::string("\x08\x03", 2) + std::to_string(status);
}

struct Certificate {
  Certificate() : files(folder.Path() / "tls") {
    if (!MakeLoopbackCertificate(folder.Path() / "tls", std::chrono::time_point_cast<Milliseconds>(
                                                            std::chrono::system_clock::now())))
      std::abort();
    gnutls_certificate_allocate_credentials(&credentials);
    if (gnutls_certificate_set_x509_key_file(credentials, files.certificate.c_str(), files.key.c_str(),
                                             GNUTLS_X509_FMT_PEM) < 0)
      std::abort();
  }
  ~Certificate() { gnutls_certificate_free_credentials(credentials); }

  TempDir folder;
  LoopbackFiles files;
  gnutls_certificate_credentials_t credentials = nullptr;
};

const Certificate& TheCertificate() {
  static const Certificate certificate;
  return certificate;
}

int Listen(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;  // beside the connections of a server that listened here before
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd, 1024) != 0)
    std::abort();
  return fd;
}

std::uint16_t PortOf(int listener) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

}  // namespace

Line::Line(int fd, Http http, std::size_t number) : fd_(fd), http_(http), number_(number) {}

Line::~Line() {
  if (session_ != nullptr) gnutls_deinit(session_);
  close(fd_);
}

bool Line::Handshake() {
  gnutls_init(&session_, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
  gnutls_set_default_priority(session_);
  gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, TheCertificate().credentials);
  std::string name = http_ == Http::kTwo ? "h2" : "http/1.1";
  const gnutls_datum_t protocol{reinterpret_cast<unsigned char*>(name.data()),
                                static_cast<unsigned>(name.size())};
  gnutls_alpn_set_protocols(session_, &protocol, 1, 0);
  gnutls_transport_set_int(session_, fd_);
  int code = 0;
  do code = gnutls_handshake(session_);
  while (code < 0 && gnutls_error_is_fatal(code) == 0);
  return code == 0;
}

void Line::Shutdown() {
  shutdown(fd_, SHUT_RDWR);
}

std::string Line::Read() {
  std::array<char, 16384> bytes;
  ssize_t count = 0;
  do count = gnutls_record_recv(session_, bytes.data(), bytes.size());
  while (count == GNUTLS_E_AGAIN || count == GNUTLS_E_INTERRUPTED);
  return count > 0 ? std::string(bytes.data(), static_cast<std::size_t>(count)) : std::string();
}

void Line::Write(std::string_view bytes) {
  if (is_frozen_) return;
  const std::lock_guard lock(writing_);
  while (!bytes.empty()) {
    const ssize_t sent = gnutls_record_send(session_, bytes.data(), bytes.size());
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Line::WriteFrame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  std::string frame = Number32(static_cast<std::uint32_t>(payload.size())).substr(1);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  Write(frame + Number32(stream) + std::string(payload));
}

void Line::Answer(const Call& call, int status, std::string_view body) {
  if (http_ == Http::kOne) {
    Write("HTTP/1.1 " + std::to_string(status) +
          " Whatever\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
    return;
  }
  --unanswered_;
  WriteFrame(kHeaders, kEndHeaders, call.stream, StatusBlock(status));
  WriteFrame(kData, kEndStream, call.stream, body);
}

void Line::BeginAnswer(const Call& call) {
  if (http_ == Http::kOne) {
    Write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kTrickledBytes) + "\r\n\r\n");
  } else {
    WriteFrame(kHeaders, kEndHeaders, call.stream, StatusBlock(200));
  }
}

void Line::Trickle(const Call& call) {
  if (http_ == Http::kOne) {
    Write("x");
  } else {
    WriteFrame(kData, 0, call.stream, "x");
  }
}

void Line::AnswerLast(const Call& call) {
  if (http_ == Http::kOne) {
    Write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
  } else {
    Answer(call);
    GoAway(call.stream);
  }
}

void Line::GoAway(std::uint32_t last_stream) {
  last_stream_ = last_stream;
  WriteFrame(kGoAway, 0, 0, Number32(last_stream) + Number32(0));
}

void Line::Refuse(const Call& call) {
  --unanswered_;
  WriteFrame(kRstStream, 0, call.stream, Number32(kRefusedStream));
}

void Line::Ping() {
  WriteFrame(kPing, 0, 0, "12345678");
}

void Line::Close() {
  {
    const std::lock_guard lock(writing_);
    gnutls_bye(session_, GNUTLS_SHUT_WR);
  }
  Shutdown();
}

void Line::HalfClose() {
  const std::lock_guard lock(writing_);
  gnutls_bye(session_, GNUTLS_SHUT_WR);
  shutdown(fd_, SHUT_WR);
}

void Line::Reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  // Ends the connection at once by RST, while the descriptor stays that of this line.
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  connect(fd_, &nobody, sizeof nobody);
}

// From now on the socket gets nothing.
bool DropAll(int socket) {
  sock_filter drop{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
  const sock_fprog program{.len = 1, .filter = &drop};
  return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

void Line::Vanish() {
  is_frozen_ = true;
  if (!DropAll(fd_)) std::abort();
}

ScriptedServer::ScriptedServer(Http http, Script script, std::uint32_t streams_max, std::uint16_t port)
    : http_(http),
      script_(std::move(script)),
      streams_max_(streams_max),
      listener_(Listen(port)),
      port_(PortOf(listener_)) {
  TheCertificate();
  acceptor_ = std::thread([this] { Accept(); });
}

ScriptedServer::~ScriptedServer() {
  StopListening();
  is_stopping_ = true;
  is_stopping_.notify_all();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& line : lines_) line->Shutdown();
  }
  for (std::thread& thread : threads_) thread.join();
}

void ScriptedServer::StopListening() {
  if (!acceptor_.joinable()) return;
  is_deaf_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
}

std::filesystem::path ScriptedServer::Authority() {
  return TheCertificate().files.authority;
}

std::map<std::string, int> ScriptedServer::Arrived() const {
  const std::lock_guard lock(mutex_);
  return arrived_;
}

void ScriptedServer::FreezeAll() {
  const std::lock_guard lock(mutex_);
  for (const auto& line : lines_) line->Freeze();
}

bool ScriptedServer::CanVanish() const {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool can = DropAll(probe);
  close(probe);
  return can;
}

void ScriptedServer::VanishAll() {
  const std::lock_guard lock(mutex_);
  for (const auto& line : lines_) line->Vanish();
}

// Those who serve inherit what it blocks: a peer that has gone away is an error and nothing more.
void ScriptedServer::Accept() {
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  while (!is_deaf_) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::make_unique<Line>(fd, http_, ++connections_));
    threads_.emplace_back([this, &line = *lines_.back()] { Serve(line); });
  }
}

void ScriptedServer::Serve(Line& line) {
  ++open_;
  if (line.Handshake()) {
    if (http_ == Http::kOne) {
      ServeOne(line);
    } else {
      ServeTwo(line);
    }
  }
  if (line.is_frozen_) is_stopping_.wait(false);
  line.Shutdown();
  --open_;
}

void ScriptedServer::OnCall(Line& line, const Call& call) {
  if (line.is_frozen_) return;
  {
    const std::lock_guard lock(mutex_);
    ++arrived_[call.body];
  }
  ++line.calls_;
  script_(line, call);
}

void ScriptedServer::ServeOne(Line& line) {
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  std::string buffer;
  while (!line.is_frozen_) {
    const std::size_t end = buffer.find("\r\n\r\n");
    const std::size_t at = buffer.find(kLength);
    const std::size_t length = at < end ? std::strtoul(buffer.c_str() + at + kLength.size(), nullptr, 10) : 0;
    if (end != std::string::npos && buffer.size() >= end + 4 + length) {
      const Call call{.stream = 0, .body = buffer.substr(end + 4, length)};
      buffer.erase(0, end + 4 + length);
      OnCall(line, call);
      continue;
    }
    const std::string bytes = line.Read();
    if (bytes.empty()) return;
    buffer += bytes;
  }
}

void ScriptedServer::ServeTwo(Line& line) {
  line.WriteFrame(kSettings, 0, 0, std::string("\0\3", 2) + Number32(streams_max_));
  std::string buffer;
  std::map<std::uint32_t, std::string> bodies;
  std::set<std::uint32_t> refused;
  bool had_preface = false;
  while (!line.is_frozen_) {
    if (!had_preface && buffer.size() >= kPreface.size()) {
      buffer.erase(0, kPreface.size());
      had_preface = true;
    }
    const std::size_t length =
        buffer.size() < kFrameHead ? 0 : Read32(std::string(1, '\0') + buffer.substr(0, 3));
    if (!had_preface || buffer.size() < kFrameHead + length) {
      const std::string bytes = line.Read();
      if (bytes.empty()) return;
      buffer += bytes;
      continue;
    }
    const auto type = static_cast<std::uint8_t>(buffer[3]);
    const auto flags = static_cast<std::uint8_t>(buffer[4]);
    const std::uint32_t stream = Read32(buffer.substr(5, 4));
    const std::string payload = buffer.substr(kFrameHead, length);
    buffer.erase(0, kFrameHead + length);
    if (type == kSettings && flags == 0) line.WriteFrame(kSettings, kEndStream, 0, {});
    if (type == kPing && flags == 0) line.WriteFrame(kPing, kEndStream, 0, payload);
    if (type == kData && length != 0)
      line.WriteFrame(kWindowUpdate, 0, 0, Number32(static_cast<std::uint32_t>(length)));
    if (type == kHeaders && line.unanswered_ >= streams_max_) {
      line.WriteFrame(kRstStream, 0, stream, Number32(kRefusedStream));
      refused.insert(stream);
    } else if (type == kHeaders) {
      ++line.unanswered_;
    }
    if (refused.contains(stream)) continue;
    if (type == kData) bodies[stream] += payload;
    if ((type == kData || type == kHeaders) && (flags & kEndStream) != 0)
      OnCall(line, {.stream = stream, .body = std::exchange(bodies[stream], {})});
  }
}

}  // namespace outboxd::testing
