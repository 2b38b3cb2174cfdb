// Hands one event to outboxd for each number on standard input: producer [SOCKET [CUSTOMER]]
//
// Prints each number that was accepted with the id of its job. Exit status: 0 all were accepted, 1 some were
// refused for good, 75 outboxd took nothing for OUTBOXD_PATIENCE seconds.
// Built by: g++ -std=c++20 producer.cc -o producer, with rapidjson-dev for the replies.
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// outboxd will never take this job.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// outboxd took nothing for too long.
struct Unavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Seconds FromEnvironment(const char* variable, double otherwise) {
  const char* given = std::getenv(variable);
  return Seconds(given == nullptr ? otherwise : std::strtod(given, nullptr));
}

std::mt19937_64& Random() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random;
}

// A connection to outboxd, opened when it is needed. Belongs to one thread.
class Outbox {
 public:
  explicit Outbox(std::string path) : path_(std::move(path)) {}
  ~Outbox() { Close(); }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // Returns the job's id once the job, one JSON object, is on stable storage.
  std::string Send(const std::string& job) {
    const auto deadline = Clock::now() + patience_;
    for (Seconds wait(0.1);; wait = std::min(2 * wait, Seconds(5))) {
      std::string trouble;
      try {
        const rapidjson::Document reply = Ask(job + "\n");
        if (reply["ok"].GetBool()) return reply["job"].GetString();
        const std::string code = reply["error"]["code"].GetString();
        trouble = code + ": " + reply["error"]["message"].GetString();
        if (code != "busy" && code != "spool_full" && code != "internal") throw Refused(trouble);
      } catch (const std::system_error& error) {
        Close();  // a reply that comes late must not be taken for the next one
        trouble = error.what();
      }
      if (Clock::now() + wait > deadline) throw Unavailable(trouble);
      std::cerr << trouble << "; trying again" << std::endl;
      std::this_thread::sleep_for(wait * std::uniform_real_distribution<>(0.5, 1)(Random()));
    }
  }

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  [[noreturn]] static void Fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
  }

  rapidjson::Document Ask(std::string_view line) {
    if (fd_ < 0) Connect();
    while (!line.empty()) {  // send may take a part
      const ssize_t count = send(fd_, line.data(), line.size(), MSG_NOSIGNAL);
      if (count < 0) Fail("send");
      line.remove_prefix(static_cast<std::size_t>(count));
    }
    std::string text;
    while (!text.ends_with('\n')) {
      std::array<char, 4096> part{};
      const ssize_t count = recv(fd_, part.data(), part.size(), 0);
      if (count == 0) errno = ECONNRESET;
      if (count <= 0) Fail("recv");
      text.append(part.data(), static_cast<std::size_t>(count));
    }
    rapidjson::Document reply;
    reply.Parse(text.c_str());
    return reply;
  }

  void Connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) throw std::invalid_argument("the socket's path is too long");
    path_.copy(address.sun_path, path_.size());
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0) Fail("socket");
    const double timeout = reply_timeout_.count();
    timeval limit{};
    limit.tv_sec = static_cast<time_t>(timeout);
    limit.tv_usec = static_cast<suseconds_t>(1e6 * std::fmod(timeout, 1));
    for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
      if (setsockopt(fd_, SOL_SOCKET, option, &limit, sizeof limit) != 0) Fail("setsockopt");
    }
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) Fail("connect");
  }

  const Seconds reply_timeout_ = FromEnvironment("OUTBOXD_REPLY_TIMEOUT", 30);
  const Seconds patience_ = FromEnvironment("OUTBOXD_PATIENCE", 600);
  std::string path_;
  int fd_ = -1;
};

// 48 bits of milliseconds and 80 random ones: made once for each event, whatever happens to it.
std::string MakeUlid() {
  constexpr std::string_view kBase32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  std::string text;
  for (int shift = 45; shift >= 0; shift -= 5) text += kBase32[static_cast<std::size_t>(ms >> shift & 31)];
  while (text.size() < 26) text += kBase32[Random()() & 31];
  return text;
}

std::string MakeEvent(const std::string& customer, std::int64_t number) {
  rapidjson::StringBuffer text;
  rapidjson::Writer<rapidjson::StringBuffer> writer(text);
  writer.StartObject();
  writer.Key("type"), writer.String("track");
  writer.Key("id"), writer.String(customer.c_str());
  writer.Key("name"), writer.String("step");
  writer.Key("data"), writer.StartObject(), writer.Key("n"), writer.Int64(number), writer.EndObject();
  writer.Key("event_id"), writer.String(MakeUlid().c_str());
  writer.Key("timestamp"), writer.Int64(std::time(nullptr));
  writer.EndObject();
  return text.GetString();
}

}  // namespace

int main(int argc, char** argv) {
  Outbox outbox(argc > 1 ? argv[1] : "/run/outboxd/outboxd.sock");
  const std::string customer = argc > 2 ? argv[2] : "42";
  int status = 0;
  for (std::int64_t number = 0; std::cin >> number;) {
    try {
      const std::string job = outbox.Send(MakeEvent(customer, number));
      std::cout << number << ' ' << job << std::endl;
    } catch (const Refused& refusal) {
      std::cerr << number << ": " << refusal.what() << std::endl;
      status = 1;
    } catch (const Unavailable& trouble) {
      std::cerr << number << ": " << trouble.what() << std::endl;
      return 75;
    }
  }
  return status;
}
