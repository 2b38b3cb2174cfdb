// daemon/admin/inspection_pool.h — read-only views of the outbox, one for each request at a time; idle ones
// stay open for the next.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "core/result.h"
#include "daemon/base/mutex.h"
#include "storage/inspection.h"

namespace outboxd {

class InspectionPool {
 public:
  explicit InspectionPool(std::filesystem::path file) : file_(std::move(file)) {}
  InspectionPool(const InspectionPool&) = delete;
  InspectionPool& operator=(const InspectionPool&) = delete;

  Result<std::unique_ptr<Inspection>> Take() EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Inspection> inspection = std::move(idle_.back());
        idle_.pop_back();
        return inspection;
      }
    }
    ASSIGN_OR_RETURN(Inspection opened, Inspection::Open(file_));
    return std::make_unique<Inspection>(std::move(opened));
  }

  void GiveBack(std::unique_ptr<Inspection> inspection) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (idle_.size() < kIdleMax) idle_.push_back(std::move(inspection));
  }

 private:
  static constexpr std::size_t kIdleMax = 4;
  const std::filesystem::path file_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Inspection>> idle_ GUARDED_BY(mutex_);
};

}  // namespace outboxd
