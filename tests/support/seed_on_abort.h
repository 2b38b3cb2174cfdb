// tests/support/seed_on_abort.h — while one lives, an abort (a CHECK of the product's) names the seed that
// led to it.
//
// doctest prints what INFO and CAPTURE hold when an assertion fails, but not when the process aborts.
// At most one at a time.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>

namespace outboxd::test {

class SeedOnAbort {
 public:
  // Writes "NAME=SEED" to stderr, then goes on to whoever handled SIGABRT before.
  SeedOnAbort(const char* name, std::uint64_t seed) {
    std::snprintf(text_.data(), text_.size(), "%s=%llu\n", name, static_cast<unsigned long long>(seed));
    struct sigaction action{};
    action.sa_handler = OnAbort;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGABRT, &action, &before_);
  }
  ~SeedOnAbort() { sigaction(SIGABRT, &before_, nullptr); }
  SeedOnAbort(const SeedOnAbort&) = delete;
  SeedOnAbort& operator=(const SeedOnAbort&) = delete;

 private:
  static void OnAbort(int signal_number) {
    std::size_t length = 0;
    while (text_[length] != '\0') ++length;
    static_cast<void>(!write(STDERR_FILENO, text_.data(), length));
    sigaction(SIGABRT, &before_, nullptr);
    raise(signal_number);
  }

  static inline std::array<char, 80> text_{};
  static inline struct sigaction before_{};
};

}  // namespace outboxd::test
