#include "core_service/rpc/grpc_status.h"

#include <gtest/gtest.h>

#include <string>

#include "core_service/base/error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace agentdesk::rpc {
namespace {

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

template <typename Detail>
Detail Only(const google::rpc::Status& status) {
  Detail found;
  int count = 0;
  for (const auto& detail : status.details()) count += detail.UnpackTo(&found) ? 1 : 0;
  EXPECT_EQ(count, 1) << status.DebugString();
  return found;
}

TEST(GrpcStatusTest, OkIsOkWithoutDetails) {
  const grpc::Status status = ToGrpc(absl::OkStatus());
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.error_details(), "");
}

TEST(GrpcStatusTest, CodesKeepTheirMeaning) {
  EXPECT_EQ(ToGrpc(absl::NotFoundError("")).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ToGrpc(absl::OutOfRangeError("")).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ToGrpc(absl::UnavailableError("")).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ToGrpc(absl::UnauthenticatedError("")).error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST(GrpcStatusTest, NamesTheFieldInTextAndBadRequest) {
  const grpc::Status status = ToGrpc(InvalidField("ticket_name", "must have 1 to 500 characters"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "ticket_name: must have 1 to 500 characters");
  const google::rpc::Status details = Details(status);
  EXPECT_EQ(details.code(), 3);
  EXPECT_EQ(details.message(), status.error_message());
  EXPECT_EQ(Only<google::rpc::BadRequest>(details).field_violations(0).field(), "ticket_name");
  const auto info = Only<google::rpc::ErrorInfo>(details);
  EXPECT_EQ(info.reason(), "invalid_argument");
  EXPECT_EQ(info.domain(), "agentdesk.v1");
}

TEST(GrpcStatusTest, CarriesReasonMetadataAndRetry) {
  const grpc::Status status = ToGrpc(WithDetail(absl::ResourceExhaustedError("too much"),
                                                {.reason = "overloaded",
                                                 .field = "",
                                                 .retry_after = absl::Milliseconds(250),
                                                 .metadata = {{"available_from", "17"}}}));
  const google::rpc::Status details = Details(status);
  const auto info = Only<google::rpc::ErrorInfo>(details);
  EXPECT_EQ(info.reason(), "overloaded");
  EXPECT_EQ(info.metadata().at("available_from"), "17");
  EXPECT_EQ(Only<google::rpc::RetryInfo>(details).retry_delay().nanos(), 250000000);
}

TEST(GrpcStatusTest, AnErrorWithoutDetailStillHasAReason) {
  EXPECT_EQ(Only<google::rpc::ErrorInfo>(Details(ToGrpc(absl::NotFoundError("no")))).reason(),
            "not_found");
}

TEST(GrpcStatusTest, StaysWithinTrailingMetadata) {
  std::string text;
  for (int i = 0; i < 10000; ++i) text += "ä";
  const grpc::Status status =
      ToGrpc(WithDetail(absl::InternalError(text), {.reason = "x",
                                                    .field = "f",
                                                    .retry_after = std::nullopt,
                                                    .metadata = {{"big", text}, {"small", "1"}}}));
  // Percent-encoded each byte of the text may take three.
  EXPECT_LT(status.error_message().size() * 3 + status.error_details().size() * 4 / 3, 8000u);
  EXPECT_EQ(status.error_message().size() % 2, 0u) << "cut within a character";
  const auto info = Only<google::rpc::ErrorInfo>(Details(status));
  EXPECT_EQ(info.metadata().count("big"), 0u);
  EXPECT_EQ(info.metadata().at("small"), "1");
}

}  // namespace
}  // namespace agentdesk::rpc
