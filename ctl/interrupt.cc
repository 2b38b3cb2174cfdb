#include "ctl/interrupt.h"

#include <signal.h>

#include <atomic>

namespace outboxd {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void OnSignal(int) {
  interrupted = true;
}

}  // namespace

void CatchInterrupts() {
  struct sigaction action{};
  action.sa_handler = OnSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // no SA_RESTART: a waiting poll or read must end
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool Interrupted() {
  return interrupted;
}
void SetInterrupted(bool value) {
  interrupted = value;
}

}  // namespace outboxd
