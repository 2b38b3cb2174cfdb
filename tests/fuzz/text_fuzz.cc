// Any bytes to the small decoders: JSON of the admin API, percent and base64, what is shown on a terminal.
#include <algorithm>
#include <string>

#include "core/encoding.h"
#include "core/json.h"
#include "core/path_segments.h"
#include "core/secrets.h"
#include "core/text.h"
#include "tests/fuzz/demand.h"

namespace outboxd {
namespace {

void Visit(const JsonValue& value) {
  (void)value.Int();
  (void)value.Number();
  for (const JsonValue& item : value.Items()) Visit(item);
  for (const auto& [name, member] : value.Members()) {
    Demand(value.Has(name), "a member that is listed is there");
    Visit(member);
  }
}

void CheckJson(std::string_view text) {
  const Result<JsonValue> value = JsonValue::Parse(text);
  if (!value) {
    Demand(!value.error().message.empty(), "a refusal says why");
    return;
  }
  // Members are looked up one by one: bounded, so that a wide object does not eat the time.
  if (text.size() <= 4096) Visit(*value);
  const std::string written = value->ToText();
  const Result<JsonValue> again = JsonValue::Parse(written);
  Demand(again.has_value() && again->ToText() == written, "JSON survives being written");
}

}  // namespace
}  // namespace outboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outboxd;
  const std::string_view text = AsText(data, size);
  CheckJson(text);
  const std::string shown = EscapeForTerminal(text);
  Demand(
      std::ranges::none_of(shown, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }),
      "nothing reaches the terminal");
  Demand(EscapeForTerminal(shown).find('\n') == std::string::npos, "escaping twice is harmless");
  Demand(IsUtf8(ReplaceInvalidUtf8(text)), "what is replaced leaves valid text");
  Demand(!IsUtf8(text) || IsUtf8(CutAtCharacter(text, size / 2)), "a cut leaves valid text");
  Demand(OneLine(std::string(text)).size() == size, "a byte for a byte");
  JsonWriter writer;
  writer.Object().Key(text).String(text).EndObject();
  Demand(JsonValue::Parse(writer.Text()).has_value(), "what is written is JSON, whatever the bytes");
  Demand(PercentDecode(PercentEncode(text)) == text, "percent-encoding is reversible");
  Demand(PercentDecode(text).size() <= text.size(), "decoding never grows");
  Demand(HasDotSegment(text) == HasDotSegment(PercentEncode(text)) &&
             HasDotSegment(text) == HasDotSegment(PercentDecode(text)),
         "a path leads as far as it does decoded or encoded");
  Demand(IsBlankWhenDecoded(text) == IsBlankWhenDecoded(PercentEncode(text)),
         "nothing is blank by its spelling");
  Demand(Base64Decode(Base64Encode(text)) == text, "base64 is reversible");
  (void)Base64Decode(text);
  Secrets secrets;
  secrets.Add("site", "s3cretkey");
  for (const TextEnd end : {TextEnd::kWhole, TextEnd::kCut})
    Demand(!secrets.StandIn(secrets.Redact(text, end)), "no secret is left");
  const Result<JsonValue> json = JsonValue::Parse(text);
  if (json) {
    const Result<JsonValue> safe = JsonValue::Parse(EscapeJsonForTerminal(json->ToText()));
    Demand(safe && safe->String() == json->String(), "escaped JSON means the same");
  }
  return 0;
}
