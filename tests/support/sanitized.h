// tests/support/sanitized.h — whether this build checks itself, which makes it several times slower.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OUTBOXD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OUTBOXD_SANITIZED 1
#endif
#endif

namespace outboxd {

// Sanitized programs are several times slower, and their memory says nothing.
#ifdef OUTBOXD_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace outboxd
