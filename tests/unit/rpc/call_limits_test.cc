#include "core_service/rpc/call_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "tests/support/fake_clock.h"

namespace agentdesk::rpc {
namespace {

using ::testing::HasSubstr;

class CallLimitsTest : public ::testing::Test {
 protected:
  void Limit(const CallLimitOptions& options) { limits_.emplace(options, clock_); }
  int TakeAll(const std::string& identity) {
    int taken = 0;
    while (limits_->TakeCall(identity).ok()) ++taken;
    return taken;
  }

  agentdesk::testing::FakeClock clock_;
  std::optional<CallLimits> limits_;
};

TEST_F(CallLimitsTest, AnIdentityMayMakeSoManyCallsASecond) {
  Limit({.calls_per_second = 10});
  EXPECT_EQ(TakeAll("alice"), 40);
  const absl::Status refused = limits_->TakeCall("alice");
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(DetailOf(refused).reason, "rate_limited");
  EXPECT_EQ(DetailOf(refused).retry_after, absl::Milliseconds(100));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("10 a second; repeat in 100ms"));
  EXPECT_EQ(TakeAll("bob"), 40) << "each has a bucket of its own";
  clock_.Advance(*DetailOf(refused).retry_after);
  EXPECT_EQ(TakeAll("alice"), 1);
}

TEST_F(CallLimitsTest, AnIdentityMayHaveSoManyStreams) {
  Limit({.streams = 2});
  std::optional<absl::StatusOr<CallLimits::Place>> first(limits_->EnterStream("alice"));
  const absl::StatusOr<CallLimits::Place> second = limits_->EnterStream("alice");
  ASSERT_TRUE(first->ok() && second.ok());
  const absl::Status refused = limits_->EnterStream("alice").status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(DetailOf(refused).reason, "too_many_streams");
  EXPECT_TRUE(DetailOf(refused).retry_after.has_value());
  EXPECT_TRUE(limits_->EnterStream("bob").ok());
  first.reset();
  EXPECT_TRUE(limits_->EnterStream("alice").ok());
}

TEST_F(CallLimitsTest, AStreamIsACallWhenItBegins) {
  Limit({.calls_per_second = 1});
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(limits_->EnterStream("alice").ok());
  EXPECT_EQ(DetailOf(limits_->EnterStream("alice").status()).reason, "rate_limited");
  EXPECT_FALSE(limits_->TakeCall("alice").ok());
}

TEST_F(CallLimitsTest, NoLimitIsNone) {
  Limit({});
  for (int i = 0; i < 10000; ++i) ASSERT_TRUE(limits_->TakeCall("alice").ok());
  EXPECT_EQ(limits_->identities(), 0u);
}

TEST_F(CallLimitsTest, WhoHasBeenQuietIsForgottenAndWhoHasNotIsNot) {
  Limit({.calls_per_second = 1, .streams = 1});
  const absl::StatusOr<CallLimits::Place> follows = limits_->EnterStream("follows");
  for (int i = 0; i < 100000; ++i) {
    ASSERT_TRUE(limits_->TakeCall(absl::StrCat("user ", i)).ok());
    (void)limits_->TakeCall("busy");
    clock_.Advance(absl::Milliseconds(10));
  }
  EXPECT_LT(limits_->identities(), 3000u) << "some hundred call at a time";
  EXPECT_EQ(DetailOf(limits_->EnterStream("follows").status()).reason, "too_many_streams");
  EXPECT_LE(TakeAll("busy"), 1);
}

}  // namespace
}  // namespace agentdesk::rpc
