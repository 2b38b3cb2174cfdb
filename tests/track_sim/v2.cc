// POST /api/v2/entity and /api/v2/batch.

#include "tests/track_sim/checks.h"

namespace outboxd::sim {
namespace {

// "identify" and the like as outboxd names its jobs.
std::string_view JobTypeOf(std::string_view action) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"identify", "identify"},
      {"delete", "destroy"},
      {"suppress", "suppress"},
      {"unsuppress", "unsuppress"},
      {"add_device", "add_device"},
      {"delete_device", "delete_device"},
      {"merge", "merge"},
      {"add_relationships", "add_relationships"},
      {"delete_relationships", "delete_relationships"},
  };
  for (const auto& [api_name, job_type] : kNames) {
    if (api_name == action) return job_type;
  }
  return {};
}

bool IsPhone(std::string_view text) {
  if (!text.starts_with('+') || text.size() < 3 || text.size() > 16 || text[1] == '0') return false;
  return text.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

Check CheckPerson(const Node& item, Effect& effect) {
  const Node* identifiers = Find(item, "identifiers");
  if (identifiers == nullptr) return Required("identifiers");
  std::string customer;
  if (Check problem = CheckOneIdentifier(*identifiers, {"id", "email", "phone", "cio_id", "anonymous_id"},
                                         "identifiers", customer)) {
    return problem;
  }
  const Node* phone = Find(*identifiers, "phone");
  if (phone != nullptr && !IsPhone(customer)) return Invalid("phone", "phone must be in E.164 form");
  if (customer.starts_with("cio_cio_")) return Invalid("cio_id", "cio_id goes without its prefix");
  effect.customers = {std::move(customer)};
  return {};
}

Check CheckDevice(const Node& item, std::string_view action) {
  const Node* device = Find(item, "device");
  if (device == nullptr || !device->IsObject()) return Required("device");
  if (Check problem = CheckText(*device, "token")) return problem;
  if (action == "delete_device") return {};
  if (Check problem = CheckOneOf(*device, "platform", {"ios", "android"})) return problem;
  return CheckNumberIfPresent(*device, "last_used");
}

Check CheckMerge(const Node& item, Effect& effect) {
  if (Find(item, "identifiers") != nullptr) return Invalid("identifiers", "merge takes no identifiers");
  for (const std::string_view field : {"primary", "secondary"}) {
    const Node* person = Find(item, field);
    if (person == nullptr) return Required(std::string(field));
    if (Check problem =
            CheckOneIdentifier(*person, {"id", "email", "cio_id"}, field, effect.customers.emplace_back()))
      return problem;
  }
  effect.type = "merge";
  return {};
}

Check JudgePersonEvent(const Node& item, std::string_view action, Effect& effect) {
  if (Check problem = CheckEvent(item)) return problem;
  if (Check problem = CheckObjectIfPresent(item, "attributes")) return problem;
  effect.type = EventType(action);
  effect.name = Find(item, "name")->Text();
  if (const Node* id = Find(item, "id")) effect.event_id = id->Text();
  return {};
}

Check JudgePerson(const Node& item, std::string_view action, Effect& effect) {
  if (action == "merge") return CheckMerge(item, effect);
  if (Check problem = CheckPerson(item, effect)) return problem;
  if (const Node* attributes = Find(item, "attributes")) effect.n = IntegerMember(*attributes, "n");
  if (action == "event" || action == "page" || action == "screen")
    return JudgePersonEvent(item, action, effect);
  effect.type = JobTypeOf(action);
  // Not in the API's description; Segment's destination sends them.
  if (action == "viewed_content" || action == "clicked_content") effect.type = action;
  if (effect.type.empty()) return Invalid("action", "unknown action: " + std::string(action));
  if (action == "add_device" || action == "delete_device") return CheckDevice(item, action);
  if (Check problem = CheckObjectIfPresent(item, "attributes")) return problem;
  if (Check problem = CheckNumberIfPresent(item, "timestamp")) return problem;
  const Node* attributes = Find(item, "attributes");
  if (action == "identify" && attributes != nullptr && attributes->IsObject())
    return CheckAttributes(*attributes);
  return {};
}

Check JudgeObject(const Node& item, std::string_view action, Effect& effect) {
  const Node* identifiers = Find(item, "identifiers");
  if (identifiers == nullptr) return Required("identifiers");
  const bool by_cio = Find(*identifiers, "cio_object_id") != nullptr;
  for (const std::string_view field : {"object_type_id", "object_id"}) {
    if (by_cio) break;
    if (Check problem = CheckText(*identifiers, field)) return problem;
  }
  for (const std::string_view known :
       {"identify", "identify_anonymous", "delete", "add_relationships", "delete_relationships"}) {
    if (action == known) effect.type = known;
  }
  if (effect.type.empty()) return Invalid("action", "unknown action: " + std::string(action));
  effect.type = "object";
  return {};
}

Check JudgeDelivery(const Node& item, Effect& effect) {
  const Node* identifiers = Find(item, "identifiers");
  if (identifiers == nullptr) return Required("identifiers");
  if (Check problem = CheckText(*identifiers, "id")) return problem;
  if (Check problem = CheckOneOf(item, "name", {"opened", "converted", "delivered"})) return problem;
  effect.type = "metric";
  return {};
}

}  // namespace

Check JudgeEntity(const Node& item, Effect& effect) {
  if (!item.IsObject()) return Invalid("", "an object is needed");
  if (item.Source().size() > kEntityBytes) return TooLarge("", "larger than 32 kB");
  effect.payload_hash = HashOf(item.Source());
  if (Check problem = CheckOneOf(item, "type", {"person", "object", "delivery"})) return problem;
  if (Check problem = CheckText(item, "action")) return problem;
  const std::string_view type = Find(item, "type")->Text();
  const std::string_view action = Find(item, "action")->Text();
  if (type == "person") return JudgePerson(item, action, effect);
  return type == "object" ? JudgeObject(item, action, effect) : JudgeDelivery(item, effect);
}

Check JudgeBatch(const Node& root, Judged& judged) {
  const Node* batch = Find(root, "batch");
  if (batch == nullptr) return Required("batch");
  if (!batch->IsArray() || batch->Count() == 0)
    return Invalid("batch", "batch must be an array with at least one item");
  std::size_t index = 0;
  for (const Node& item : *batch) {
    Effect effect;
    if (Check problem = JudgeEntity(item, effect)) {
      judged.batch_problems.push_back({index++, std::move(*problem)});
      continue;
    }
    judged.customers.insert(judged.customers.end(), effect.customers.begin(), effect.customers.end());
    judged.effects.push_back(std::move(effect));
    judged.indexes.push_back(index++);
  }
  return {};
}

}  // namespace outboxd::sim
