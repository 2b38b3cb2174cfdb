#include "config/acting_as.h"

#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "config/system_user.h"

namespace outboxd {

ActingAs::ActingAs(std::uint32_t user) {
  if (::geteuid() != 0 || user == 0) return;
  const int count = ::getgroups(0, nullptr);
  if (count < 0) return;
  groups_.resize(static_cast<std::size_t>(count));
  if (::getgroups(count, groups_.data()) < 0) return;
  group_ = ::getegid();
  const gid_t group = UserGroup(user);
  is_other_ = true;
  if (::setgroups(1, &group) == 0 && ::setegid(group) == 0 && ::seteuid(user) == 0) return;
  End();
  is_other_ = false;
}

ActingAs::~ActingAs() {
  if (is_other_) End();
}

void ActingAs::End() const {
  const bool is_back = ::seteuid(0) == 0 && ::setegid(group_) == 0;
  if (!is_back) std::abort();  // we never gave it up for good
  // Without the right to it they were not changed either.
  static_cast<void>(::setgroups(groups_.size(), groups_.data()));
}

}  // namespace outboxd
