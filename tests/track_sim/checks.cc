#include "tests/track_sim/checks.h"

#include <functional>

namespace outboxd::sim {
namespace {

constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

bool IsReserved(std::string_view name) {
  return name == "id" || name == "email" || name == "anonymous_id" || name == "created_at" ||
         name == "_timestamp" || name == "_update" || name == "unsubscribed" ||
         name == "cio_subscription_preferences" || name == "cio_relationships";
}

Check CheckRelationships(const Node& attributes) {
  const Node* relationships = Find(attributes, "cio_relationships");
  if (relationships == nullptr || relationships->IsArray()) return {};
  if (!relationships->IsObject())
    return Invalid("cio_relationships", "cio_relationships must be an object or an array");
  if (Check problem = CheckOneOf(*relationships, "action", {"add_relationships", "delete_relationships"}))
    return problem;
  const Node* list = Find(*relationships, "relationships");
  if (list == nullptr || !list->IsArray()) return Required("relationships");
  return {};
}

}  // namespace

std::optional<std::string> IdentifierText(const Node& value) {
  if (value.IsString()) return std::string(value.Text());
  return value.Integer() ? std::optional(std::to_string(*value.Integer())) : std::nullopt;
}

Problem Required(std::string field) {
  std::string message = field + " is required";
  return {400, "required", std::move(field), std::move(message)};
}

Problem Invalid(std::string field, std::string message) {
  return {400, "invalid", std::move(field), std::move(message)};
}

Problem TooLarge(std::string field, std::string message) {
  return {400, "too_large", std::move(field), std::move(message)};
}

bool IsUlid(std::string_view text) {
  if (text.size() != 26 || text.front() > '7') return false;
  for (const char character : text) {
    const char upper =
        character >= 'a' && character <= 'z' ? static_cast<char>(character - 'a' + 'A') : character;
    if (kCrockford.find(upper) == std::string_view::npos) return false;
  }
  return true;
}

Check CheckIdentifier(std::string_view field, std::string_view text) {
  if (text.empty()) return Required(std::string(field));
  if (text.size() > kIdBytes)
    return TooLarge(std::string(field), std::string(field) + " is longer than 150 bytes");
  if (!IsUtf8(text)) return Invalid(std::string(field), std::string(field) + " is not UTF-8");
  return {};
}

Check CheckText(const Node& object, std::string_view field) {
  const Node* value = Find(object, field);
  if (value == nullptr) return Required(std::string(field));
  if (!value->IsString() || value->Text().size() == 0)
    return Invalid(std::string(field), std::string(field) + " must be a string, not empty");
  return {};
}

Check CheckOneOf(const Node& object, std::string_view field,
                 std::initializer_list<std::string_view> allowed) {
  if (Check problem = CheckText(object, field)) return problem;
  const std::string_view text = Find(object, field)->Text();
  for (const std::string_view value : allowed) {
    if (text == value) return {};
  }
  return Invalid(std::string(field), std::string(field) + " has an unknown value: " + std::string(text));
}

Check CheckNumberIfPresent(const Node& object, std::string_view field) {
  const Node* value = Find(object, field);
  if (value != nullptr && !value->IsNumber())
    return Invalid(std::string(field), std::string(field) + " must be a number");
  if (value != nullptr && CountMembers(object, field) > 1)
    return Invalid(std::string(field), std::string(field) + " is there twice");
  return {};
}

Check CheckObjectIfPresent(const Node& object, std::string_view field) {
  const Node* value = Find(object, field);
  if (value != nullptr && !value->IsObject() && !value->IsNull()) {
    return Invalid(std::string(field), std::string(field) + " must be an object");
  }
  return {};
}

Check CheckUlidIfPresent(const Node& object, std::string_view field) {
  const Node* value = Find(object, field);
  if (value == nullptr) return {};
  if (!value->IsString() || !IsUlid(value->Text()))
    return Invalid(std::string(field), std::string(field) + " must be a valid ULID");
  if (CountMembers(object, field) > 1)
    return Invalid(std::string(field), std::string(field) + " is there twice");
  return {};
}

Check CheckAttributes(const Node& attributes) {
  std::size_t count = 0;
  for (const Node& member : attributes) {
    const std::string_view name = member.Name();
    if (IsReserved(name)) continue;
    if (++count > kAttributes) return TooLarge("attributes", "more than 300 attributes");
    if (name.size() > kAttributeNameBytes)
      return TooLarge("attributes", "an attribute's name is longer than 150 bytes");
    if (member.Text().size() > kAttributeValueBytes) {
      return TooLarge(std::string(name), "an attribute's value is longer than 1000 bytes");
    }
  }
  const Node* update = Find(attributes, "_update");
  if (update != nullptr && !update->IsBool()) return Invalid("_update", "_update must be true or false");
  if (Check problem = CheckNumberIfPresent(attributes, "_timestamp")) return problem;
  return CheckRelationships(attributes);
}

Check CheckOneIdentifier(const Node& object, std::initializer_list<std::string_view> names,
                         std::string_view field, std::string& value) {
  if (!object.IsObject() || object.Count() != 1)
    return Invalid(std::string(field), std::string(field) + " needs exactly one identifier");
  for (const std::string_view name : names) {
    const Node* found = Find(object, name);
    if (found == nullptr) continue;
    const std::optional<std::string> text = IdentifierText(*found);
    if (!text) return Invalid(std::string(name), std::string(name) + " must be a string");
    if (Check problem = CheckIdentifier(name, *text)) return problem;
    value = name == "cio_id" ? "cio_" + *text : *text;
    return {};
  }
  return Invalid(std::string(field), std::string(field) + " has an unknown identifier");
}

Check CheckEvent(const Node& event) {
  if (Check problem = CheckText(event, "name")) return problem;
  if (CountMembers(event, "name") > 1) return Invalid("name", "name is there twice");
  const std::string_view name = Find(event, "name")->Text();
  if (name.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos)
    return Invalid("name", "event name must not be blank");
  if (name.size() > kEventNameBytes) return TooLarge("name", "name is longer than 100 bytes");
  if (Check problem = CheckUlidIfPresent(event, "id")) return problem;
  return CheckNumberIfPresent(event, "timestamp");
}

std::uint64_t HashOf(std::string_view bytes) {
  return std::hash<std::string_view>()(bytes);
}

std::string_view EventType(std::string_view api_type) {
  if (api_type == "page") return "pageview";
  return api_type == "screen" ? "screen" : "track";
}

}  // namespace outboxd::sim
