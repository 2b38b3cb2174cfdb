// core/job_schema.h — the JSON schema of a job line, for producers and their tests. Follows from the tables
// of types and members.
//
// It accepts every line that outboxd accepts. What it cannot say it leaves to outboxd: bytes (it counts
// characters), what identifiers and paths are when they are decoded, headers that are not a producer's,
// members given twice, and requests as libraries send them.
#pragma once

#include <string>

namespace outboxd {

std::string JobLineSchema();  // draft 07, as one line of JSON

}  // namespace outboxd
