#include "tests/track_sim/script.h"

#include <algorithm>

namespace outboxd::sim {
namespace {

// Each Take reads one member into its place; false when the value has another type.
bool Take(const Node& value, std::optional<std::string>& out) {
  if (value.IsString()) out = std::string(value.Text());
  return value.IsString();
}

bool Take(const Node& value, std::optional<double>& out) {
  if (value.IsNumber()) out = value.Number();
  return value.IsNumber();
}

bool Take(const Node& value, std::optional<std::int64_t>& out) {
  out = value.Integer();
  return out.has_value();
}

// An HTTP status.
bool Take(const Node& value, std::optional<int>& out) {
  const std::int64_t status = value.Integer().value_or(0);
  out = static_cast<int>(status);
  return status >= 200 && status <= 999;
}

bool Take(const Node& value, bool& out) {
  out = value.Bool();
  return value.IsBool();
}

bool Take(const Node& value, std::chrono::milliseconds& out) {
  out = std::chrono::milliseconds(value.Integer().value_or(-1));
  return out.count() >= 0;
}

bool Take(const Node& value, std::vector<std::size_t>& out) {
  if (!value.IsArray()) return false;
  for (const Node& item : value) {
    if (item.Integer().value_or(-1) < 0) return false;
    out.push_back(static_cast<std::size_t>(*item.Integer()));
  }
  return true;
}

bool TakeEffect(const Node& value, std::optional<bool>& out) {
  out = value.Bool();
  return value.IsBool();
}

}  // namespace

std::string Script::ReadMatch(const Node& match, Rule& rule) {
  for (const Node& member : match) {
    const std::string_view name = member.Name();
    const bool good = name == "path_prefix"   ? Take(member, rule.path_prefix)
                      : name == "customer"    ? Take(member, rule.customer)
                      : name == "method"      ? Take(member, rule.method)
                      : name == "event"       ? Take(member, rule.event)
                      : name == "probability" ? Take(member, rule.probability)
                      : name == "count"       ? Take(member, rule.count)
                                              : false;
    if (!good) return "match: unknown member or wrong type: " + std::string(name);
  }
  return {};
}

std::string Script::ReadAction(const Node& node, Action& action) {
  bool reset_after_effect = false;
  for (const Node& member : node) {
    const std::string_view name = member.Name();
    const bool good = name == "status"               ? Take(member, action.status)
                      : name == "retry_after"        ? Take(member, action.retry_after)
                      : name == "location"           ? Take(member, action.location)
                      : name == "body"               ? Take(member, action.body)
                      : name == "effect"             ? TakeEffect(member, action.effect)
                      : name == "delay_ms"           ? Take(member, action.delay)
                      : name == "jitter_ms"          ? Take(member, action.jitter)
                      : name == "reset"              ? Take(member, action.reset)
                      : name == "reset_after_effect" ? Take(member, reset_after_effect)
                      : name == "half_answer"        ? Take(member, action.half_answer)
                      : name == "never_answer"       ? Take(member, action.never_answer)
                      : name == "batch_errors"       ? Take(member, action.batch_errors)
                                                     : false;
    if (!good) return "action: unknown member, wrong type or out of range: " + std::string(name);
  }
  if (reset_after_effect) {
    action.reset = true;
    action.effect = true;
  }
  return {};
}

std::string Script::Load(std::string_view json) {
  BodyReader reader;
  if (std::string error = reader.Read(json); !error.empty()) return error;
  const Node* list = Find(reader.Root(), "rules");
  if (list == nullptr || !list->IsArray()) return "rules must be an array";
  std::vector<Rule> rules;
  for (const Node& node : *list) {
    Rule& rule = rules.emplace_back();
    if (!node.IsObject()) return "a rule must be an object";
    for (const Node& member : node) {
      const std::string_view name = member.Name();
      const bool known = (name == "match" || name == "action") && member.IsObject();
      if (!known) return "a rule has objects match and action, not: " + std::string(name);
      std::string error = name == "match" ? ReadMatch(member, rule) : ReadAction(member, rule.action);
      if (!error.empty()) return error;
    }
  }
  rules_ = std::move(rules);
  return {};
}

bool Script::Matches(const Rule& rule, const SimRequest& request, const Judged& judged) {
  if (rule.count && *rule.count <= 0) return false;
  if (rule.path_prefix && !request.target.starts_with(*rule.path_prefix)) return false;
  if (rule.method && request.method != *rule.method) return false;
  if (rule.customer &&
      std::find(judged.customers.begin(), judged.customers.end(), *rule.customer) == judged.customers.end())
    return false;
  if (rule.event) {
    const auto has_name = [&rule](const Effect& effect) { return effect.name == *rule.event; };
    if (std::none_of(judged.effects.begin(), judged.effects.end(), has_name)) return false;
  }
  return !rule.probability || std::uniform_real_distribution<double>(0, 1)(random_) < *rule.probability;
}

std::optional<Action> Script::Next(const SimRequest& request, const Judged& judged) {
  for (Rule& rule : rules_) {
    if (!Matches(rule, request, judged)) continue;
    if (rule.count) --*rule.count;
    return rule.action;
  }
  return std::nullopt;
}

std::chrono::milliseconds Script::DelayOf(const Action& action) {
  if (action.jitter.count() == 0) return action.delay;
  return action.delay + std::chrono::milliseconds(
                            std::uniform_int_distribution<std::int64_t>(0, action.jitter.count())(random_));
}

}  // namespace outboxd::sim
