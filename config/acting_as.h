// config/acting_as.h — root does what a user could do by themselves as that user, so that nothing in their
// directories can lead it astray.
//
// For the whole process: only while no other thread opens files. Without the right to change the user nothing
// changes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace outboxd {

class ActingAs {
 public:
  // As root, and `user` is another one: files that are opened or made until the end of this object's life
  // are so by `user`, with the groups of theirs. Otherwise nothing.
  explicit ActingAs(std::uint32_t user);
  ~ActingAs();
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  void End() const;

  bool is_other_ = false;
  gid_t group_ = 0;
  std::vector<gid_t> groups_;
};

}  // namespace outboxd
