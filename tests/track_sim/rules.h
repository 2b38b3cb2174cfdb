// tests/track_sim/rules.h — what the Track API accepts: paths, methods, credentials, shapes and limits.
// Strict where its reference is strict, and where a sloppy sender would go unnoticed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/track_sim/http.h"
#include "tests/track_sim/json.h"

namespace outboxd::sim {

struct Account {
  std::string site_id;
  std::string api_key;
  std::string region = "us";
};

// What one accepted request, or one item of a batch, does.
struct Effect {
  std::string_view type;               // identify, track, pageview, destroy, … as outboxd's job types; screen
  std::vector<std::string> customers;  // whose order it belongs to; empty when it names none
  std::string name;                    // of the event
  std::string event_id;                // the ULID sent with it
  std::optional<std::int64_t> n;  // the test's own numbering, from member `n` of the data or the attributes
  std::uint64_t payload_hash = 0;
};

struct Problem {
  int status = 400;
  std::string reason;  // required, invalid, too_large
  std::string field;
  std::string message;
};
using Check = std::optional<Problem>;

struct BatchProblem {
  std::size_t index = 0;
  Problem problem;
};

// A request judged. Its effects are not applied yet.
struct Judged {
  bool known_path = false;
  bool is_v2 = false;
  bool is_batch = false;
  bool auth_ok = false;
  std::string allow;  // with 405
  Check problem;      // of the request as a whole
  int status = 200;   // when there is no problem
  std::string body = "{}\n";
  std::vector<std::string>
      customers;                // known as soon as the path or the body names them, also of refused requests
  std::vector<Effect> effects;  // one an item with is_batch
  std::vector<std::size_t> indexes;  // with is_batch: the item behind each effect
  std::vector<BatchProblem> batch_problems;
};

class Rules {
 public:
  explicit Rules(Account account) : account_(std::move(account)) {}
  void SetCredentials(std::string site_id, std::string api_key);
  const Account& account() const { return account_; }

  Judged Judge(const SimRequest& request);

 private:
  bool Authorised(const SimRequest& request);

  Account account_;
  std::string good_authorization_;  // the header last found good: saves decoding it again
  BodyReader reader_;
};

// The answer's body for a problem, in the shape of the API's version.
std::string ProblemBody(const Problem& problem, bool is_v2);
std::string BatchProblemsBody(const std::vector<BatchProblem>& problems);

}  // namespace outboxd::sim
