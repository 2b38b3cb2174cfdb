#include "daemon/delivery/sending_budget.h"

#include <algorithm>
#include <vector>

#include "core/check.h"

namespace outboxd {

SendingShare::~SendingShare() {
  budget_->total_ -= bytes_;
  std::erase(budget_->shares_, this);
}

bool SendingShare::AskForHeavy() {
  asked_ = budget_->round_;
  if (budget_->is_heavy_out_) return false;
  return std::none_of(budget_->shares_.begin(), budget_->shares_.end(), [this](const SendingShare* other) {
    return other->asked_ + 1 >= budget_->round_ && other->heavy_turn_ < heavy_turn_;
  });
}

void SendingShare::TakeHeavy() {
  CHECK(!budget_->is_heavy_out_);
  budget_->is_heavy_out_ = true;
  heavy_turn_ = ++budget_->heavy_turns_;
  asked_ = 0;
}

}  // namespace outboxd
