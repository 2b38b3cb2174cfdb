// daemon/service.h — the daemon at work: starts the assembly, looks after it once a second, and stops it in
// order.
//
// Start: the outbox is opened and loaded, then come the clerk, the workers, the sockets of the producers, the
// admin sockets, and last the dispatcher, with which sending begins.
//
// Stop:
//  1. operators' work ends after the step it is at, nobody waits for a probe any longer;
//  2. nothing more leaves, and what is in flight gets `drain_timeout`; jobs are accepted as ever, and answers
//     of the Track-compatible endpoint end their connections;
//  3. producers: nothing new is read, what was read is answered, and their connections go to the next process
//     where somebody keeps them;
//  4. the admin sockets are closed;
//  5. workers: what is still under way is aborted, and sent again at the next start;
//  6. dispatcher, then clerk: nothing that was accepted or answered is left unwritten.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "config/config.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/intake/inherited.h"

namespace outboxd {

struct Assembly;

// The main thread's.
class Service {
 public:
  // Serves when it returns. Signals the service reacts to must be blocked in every thread before (see
  // main.cc).
  static Result<Service> Start(Config config, Inherited inherited = {});
  Service(Service&&) noexcept;
  ~Service();  // as Stop()

  // About once a second.
  void Tick(Timestamp now);
  // One line for the service manager: "accepting jobs; 12 wait, 3 dead letters".
  std::string Summary() const;
  // Why the daemon has to end by itself, if it has.
  std::optional<std::string> FatalReason() const;
  void Reload();  // a config that is refused is logged
  void Stop();

 private:
  explicit Service(std::unique_ptr<Assembly> assembly);
  static void Drain(Assembly& all);
  static void TickOf(Assembly& all, Timestamp now);

  std::unique_ptr<Assembly> assembly_;  // null after Stop()
};

}  // namespace outboxd
