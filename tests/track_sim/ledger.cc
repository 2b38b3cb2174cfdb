#include "tests/track_sim/ledger.h"

#include <algorithm>

namespace outboxd::sim {
namespace {

bool IsEvent(const Effect& effect) {
  return effect.type == "track" || effect.type == "pageview" || effect.type == "screen";
}

std::string UpperCase(std::string text) {
  for (char& character : text) {
    if (character >= 'a' && character <= 'z') character = static_cast<char>(character - 'a' + 'A');
  }
  return text;
}

}  // namespace

void Ledger::CheckNumber(const Effect& effect, Customer& customer) {
  if (!effect.n) return;
  if (remember_ == Remember::kEverything && IsEvent(effect)) {
    std::string key = effect.customers.front() + '\0' + effect.name + '\0' + std::to_string(*effect.n);
    if (!numbered_.insert(std::move(key)).second) ++counts_.doubled;
  }
  const bool may_repeat = effect.type == "identify";
  if (customer.highest_n &&
      (*effect.n < *customer.highest_n || (*effect.n == *customer.highest_n && !may_repeat)))
    ++counts_.order_violations;
  customer.highest_n = std::max(customer.highest_n.value_or(*effect.n), *effect.n);
}

bool Ledger::Apply(Effect effect, std::int64_t at_ms) {
  if (IsEvent(effect) && effect.event_id.empty()) ++counts_.events_without_id;
  if (remember_ == Remember::kEverything && !effect.event_id.empty() &&
      !event_ids_.insert(UpperCase(effect.event_id)).second) {
    ++counts_.repeated_ulids;
    return false;
  }
  ++counts_.effects;
  for (std::size_t i = 0; i < effect.customers.size(); ++i) {
    Customer& customer = customers_[effect.customers[i]];
    if (i == 0) CheckNumber(effect, customer);
    if (remember_ == Remember::kEverything) customer.positions.push_back(effects_.size());
  }
  if (remember_ == Remember::kEverything) {
    effects_.push_back({effect.type, std::move(effect.customers), std::move(effect.name),
                        std::move(effect.event_id), effect.n, effect.payload_hash, at_ms});
  }
  return true;
}

void Ledger::Forget() {
  counts_ = {};
  effects_.clear();
  customers_.clear();
  event_ids_.clear();
  numbered_.clear();
}

std::vector<std::size_t> Ledger::PositionsOf(const std::string& customer) const {
  const auto found = customers_.find(customer);
  return found == customers_.end() ? std::vector<std::size_t>() : found->second.positions;
}

}  // namespace outboxd::sim
