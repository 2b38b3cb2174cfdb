// tests/support/many_descriptors.h — room for a crowd of connections.
#pragma once

#include <sys/resource.h>

#include <algorithm>

namespace outboxd::testing {

// From now on this process may have so many descriptors; false: the system does not let it.
inline bool MayOpenDescriptors(rlim_t count) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= count) return true;
  limit.rlim_cur = count;
  limit.rlim_max = std::max(limit.rlim_max, count);
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

}  // namespace outboxd::testing
