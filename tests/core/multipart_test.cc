#include "core/multipart.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/time.h"
#include "core/ulid.h"

namespace outboxd {
namespace {

const Ulid kJob = Ulid::Make(FromUnixMs(1'790'000'000'123), Sequence{7}, 42);

TEST_CASE("multipart: fields and files stand in their order, each behind the boundary") {
  const FormFields fields = {{"kind", "avatar"}, {"a\"b", ""}};
  const std::vector<RawFile> files = {
      {.name = "file", .filename = "a\"\r\n.PNG", .content = std::string("\0\r\n--", 5)},
      {.name = "n", .filename = "", .content = "hi"}};
  const MultipartBody body = BuildMultipart(fields, files, kJob);
  const std::string boundary = "--" + body.boundary;
  CHECK(body.bytes == boundary + "\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\navatar\r\n" +
                          boundary + "\r\nContent-Disposition: form-data; name=\"a%22b\"\r\n\r\n\r\n" +
                          boundary +
                          "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22%0D%0A.PNG\"\r\n"
                          "Content-Type: image/png\r\n\r\n" +
                          std::string("\0\r\n--", 5) + "\r\n" + boundary +
                          "\r\nContent-Disposition: form-data; name=\"n\"; filename=\"n\"\r\n\r\nhi\r\n" +
                          boundary + "--\r\n");
  CHECK(body.boundary.size() <= 70);
}

TEST_CASE("multipart: each attempt sends the same bytes, another job or content has another boundary") {
  const FormFields fields = {{"a", "1"}};
  const MultipartBody body = BuildMultipart(fields, {}, kJob);
  CHECK(BuildMultipart(fields, {}, kJob).bytes == body.bytes);
  CHECK(BuildMultipart({{"a", "2"}}, {}, kJob).boundary != body.boundary);
  CHECK(BuildMultipart(fields, {}, Ulid()).boundary != body.boundary);
}

TEST_CASE("multipart: the boundary occurs nowhere in what it separates") {
  // A value that holds the boundary of the same body without it, and so on: no fixed point is to be found.
  FormFields fields = {{"a", ""}};
  for (int round = 0; round < 50; ++round) {
    const MultipartBody body = BuildMultipart(fields, {}, kJob);
    for (const auto& [name, value] : fields) {
      CHECK(value.find(body.boundary) == std::string::npos);
      CHECK(name.find(body.boundary) == std::string::npos);
    }
    fields.emplace_back(round % 2 == 0 ? "v" : body.boundary, "\r\n--" + body.boundary + "\r\n");
  }
}

TEST_CASE("multipart: memory for the body is taken once") {
  FormFields fields(100, {std::string(50, '"'), std::string(4000, 'x')});
  const MultipartBody body = BuildMultipart(fields, {}, kJob);
  CHECK(body.bytes.capacity() - body.bytes.size() < 100 * 200);
}

}  // namespace
}  // namespace outboxd
