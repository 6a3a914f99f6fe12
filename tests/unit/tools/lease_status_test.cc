#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core_service/base/error.h"
#include "gtest/gtest.h"
#include "tools/agentdesk-worker/lease_calls.h"

namespace agentdesk::worker {
namespace {

absl::Status Lost() {
  return ErrorWithReason(absl::StatusCode::kFailedPrecondition, "lease_lost", "the lease ran out");
}

TEST(LeaseStatusTest, WhatTheCoreMayHaveDoneIsAskedAgainUnderTheSameRequestId) {
  ErrorDetail later;
  later.retry_after = absl::Seconds(1);
  for (const absl::Status& status :
       {absl::UnavailableError(""), absl::DeadlineExceededError(""), absl::CancelledError(""),
        absl::UnknownError(""), absl::InternalError("the outcome is unknown"),
        WithDetail(absl::ResourceExhaustedError(""), later)}) {
    EXPECT_TRUE(IsTransient(status)) << status;
  }
  for (const absl::Status& status : {absl::InvalidArgumentError(""), absl::NotFoundError(""),
                                     absl::ResourceExhaustedError("100 open questions"), Lost()}) {
    EXPECT_FALSE(IsTransient(status)) << status;
  }
}

TEST(LeaseStatusTest, WhatTheCoreSays) {
  EXPECT_TRUE(IsLeaseLost(Lost()));
  EXPECT_TRUE(IsLeaseLost(absl::NotFoundError("no such job")));
  EXPECT_FALSE(
      IsLeaseLost(ErrorWithReason(absl::StatusCode::kNotFound, "unknown_question", "no question")));
  EXPECT_FALSE(IsLeaseLost(
      ErrorWithReason(absl::StatusCode::kFailedPrecondition, "cancelling", "being cancelled")));
  EXPECT_TRUE(IsTransient(absl::UnavailableError("")));
  EXPECT_TRUE(IsTransient(WithDetail(
      absl::ResourceExhaustedError(""),
      {.reason = "overloaded", .field = "", .retry_after = absl::Seconds(1), .metadata = {}})));
  EXPECT_FALSE(IsTransient(
      WithDetail(absl::ResourceExhaustedError("100 are open"), {.reason = "too_many_open_questions",
                                                                .field = "",
                                                                .retry_after = absl::Seconds(30),
                                                                .metadata = {}})));
  EXPECT_FALSE(IsTransient(absl::ResourceExhaustedError("")));
  EXPECT_FALSE(IsTransient(absl::InvalidArgumentError("")));
}

}  // namespace
}  // namespace agentdesk::worker
