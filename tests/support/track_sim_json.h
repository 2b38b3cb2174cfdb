// tests/support/track_sim_json.h — a request body as a tree, with the sizes the API's limits speak of.
#pragma once

#include <rapidjson/document.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace outboxd::sim {

using Node = rapidjson::Value;

inline constexpr std::size_t kBodyDepth = 100;

// nullptr when absent or when `object` is none. The first of several members of one name.
const Node* Find(const Node& object, std::string_view name);
std::string_view Text(const Node& string);
std::size_t CountMembers(const Node& object, std::string_view name);
std::optional<std::int64_t> IntegerMember(const Node& object, std::string_view name);

class BodyReader {
 public:
  // Strict RFC 8259 in UTF-8, at most kBodyDepth deep; numbers of any size (those no double can hold read as any number). Empty when it was
  // read, else why not. `body` must outlive the reader's use of Items().
  std::string Read(std::string_view body);

  const Node& Root() const { return *document_; }
  // Bytes of the object that is the root's member `data`; 0 when there is none.
  std::size_t DataBytes() const { return data_bytes_; }
  // The objects inside the array that is the root's member `batch`, as they stand in the body.
  const std::vector<std::string_view>& Items() const { return items_; }

 private:
  struct Builder;
  // `text` is what is parsed; Items() point into `body`, which is as long.
  std::string ReadOnce(std::string_view text, std::string_view body);

  std::vector<char> pool_ = std::vector<char>(256 * 1024);
  std::optional<rapidjson::MemoryPoolAllocator<>> allocator_;
  std::optional<rapidjson::Document> document_;
  std::size_t data_bytes_ = 0;
  std::vector<std::string_view> items_;
};

}  // namespace outboxd::sim
