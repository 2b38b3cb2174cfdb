// The paths below /_sim/: scripting the simulated API and asking what it saw.

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <charconv>

#include "tests/track_sim/track_sim.h"

namespace outboxd::sim {
namespace {

class Writer {
 public:
  Writer() : writer_(buffer_) {}
  rapidjson::Writer<rapidjson::StringBuffer>& json() { return writer_; }
  std::string Take() const { return {buffer_.GetString(), buffer_.GetSize()}; }

  void Name(std::string_view name) {
    writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  void Value(std::string_view text) {
    writer_.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  }
  void Text(std::string_view name, std::string_view text) { Name(name), Value(text); }
  void Int(std::string_view name, std::int64_t number) { Name(name), writer_.Int64(number); }
  void Count(std::string_view name, std::uint64_t number) { Name(name), writer_.Uint64(number); }

 private:
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_;
};

std::string Hex(std::uint64_t number) {
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; number >>= 4) text[i] = "0123456789abcdef"[number & 15U];
  return text;
}

void WriteEffect(Writer& writer, const RecordedEffect& effect) {
  writer.json().StartObject();
  if (!effect.customers.empty()) writer.Text("customer", effect.customers.front());
  writer.Text("type", effect.type);
  if (!effect.name.empty()) writer.Text("name", effect.name);
  if (!effect.event_id.empty()) writer.Text("id", effect.event_id);
  if (effect.n) writer.Int("n", *effect.n);
  writer.Text("hash", Hex(effect.payload_hash));
  writer.Int("at_ms", effect.at_ms);
  writer.json().EndObject();
}

}  // namespace

TrackSim::Answer TrackSim::Control(const SimRequest& request) {
  const std::string_view path = request.Path();
  if (request.method == "POST" && path == "/_sim/script") {
    const std::string error = script_.Load(request.body);
    return error.empty() ? Answer{200, "{}\n", {}}
                         : Answer{400, ProblemBody({400, "invalid", "", error}, false), {}};
  }
  if (request.method == "POST" && path == "/_sim/credentials") return ChangeCredentials(request);
  if (request.method == "POST" && path == "/_sim/reset") return Reset();
  if (request.method == "GET" && path == "/_sim/report") return {200, Report(), {}};
  if (request.method == "GET" && path == "/_sim/effects") {
    const std::optional<std::string_view> customer = request.Query("customer");
    return {200, customer ? EffectsOf(DecodePercent(*customer).value_or("")) : AllEffects(), {}};
  }
  if (request.method == "GET" && path == "/_sim/requests") {
    std::size_t last = SIZE_MAX;
    const std::string_view text = request.Query("last").value_or("");
    std::from_chars(text.data(), text.data() + text.size(), last);
    return {200, Requests(last), {}};
  }
  return {404, "{\"meta\":{\"error\":\"no such control\"}}\n", {}};
}

TrackSim::Answer TrackSim::ChangeCredentials(const SimRequest& request) {
  BodyReader reader;
  const std::string error = reader.Read(request.body);
  const Node* site_id = error.empty() ? Find(reader.Root(), "site_id") : nullptr;
  const Node* api_key = error.empty() ? Find(reader.Root(), "api_key") : nullptr;
  if (site_id == nullptr || api_key == nullptr || !site_id->IsString() || !api_key->IsString()) {
    return {400, "{\"meta\":{\"error\":\"site_id and api_key are needed\"}}\n", {}};
  }
  rules_.SetCredentials(std::string(site_id->Text()), std::string(api_key->Text()));
  return {200, "{}\n", {}};
}

TrackSim::Answer TrackSim::Reset() {
  ledger_.Forget();
  requests_ = 0;
  by_status_.clear();
  invalid_.clear();
  log_.clear();
  log_bytes_ = 0;
  traffic_.connections = 0;
  traffic_.overlaps = 0;
  traffic_.max_concurrent = traffic_.concurrent;
  return {200, "{}\n", {}};
}

std::string TrackSim::Report() const {
  Writer writer;
  const LedgerCounts& counts = ledger_.counts();
  writer.json().StartObject();
  writer.Count("requests", requests_);
  writer.Name("by_status");
  writer.json().StartObject();
  for (const auto& [status, count] : by_status_)
    writer.Count(status == 0 ? "none" : std::to_string(status), count);
  writer.json().EndObject();
  writer.Count("effects", counts.effects);
  writer.Count("customers", ledger_.customers());
  writer.Count("repeated_ulids", counts.repeated_ulids);
  writer.Count("doubled", counts.doubled);
  writer.Count("events_without_id", counts.events_without_id);
  writer.Count("overlaps", traffic_.overlaps);
  writer.Count("order_violations", counts.order_violations);
  writer.Count("connections", traffic_.connections);
  writer.Count("concurrent", traffic_.concurrent);
  writer.Count("max_concurrent", traffic_.max_concurrent);
  writer.Name("invalid");
  writer.json().StartArray();
  for (const std::string& message : invalid_) writer.Value(message);
  writer.json().EndArray();
  writer.json().EndObject();
  return writer.Take() + "\n";
}

std::string TrackSim::AllEffects() const {
  std::string lines;
  for (const RecordedEffect& effect : ledger_.effects()) {
    Writer writer;
    WriteEffect(writer, effect);
    lines.append(writer.Take()).append("\n");
  }
  return lines;
}

std::string TrackSim::EffectsOf(const std::string& customer) const {
  Writer writer;
  writer.json().StartObject();
  writer.Text("customer", customer);
  writer.Name("effects");
  writer.json().StartArray();
  for (const std::size_t position : ledger_.PositionsOf(customer))
    WriteEffect(writer, ledger_.effects()[position]);
  writer.json().EndArray();
  writer.json().EndObject();
  return writer.Take() + "\n";
}

std::string TrackSim::Requests(std::size_t last) const {
  Writer writer;
  writer.json().StartObject();
  writer.Name("requests");
  writer.json().StartArray();
  for (std::size_t i = log_.size() - std::min(last, log_.size()); i < log_.size(); ++i) {
    const LoggedRequest& logged = log_[i];
    writer.json().StartObject();
    writer.Text("method", logged.method);
    writer.Text("target", logged.target);
    writer.Name("headers");
    writer.json().StartObject();
    for (const auto& [name, value] : logged.headers)
      writer.Text(name, IsUtf8(value) ? value : EncodeBase64(value));
    writer.json().EndObject();
    writer.Name("auth_ok");
    writer.json().Bool(logged.auth_ok);
    writer.Int("status", logged.status);
    if (IsUtf8(logged.body))
      writer.Text("body", logged.body);
    else
      writer.Text("body_base64", EncodeBase64(logged.body));
    writer.Int("at_ms", logged.at_ms);
    writer.json().EndObject();
  }
  writer.json().EndArray();
  writer.json().EndObject();
  return writer.Take() + "\n";
}

}  // namespace outboxd::sim
