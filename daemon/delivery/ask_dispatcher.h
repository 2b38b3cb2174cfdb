// daemon/delivery/ask_dispatcher.h — a question to the dispatcher's thread, and its answer.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "core/result.h"
#include "core/time.h"
#include "daemon/base/stopping.h"
#include "daemon/delivery/dispatcher.h"
#include "daemon/delivery/dispatcher_thread.h"

namespace outboxd {

inline constexpr Milliseconds kDispatcherPatience{10'000};

// Runs `question` on the dispatcher's thread and waits for what it returns. Any thread but the dispatcher's.
// Errors: kBusy. Either the dispatcher has stopped, or it did not begin with the question within `patience`:
// then it never will, so that nothing takes effect behind an error. Once it has begun, its answer is awaited.
template <typename T>
Result<T> AskDispatcher(DispatcherThread& dispatcher, std::function<T(Dispatcher&, Timestamp now)> question,
                        Milliseconds patience = kDispatcherPatience) {
  struct Asked {
    std::atomic<bool> taken{
        false};  // by whoever is first: the dispatcher that begins, or the asker that gives up
    std::promise<T> promise;
  };
  auto asked = std::make_shared<Asked>();
  std::future<T> answer = asked->promise.get_future();
  const bool posted =
      dispatcher.Post([asked, question = std::move(question)](Dispatcher& logic, Timestamp now) {
        if (!asked->taken.exchange(true)) asked->promise.set_value(question(logic, now));
      });
  if (!posted) return Failure(StoppingError());
  if (answer.wait_for(patience) != std::future_status::ready && !asked->taken.exchange(true)) {
    return Fail(ErrorKind::kBusy, "outboxd is busy: nothing was done within " +
                                      std::to_string(patience.count()) + " ms; try again later");
  }
  return Result<T>(tl::in_place, answer.get());
}

}  // namespace outboxd
