#include "tests/track_sim/track_sim.h"

#include <algorithm>

namespace outboxd::sim {
namespace {

constexpr std::size_t kInvalidKept = 20;
constexpr std::size_t kRequestsKept = 1000;
constexpr std::size_t kRequestBytesKept = 32 * 1024 * 1024;

void AppendHeader(std::string& lines, std::string_view name, std::string_view value) {
  lines.append(name).append(": ").append(value).append("\r\n");
}

// What the scripted action refuses in a batch moves from the effects to the problems.
void RefuseItems(Judged& judged, const std::vector<std::size_t>& refused) {
  for (const std::size_t index : refused) {
    const auto found = std::find(judged.indexes.begin(), judged.indexes.end(), index);
    if (found == judged.indexes.end()) continue;
    judged.effects.erase(judged.effects.begin() + (found - judged.indexes.begin()));
    judged.indexes.erase(found);
    judged.batch_problems.push_back({index, {400, "invalid", "", "refused by the script"}});
  }
  const auto by_index = [](const BatchProblem& left, const BatchProblem& right) {
    return left.index < right.index;
  };
  std::sort(judged.batch_problems.begin(), judged.batch_problems.end(), by_index);
}

}  // namespace

TrackSim::TrackSim(Account account, std::uint64_t seed, Remember remember)
    : rules_(std::move(account)), script_(seed), ledger_(remember), remember_(remember) {}

TrackSim::Answer TrackSim::OwnAnswer(Judged& judged) const {
  Answer answer;
  if (judged.problem) {
    answer.status = judged.problem->status;
    answer.body = ProblemBody(*judged.problem, judged.is_v2);
    if (!judged.allow.empty()) AppendHeader(answer.headers, "allow", judged.allow);
    if (answer.status == 401) AppendHeader(answer.headers, "www-authenticate", "Basic realm=\"track\"");
    return answer;
  }
  answer.status = judged.batch_problems.empty() ? judged.status : 207;
  answer.body = judged.batch_problems.empty() ? judged.body : BatchProblemsBody(judged.batch_problems);
  return answer;
}

void TrackSim::ApplyEffects(Judged& judged, std::int64_t now_ms) {
  for (Effect& effect : judged.effects) ledger_.Apply(std::move(effect), now_ms);
}

Reaction TrackSim::Finish(const SimRequest& request, const Answer& answer, const Action& action) {
  Reaction reaction;
  reaction.delay = script_.DelayOf(action);
  reaction.ending = request.keep_alive ? Ending::kKeep : Ending::kClose;
  if (action.never_answer) reaction.ending = Ending::kNever;
  if (action.reset) reaction.ending = Ending::kReset;
  if (action.reset || action.never_answer) return reaction;
  reaction.bytes =
      MakeAnswer(answer.status, answer.body, answer.headers, request.method != "HEAD", request.keep_alive);
  if (action.half_answer) {
    reaction.bytes.resize(reaction.bytes.size() - std::max<std::size_t>(1, answer.body.size() / 2));
    reaction.ending = Ending::kClose;
  }
  return reaction;
}

void TrackSim::Count(const SimRequest& request, const Judged& judged, int status, std::int64_t now_ms) {
  ++requests_;
  ++by_status_[status];
  const auto note = [&](std::string_view message) {
    if (invalid_.size() >= kInvalidKept) return;
    invalid_.push_back(std::string(request.method) + " " + std::string(request.Path()) + ": " +
                       std::string(message));
  };
  if (judged.problem && judged.problem->status != 401) note(judged.problem->message);
  for (const BatchProblem& problem : judged.batch_problems)
    note("item " + std::to_string(problem.index) + ": " + problem.problem.message);
  if (remember_ == Remember::kEverything) Log(request, judged, status, now_ms);
}

void TrackSim::Log(const SimRequest& request, const Judged& judged, int status, std::int64_t now_ms) {
  LoggedRequest& logged = log_.emplace_back();
  logged.method = request.method;
  logged.target = request.target;
  logged.body = request.body;
  for (const auto& [name, value] : request.headers) {
    if (!EqualIgnoringCase(name, "authorization")) logged.headers.emplace_back(name, value);
  }
  logged.auth_ok = judged.auth_ok;
  logged.status = status;
  logged.at_ms = now_ms;
  log_bytes_ += logged.body.size();
  while (log_.size() > kRequestsKept || log_bytes_ > kRequestBytesKept) {
    log_bytes_ -= log_.front().body.size();
    log_.pop_front();
  }
}

Reaction TrackSim::React(const SimRequest& request, std::int64_t now_ms) {
  if (request.target.starts_with("/_sim/")) {
    const Answer answer = Control(request);
    Reaction reaction = Finish(request, answer, Action{});
    reaction.is_control = true;
    return reaction;
  }
  Judged judged = rules_.Judge(request);
  const Action action = script_.Next(request, judged).value_or(Action{});
  if (judged.is_batch && !judged.problem) RefuseItems(judged, action.batch_errors);
  Answer answer = OwnAnswer(judged);
  if (action.status) {
    answer.status = *action.status;
    answer.body = *action.status / 100 == 2 ? "{}\n"
                                            : R"({"meta":{"error":"scripted"}})"
                                              "\n";
    answer.headers.clear();
  }
  if (action.body) answer.body = *action.body;
  if (action.retry_after) AppendHeader(answer.headers, "retry-after", *action.retry_after);
  if (action.location) AppendHeader(answer.headers, "location", *action.location);
  Count(request, judged, action.reset || action.never_answer ? 0 : answer.status, now_ms);
  if (action.TakesEffect()) ApplyEffects(judged, now_ms);

  Reaction reaction = Finish(request, answer, action);
  reaction.customers = std::move(judged.customers);
  std::sort(reaction.customers.begin(), reaction.customers.end());
  reaction.customers.erase(std::unique(reaction.customers.begin(), reaction.customers.end()),
                           reaction.customers.end());
  return reaction;
}

}  // namespace outboxd::sim
