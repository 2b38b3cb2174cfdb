#include "core/track_route.h"

#include <doctest/doctest.h>

namespace outboxd {
namespace {

TrackRoute Route(std::string_view method, std::string_view path) {
  const Result<TrackRoute> route = FindTrackRoute(method, path);
  REQUIRE(route.has_value());
  return *route;
}

TEST_CASE("track route: what a request of each version is, and who may send it without credentials") {
  CHECK(IsSecondVersion(Route("POST", "/api/v2/batch").kind));
  CHECK(IsSecondVersion(Route("POST", "/api/v2/entity").kind));
  CHECK_FALSE(IsSecondVersion(Route("POST", "/api/v1/events").kind));
  for (const char* open :
       {"/api/v1/metrics", "/push/events", "/api/v1/cio_deliveries/events", "/unsubscribe/abc"})
    CHECK(Route("POST", open).access == TrackAccess::kOpen);
  CHECK(Route("POST", "/api/v1/events").access == TrackAccess::kCredentials);
}

TEST_CASE("track route: unknown paths and other methods") {
  CHECK(FindTrackRoute("GET", "/api/v1/nothing").error().kind == ErrorKind::kNotFound);
  CHECK(FindTrackRoute("PUT", "/api/v1/customers/").error().kind == ErrorKind::kNotFound);
  CHECK(FindTrackRoute("PUT", "/api/v1/customers/1/").error().kind == ErrorKind::kNotFound);
  CHECK(FindTrackRoute("GET", "/api/v1/customers/1").error().field == "DELETE, PUT");
  const Result<TrackRoute> device = FindTrackRoute("DELETE", "/api/v1/customers/a%2Fb/devices/c%2Fd");
  REQUIRE(device.has_value());
  CHECK(device->type == JobType::kDeleteDevice);
  CHECK(device->customer == "a%2Fb");
  CHECK(device->argument == "c%2Fd");
}

TEST_CASE("track route: a path of another API of Customer.io is told with that API's host") {
  const auto why = [](std::string_view path) { return FindTrackRoute("POST", path).error().message; };
  for (const char* path : {"/v1/send/email", "/v1/send/push", "/v1/campaigns/1/triggers"}) {
    CHECK(why(path).find("https://api.customer.io") != std::string::npos);
    CHECK(why(path).find("https://api-eu.customer.io") != std::string::npos);
  }
  for (const char* path :
       {"/v1/identify", "/v1/track", "/v1/page", "/v1/screen", "/v1/group", "/v1/alias", "/v1/batch"}) {
    CHECK(why(path).find("https://cdp.customer.io") != std::string::npos);
    CHECK(why(path).find("https://cdp-eu.customer.io") != std::string::npos);
  }
  CHECK(why("/api/v1/nothing").find("https") == std::string::npos);
}

TEST_CASE("track route: only a job's path gives its type, and an entity is the same alone and in a batch") {
  CHECK(Route("POST", "/api/v1/forms/f/submit").type == JobType::kForm);
  CHECK_FALSE(Route("POST", "/api/v2/batch").type);
  CHECK_FALSE(Route("GET", "/api/v1/accounts/region").type);
  const TrackRoute entity = Route("POST", "/api/v2/entity");
  CHECK_FALSE(entity.type);
  CHECK(entity.kind == TrackKind::kEntity);
  CHECK(EntityRoute().kind == entity.kind);
  CHECK((EntityRoute().read == entity.read));
}

}  // namespace
}  // namespace outboxd
