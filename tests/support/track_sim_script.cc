#include "tests/support/track_sim_script.h"

#include <algorithm>

namespace outboxd::sim {
namespace {

// Each Take reads one member into its place; false when the value has another type.
bool Take(const Node& value, std::optional<std::string>& out) {
  if (value.IsString()) out = std::string(Text(value));
  return value.IsString();
}

bool Take(const Node& value, std::optional<double>& out) {
  if (value.IsNumber()) out = value.GetDouble();
  return value.IsNumber();
}

bool Take(const Node& value, std::optional<std::int64_t>& out) {
  if (value.IsInt64()) out = value.GetInt64();
  return value.IsInt64();
}

bool Take(const Node& value, std::optional<int>& out) {
  if (value.IsInt()) out = value.GetInt();
  return value.IsInt() && *out >= 200 && *out <= 999;
}

bool Take(const Node& value, bool& out) {
  if (value.IsBool()) out = value.GetBool();
  return value.IsBool();
}

bool Take(const Node& value, std::chrono::milliseconds& out) {
  if (!value.IsInt64() || value.GetInt64() < 0) return false;
  out = std::chrono::milliseconds(value.GetInt64());
  return true;
}

bool Take(const Node& value, std::vector<std::size_t>& out) {
  if (!value.IsArray()) return false;
  for (const Node& item : value.GetArray()) {
    if (!item.IsUint64()) return false;
    out.push_back(item.GetUint64());
  }
  return true;
}

bool TakeEffect(const Node& value, std::optional<bool>& out) {
  if (value.IsBool()) out = value.GetBool();
  return value.IsBool();
}

}  // namespace

std::string Script::ReadMatch(const Node& match, Rule& rule) {
  for (auto member = match.MemberBegin(); member != match.MemberEnd(); ++member) {
    const std::string_view name = Text(member->name);
    const bool good = name == "path_prefix"   ? Take(member->value, rule.path_prefix)
                      : name == "customer"    ? Take(member->value, rule.customer)
                      : name == "method"      ? Take(member->value, rule.method)
                      : name == "event"       ? Take(member->value, rule.event)
                      : name == "probability" ? Take(member->value, rule.probability)
                      : name == "count"       ? Take(member->value, rule.count)
                                              : false;
    if (!good) return "match: unknown member or wrong type: " + std::string(name);
  }
  return {};
}

std::string Script::ReadAction(const Node& node, Action& action) {
  bool reset_after_effect = false;
  for (auto member = node.MemberBegin(); member != node.MemberEnd(); ++member) {
    const std::string_view name = Text(member->name);
    const bool good = name == "status"               ? Take(member->value, action.status)
                      : name == "retry_after"        ? Take(member->value, action.retry_after)
                      : name == "location"           ? Take(member->value, action.location)
                      : name == "body"               ? Take(member->value, action.body)
                      : name == "effect"             ? TakeEffect(member->value, action.effect)
                      : name == "delay_ms"           ? Take(member->value, action.delay)
                      : name == "jitter_ms"          ? Take(member->value, action.jitter)
                      : name == "reset"              ? Take(member->value, action.reset)
                      : name == "reset_after_effect" ? Take(member->value, reset_after_effect)
                      : name == "half_answer"        ? Take(member->value, action.half_answer)
                      : name == "never_answer"       ? Take(member->value, action.never_answer)
                      : name == "batch_errors"       ? Take(member->value, action.batch_errors)
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
  for (const Node& node : list->GetArray()) {
    Rule& rule = rules.emplace_back();
    if (!node.IsObject()) return "a rule must be an object";
    for (auto member = node.MemberBegin(); member != node.MemberEnd(); ++member) {
      const std::string_view name = Text(member->name);
      const bool known = (name == "match" || name == "action") && member->value.IsObject();
      if (!known) return "a rule has objects match and action, not: " + std::string(name);
      std::string error = name == "match" ? ReadMatch(member->value, rule) : ReadAction(member->value, rule.action);
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
  if (rule.customer && std::find(judged.customers.begin(), judged.customers.end(), *rule.customer) == judged.customers.end()) return false;
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
  return action.delay + std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, action.jitter.count())(random_));
}

}  // namespace outboxd::sim
