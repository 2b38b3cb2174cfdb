#include "core/job.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace outboxd {
namespace {

// FNV-1a, 64 bits, with a final mix. It is part of the disk format (outbox.parked): never change it.
constexpr std::uint64_t HashBytes(std::uint64_t hash, std::string_view bytes) {
  for (const char byte : bytes) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3;
  }
  return hash;
}

constexpr std::uint64_t Mix(std::uint64_t hash) {
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93;
  hash ^= hash >> 32;
  return hash;
}

}  // namespace

LaneKey MakeLaneKey(std::string_view connection, std::string_view customer) {
  std::uint64_t hash = HashBytes(0xcbf29ce484222325, connection);
  hash = HashBytes(hash, std::string_view("\0", 1));
  return LaneKey{Mix(HashBytes(hash, customer))};
}

LaneList::LaneList(std::vector<LaneKey> lanes) {
  std::sort(lanes.begin(), lanes.end());
  lanes.erase(std::unique(lanes.begin(), lanes.end()), lanes.end());
  count_ = lanes.size();
  if (count_ == 1) one_ = lanes.front();
  if (count_ > 1) many_ = std::move(lanes);
}

bool operator==(const LaneList& list, std::span<const LaneKey> lanes) {
  const std::span<const LaneKey> own = list;
  return std::equal(own.begin(), own.end(), lanes.begin(), lanes.end());
}

LaneList LanesOf(const Job& job) {
  if (job.more_customers.empty())
    return job.customer.empty() ? LaneList() : LaneList(MakeLaneKey(job.connection, job.customer));
  std::vector<LaneKey> lanes;
  lanes.reserve(1 + job.more_customers.size());
  if (!job.customer.empty()) lanes.push_back(MakeLaneKey(job.connection, job.customer));
  for (const std::string& customer : job.more_customers)
    lanes.push_back(MakeLaneKey(job.connection, customer));
  return LaneList(std::move(lanes));
}

}  // namespace outboxd
