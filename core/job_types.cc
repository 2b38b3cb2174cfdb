#include "core/job_types.h"

#include <algorithm>
#include <string>

#include "core/job_members.h"

namespace outboxd {

static_assert(std::ranges::all_of(kJobTypes,
                                  [](const JobTypeRow& row) {
                                    return row.build != nullptr && !row.help.empty();
                                  }),
              "each job type has its request and its help");

std::string ListJobTypes() {
  std::string list;
  for (const JobTypeRow& row : kJobTypes) list.append(list.empty() ? "" : ", ").append(row.name);
  return list;
}

const Need* FirstMissing(const JobTypeRow& row, members::Set given) {
  for (const Need& need : row.required) {
    if (!given.Has(need.member) && !given.Has(need.or_else)) return &need;
  }
  return nullptr;
}

std::string TextOf(const Need& need) {
  std::string text;
  text.append("\"").append(members::TextOf(need.member)).append("\"");
  if (need.or_else != need.member) text.append(" or \"").append(members::TextOf(need.or_else)).append("\"");
  return text;
}

}  // namespace outboxd
