// tests/support/shelf.h — a DescriptorStore whose contents a test sees and passes on to the next process.
#pragma once

#include <fcntl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/owned_fd.h"
#include "daemon/base/descriptor_store.h"
#include "daemon/base/service_manager.h"

namespace outboxd::test {

class Shelf {
 public:
  // Outlived by the shelf.
  std::unique_ptr<DescriptorStore> Store() { return std::make_unique<Door>(*this); }
  // Copies of all, as a new process gets them.
  std::vector<PassedDescriptor> Passed() const {
    std::vector<PassedDescriptor> passed;
    for (const PassedDescriptor& one : kept_) passed.push_back({one.name, Copy(one.descriptor.get())});
    return passed;
  }
  std::size_t Count(const std::string& name) const {
    std::size_t count = 0;
    for (const PassedDescriptor& one : kept_) count += one.name == name ? 1U : 0U;
    return count;
  }
  std::size_t size() const { return kept_.size(); }
  std::size_t puts() const { return puts_; }
  void Put(const std::string& name, int descriptor) {
    ++puts_;
    kept_.push_back({name, Copy(descriptor)});
  }

 private:
  class Door final : public DescriptorStore {
   public:
    explicit Door(Shelf& shelf) : shelf_(shelf) {}
    void Put(const std::string& name, int descriptor) override { shelf_.Put(name, descriptor); }
    void Remove(const std::string& name) override {
      std::erase_if(shelf_.kept_, [&](const PassedDescriptor& one) { return one.name == name; });
    }
    void Settle() override {}

   private:
    Shelf& shelf_;
  };
  static OwnedFd Copy(int descriptor) { return OwnedFd(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)); }

  std::vector<PassedDescriptor> kept_;
  std::size_t puts_ = 0;
};

}  // namespace outboxd::test
