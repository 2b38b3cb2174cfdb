#include "daemon/intake/reply_queue.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>

#include "core/json.h"
#include "core/names.h"
#include "core/refusal.h"
#include "core/ulid.h"

namespace outboxd {
namespace {

constexpr std::size_t kBytesKept = 16UL * 1024;  // of memory, once everything is sent

}  // namespace

void ReplyQueue::AddRef(Ref ref) {
  if (ref) text_.append(",\"ref\":").append(JsonWriter().String(*ref).Text());
}

void ReplyQueue::AddOk(const Ulid& job, Ref ref) {
  const auto id = job.ToChars();
  text_.append(R"({"ok":true,"job":")").append(id.data(), id.size()).append(1, '"');
  AddRef(ref);
  text_ += "}\n";
}

void ReplyQueue::AddRefusal(Refusal refusal, std::string_view field, std::string_view message, Ref ref) {
  metrics_.Refused(refusal, 1);
  JsonWriter error;
  error.Object().Key("code").String(NameOf(refusal));
  if (!field.empty()) error.Key("field").String(field);
  error.Key("message").String(message).EndObject();
  text_.append(R"({"ok":false,"error":)").append(error.Text());
  AddRef(ref);
  text_ += "}\n";
}

ReplyQueue::Sent ReplyQueue::Send(int socket) {
  while (!text_.empty()) {
    const ssize_t sent = send(socket, text_.data(), text_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN ? Sent::kFull : Sent::kBroken;
    text_.erase(0, static_cast<std::size_t>(sent));
  }
  if (text_.capacity() > kBytesKept) text_ = std::string();
  return Sent::kAll;
}

}  // namespace outboxd
