// tests/track_sim/json.h — a request body as a tree that knows how many bytes its parts took, which is what
// the API limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace outboxd::sim {

inline constexpr std::size_t kBodyDepth = 100;

enum class Kind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

// One value. Its children follow it in memory, each with its own subtree, so a walk is a walk through an
// array.
class Node {
 public:
  class Iterator {
   public:
    explicit Iterator(const Node* node) : node_(node) {}
    const Node& operator*() const { return *node_; }
    Iterator& operator++() { return node_ += node_->subtree_, *this; }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const Node* node_;
  };

  bool IsNull() const { return kind_ == Kind::kNull; }
  bool IsBool() const { return kind_ == Kind::kBool; }
  bool IsNumber() const { return kind_ == Kind::kNumber; }
  bool IsString() const { return kind_ == Kind::kString; }
  bool IsArray() const { return kind_ == Kind::kArray; }
  bool IsObject() const { return kind_ == Kind::kObject; }

  Iterator begin() const { return Iterator(this + 1); }  // members of an object, elements of an array
  Iterator end() const { return Iterator(this + subtree_); }
  std::size_t Count() const { return count_; }
  std::string_view Name() const { return name_; }      // decoded; of an object's member
  std::string_view Text() const { return text_; }      // decoded; of a string
  std::string_view Source() const { return source_; }  // of an object or an array: its bytes in the body
  bool Bool() const { return number_ != 0; }
  double Number() const { return number_; }
  std::optional<std::int64_t> Integer() const {
    return integer_;
  }  // of a number written as a whole one that fits

 private:
  friend class BodyReader;
  Kind kind_ = Kind::kNull;
  std::size_t subtree_ = 1;  // nodes, with this one
  std::size_t count_ = 0;
  std::string_view name_, text_, source_;
  double number_ = 0;
  std::optional<std::int64_t> integer_;
};

// nullptr when absent or when `object` is none. The first of several members of one name.
const Node* Find(const Node& object, std::string_view name);
std::size_t CountMembers(const Node& object, std::string_view name);
std::optional<std::int64_t> IntegerMember(const Node& object, std::string_view name);

class BodyReader {
 public:
  // Strict RFC 8259 in UTF-8, at most kBodyDepth deep; numbers of any size (those no double can hold read as
  // any number). Empty when it was read, else why not. The tree before is gone; the new one is good until the
  // next Read, and Source() as long as `body` lives.
  std::string Read(std::string_view body);
  const Node& Root() const { return nodes_.front(); }

 private:
  struct Builder;
  // `text` is what is parsed; Source() points into `body`, which is as long.
  std::string ReadOnce(std::string_view text, std::string_view body);

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::vector<char> strings_;
};

}  // namespace outboxd::sim
