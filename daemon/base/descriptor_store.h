// daemon/base/descriptor_store.h — descriptors that somebody keeps for the daemon while it restarts.
#pragma once

#include <string>

namespace outboxd {

// One thread at a time.
class DescriptorStore {
 public:
  virtual ~DescriptorStore() = default;
  // Keeps a copy under that name, for the next process of this service.
  virtual void Put(const std::string& name, int descriptor) = 0;
  // Closes all copies of that name.
  virtual void Remove(const std::string& name) = 0;
  // Returns when everything asked for so far is done.
  virtual void Settle() = 0;
};

}  // namespace outboxd
