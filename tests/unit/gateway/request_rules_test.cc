#include <string>

#include "core_service/base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "ws_gateway/http_error.h"
#include "ws_gateway/origin.h"

namespace agentdesk::gateway {
namespace {

using ::agentdesk::testing::HasError;
using ::agentdesk::testing::Value;
using ::testing::ElementsAre;
using ::testing::Pair;

TEST(OriginTest, TheDefaultListAndTheOwnOrigin) {
  const OriginList list = Value(OriginList::Parse({"http://localhost:*", "http://127.0.0.1:*"}));
  const std::string host = "192.168.0.7:8000";
  for (const std::string origin :
       {"http://localhost", "http://localhost:5173", "http://LOCALHOST:1", "http://127.0.0.1:80",
        "http://192.168.0.7:8000", "https://192.168.0.7:8000"}) {
    EXPECT_TRUE(list.Allows(origin, host)) << origin;
  }
  for (const std::string origin :
       {"null", "http://evil.example", "https://localhost:1", "http://localhost.evil.example:80",
        "http://localhost:80.evil.example", "http://localhost:", "http://localhostile",
        "http://192.168.0.7:8001", "http://192.168.0.70:8000", "file://", "*"}) {
    EXPECT_FALSE(list.Allows(origin, host)) << origin;
  }
}

TEST(OriginTest, ANameIsNotBelievedToBeOurOwn) {
  // A foreign page can make its own name point at this machine (DNS rebinding).
  const OriginList list = Value(OriginList::Parse({}));
  EXPECT_FALSE(list.Allows("http://evil.example:8000", "evil.example:8000"));
  EXPECT_TRUE(list.Allows("http://[::1]:8000", "[::1]:8000"));
  EXPECT_TRUE(list.Allows("http://127.0.0.1", "127.0.0.1"));
}

TEST(OriginTest, EntriesAreExactUnlessTheySayMore) {
  const OriginList list = Value(OriginList::Parse({"https://desk.example", " "}));
  EXPECT_TRUE(list.Allows("https://desk.example", ""));
  EXPECT_FALSE(list.Allows("https://desk.example:444", ""));
  EXPECT_FALSE(list.Allows("http://desk.example", ""));
  EXPECT_TRUE(Value(OriginList::Parse({"*"})).Allows("http://any.example", ""));
  EXPECT_THAT(OriginList::Parse({"desk.example"}),
              HasError(absl::StatusCode::kInvalidArgument, "desk.example"));
  EXPECT_THAT(OriginList::Parse({"https://desk.example/"}),
              HasError(absl::StatusCode::kInvalidArgument, "https://desk.example/"));
}

TEST(HttpErrorTest, EveryCodeHasItsStatus) {
  const struct {
    absl::Status status;
    int http;
  } cases[] = {
      {InvalidField("f", "rule"), 422},
      {ErrorWithReason(absl::StatusCode::kInvalidArgument, "invalid_json", "x"), 400},
      {absl::UnauthenticatedError(""), 401},
      {absl::PermissionDeniedError(""), 403},
      {absl::NotFoundError(""), 404},
      {absl::AlreadyExistsError(""), 409},
      {absl::FailedPreconditionError(""), 409},
      {absl::ResourceExhaustedError(""), 429},
      {absl::UnavailableError(""), 503},
      {absl::DeadlineExceededError(""), 503},
      {absl::InternalError(""), 500},
  };
  for (const auto& c : cases) EXPECT_EQ(ErrorResponse(c.status).status, c.http) << c.status;
}

TEST(HttpErrorTest, SaysWhatWhereAndWhenToComeBack) {
  EXPECT_EQ(ErrorResponse(InvalidField("priority", "must be 0 to 9")).body,
            R"({"error":{"code":"invalid_argument","message":"priority: must be 0 to 9",)"
            R"("field":"priority"}})");
  EXPECT_EQ(ErrorResponse(absl::AlreadyExistsError("in use"), R"("ticket":{})").body,
            R"({"error":{"code":"already_exists","message":"in use"},"ticket":{}})");
  EXPECT_THAT(ErrorResponse(absl::UnavailableError("")).headers,
              ElementsAre(Pair("Retry-After", "1")));
  EXPECT_THAT(ErrorResponse(WithDetail(absl::ResourceExhaustedError(""),
                                       {.reason = "overloaded",
                                        .field = {},
                                        .retry_after = absl::Milliseconds(2100),
                                        .metadata = {}}))
                  .headers,
              ElementsAre(Pair("Retry-After", "3")));
}

}  // namespace
}  // namespace agentdesk::gateway
