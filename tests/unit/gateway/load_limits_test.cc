#include "ws_gateway/load_limits.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/gateway/gateway_fixture.h"

namespace agentdesk::gateway {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(TokenBucketTest, LetsThroughSoMuchASecondAndMoreAfterAPause) {
  TokenBucket bucket(10);
  absl::Duration now = absl::Seconds(1000);
  const auto take = [&] {
    const bool there = bucket.Wait(now) == absl::ZeroDuration();
    if (there) bucket.Spend(1);
    return there;
  };
  int taken = 0;
  while (take()) ++taken;
  EXPECT_EQ(taken, 40);
  EXPECT_EQ(bucket.Wait(now), absl::Milliseconds(100));
  for (int i = 0; i < 100; ++i) {
    now += absl::Milliseconds(100);
    EXPECT_TRUE(take()) << i;
    EXPECT_FALSE(take()) << i;
  }
  now += absl::Hours(1);
  for (taken = 0; take();) ++taken;
  EXPECT_EQ(taken, 40);
}

TEST(TokenBucketTest, WhatIsLargerThanAllThatIsLeftIsPaidBack) {
  TokenBucket bucket(10);
  bucket.Spend(100);  // 60 more than there were
  EXPECT_EQ(bucket.Wait(absl::ZeroDuration()), absl::Milliseconds(6100));
  EXPECT_EQ(bucket.Wait(absl::Seconds(6.1)), absl::ZeroDuration());
}

TEST(TokenBucketTest, NoLimitIsNone) {
  TokenBucket bucket(0);
  bucket.Spend(1e9);
  EXPECT_EQ(bucket.Wait(absl::ZeroDuration()), absl::ZeroDuration());
}

class LoadLimitsTest : public GatewayTest {
 protected:
  void Limit(const LoadLimitOptions& options) {
    limited_.emplace(options, clock_);
    hub_ = std::make_unique<Hub>(commands_, clock_, IdSource::Real(), recent_, *limited_,
                                 connection_metrics_);
  }
  ~LoadLimitsTest() override {
    for (const std::unique_ptr<Browser>& browser : browsers_) {
      if (browser->handler != nullptr) Close(*browser);
    }
  }

  std::optional<LoadLimits> limited_;
};

TEST_F(LoadLimitsTest, TooManyMessagesAreRefusedAndThenTheConnectionIs) {
  Limit({.messages_per_second = 10});
  Begin();
  Browser& browser = Plain();
  Browser& other = Plain();
  const std::string ping = R"({"type":"ping"})";
  for (int i = 0; i < 40; ++i) browser.Say(ping);
  EXPECT_THAT(browser.Heard(), SizeIs(40));
  browser.Say(absl::StrCat(R"({"type":"user_response","session_id":")", kSession,
                           R"(","response":"yes","request_id":"mine"})"));
  EXPECT_THAT(browser.Heard(), ElementsAre(AllOf(HasSubstr(R"("code":"rate_limited")"),
                                                 HasSubstr(R"("retry_after_ms":100)"),
                                                 HasSubstr(R"("request_id":"mine")"))));
  EXPECT_THAT(commands_.responses, SizeIs(0));
  other.Say(ping);
  EXPECT_THAT(other.Heard(), ElementsAre(R"({"type":"pong"})"));
  clock_.Advance(absl::Milliseconds(100));
  browser.Say(ping);  // as it was told
  EXPECT_THAT(browser.Heard(), ElementsAre(R"({"type":"pong"})"));
  for (int i = 0; i < 100; ++i) browser.Say("nonsense");
  EXPECT_EQ(browser.socket->close_code(), 0);
  browser.Say(ping);
  EXPECT_EQ(browser.socket->close_code(), 4429);
  EXPECT_EQ(browser.socket->close_reason(), "too many messages, retry in 5 s");
  EXPECT_EQ(other.socket->close_code(), 0);
  EXPECT_EQ(limited_->refused().messages, 101);
  EXPECT_EQ(limited_->refused().floods, 1);
}

TEST_F(LoadLimitsTest, AFloodIsOneAlsoWhereAMessageGetsThroughNowAndThen) {
  Limit({.messages_per_second = 500});
  Begin();
  Browser& flood = Plain();
  Browser& obedient = Plain();
  const std::string ping = R"({"type":"ping"})";
  // 5,000 a second, of which each tenth is let through.
  int sent = 0;
  for (; flood.socket->close_code() == 0 && sent < 20000; ++sent) {
    flood.Say(ping);
    clock_.Advance(absl::Microseconds(200));
  }
  EXPECT_EQ(flood.socket->close_code(), 4429);
  EXPECT_LT(sent, 2600);
  // One who sends a little too much is refused a little, for as long as it likes.
  for (int i = 0; i < 2000; ++i) obedient.Say(ping);
  for (int i = 0; i < 1000; ++i) {
    obedient.Say(ping);
    clock_.Advance(absl::Milliseconds(40));
    for (int k = 0; k < 20; ++k) obedient.Say(ping);
  }
  EXPECT_EQ(obedient.socket->close_code(), 0);
}

TEST_F(LoadLimitsTest, AndSoAreTooManyBytes) {
  Limit({.bytes_per_second = 1000});
  Browser& browser = Plain();
  browser.Say(absl::StrCat(R"({"type":"ping","x":")", std::string(5000, 'x'), "\"}"));
  EXPECT_THAT(browser.Heard(), ElementsAre(R"({"type":"pong"})"));
  browser.Say(R"({"type":"ping"})");
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("rate_limited")));
  clock_.Advance(absl::Seconds(2));
  browser.Say(R"({"type":"ping"})");
  EXPECT_THAT(browser.Heard(), ElementsAre(R"({"type":"pong"})"));
}

TEST_F(LoadLimitsTest, AUserHasSoManyMessagesOnAllSocketsAndNoMoreAfterComingBack) {
  Limit({.user_messages_per_second = 10, .user_bytes_per_second = 1000});
  const Identity alice = User("alice", "acme");
  std::optional<LoadLimits::Place> first = limited_->Enter(alice);
  std::optional<LoadLimits::Place> second = limited_->Enter(alice);
  std::optional<LoadLimits::Place> bob = limited_->Enter(User("bob", "acme"));
  std::optional<LoadLimits::Place> other = limited_->Enter(User("alice", "zenith"));
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(limited_->TakeMessage(i % 2 == 0 ? *first : *second, 1), absl::ZeroDuration());
  }
  EXPECT_EQ(limited_->TakeMessage(*first, 1), absl::Milliseconds(100));
  EXPECT_EQ(limited_->TakeMessage(*second, 1), absl::Milliseconds(100));
  EXPECT_EQ(limited_->TakeMessage(*other, 1), absl::ZeroDuration()) << "somebody of another tenant";
  EXPECT_EQ(limited_->TakeMessage(*bob, 5000), absl::ZeroDuration());
  EXPECT_EQ(limited_->TakeMessage(*bob, 1), absl::Milliseconds(1001)) << "for their bytes";
  first.reset();
  second.reset();
  first = limited_->Enter(alice);
  EXPECT_EQ(limited_->TakeMessage(*first, 1), absl::Milliseconds(100));
  clock_.Advance(absl::Seconds(1));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(limited_->TakeMessage(*first, 1), absl::ZeroDuration());
  EXPECT_GT(limited_->TakeMessage(*first, 1), absl::ZeroDuration());
}

TEST(OutboxMemoryTest, TheShardWithTheLargestOutboxClosesItAndOnlyOnceAllHaveTold) {
  OutboxMemory memory(1000, 2);
  const auto never = []() -> size_t {
    ADD_FAILURE() << "there is not too much";
    return 0;
  };
  EXPECT_FALSE(memory.ShallClose(0, 500, never));
  EXPECT_FALSE(memory.ShallClose(1, 500, never));
  EXPECT_FALSE(memory.ShallClose(0, 501, [] { return size_t{400}; })) << "it cannot know of 1's";
  EXPECT_FALSE(memory.ShallClose(1, 500, [] { return size_t{450}; }));
  EXPECT_FALSE(memory.ShallClose(0, 501, [] { return size_t{400}; })) << "that of 1 is larger";
  EXPECT_TRUE(memory.ShallClose(1, 500, [] { return size_t{450}; }));
  EXPECT_FALSE(memory.ShallClose(1, 50, never)) << "that was enough";
  EXPECT_EQ(memory.Queued(), 551u);
}

TEST(OutboxMemoryTest, NoLimitIsNone) {
  OutboxMemory memory(0, 1);
  EXPECT_FALSE(memory.ShallClose(0, size_t{1} << 40, [] { return size_t{1} << 40; }));
}

TEST_F(LoadLimitsTest, TheLargestOutboxesAreClosedFirst) {
  Limit({});
  Begin();
  std::vector<Browser*> browsers;
  for (int i = 0; i < 4; ++i) {
    browsers.push_back(&Plain());
    browsers.back()->socket->Stall();
  }
  for (int i = 0; i < 4; ++i) {
    for (int k = 0; k <= i; ++k) browsers[static_cast<size_t>(i)]->Say(R"({"type":"ping"})");
  }
  const size_t pong = browsers[0]->socket->queued_bytes();
  ASSERT_EQ(browsers[3]->socket->queued_bytes(), 4 * pong);
  OutboxMemory memory(4 * pong, 1);
  const auto no_others = [](std::vector<Backlog>&) {};
  hub_->KeepWithin(memory, 0, 10 * pong, no_others);
  hub_->KeepWithin(memory, 0, 10 * pong, no_others);
  EXPECT_EQ(browsers[3]->socket->close_code(), 4430);
  EXPECT_EQ(browsers[3]->socket->close_reason(), "read too slowly while memory is short: resume");
  EXPECT_EQ(browsers[2]->socket->close_code(), 4430);
  EXPECT_EQ(browsers[1]->socket->close_code(), 0);
  EXPECT_EQ(browsers[0]->socket->close_code(), 0);
  EXPECT_EQ(limited_->refused().outboxes, 2);
}

TEST_F(LoadLimitsTest, AResponseThatWaitsIsClosedInItsTurn) {
  Limit({});
  Begin();
  Browser& browser = Plain();
  browser.socket->Stall();
  browser.Say(R"({"type":"ping"})");
  const size_t pong = browser.socket->queued_bytes();
  std::vector<size_t> closed;
  const auto responses = [&](std::vector<Backlog>& backlogs) {
    for (const size_t bytes : {pong / 2, pong * 3, pong * 2}) {
      backlogs.push_back({bytes, [&closed, bytes] { closed.push_back(bytes); }});
    }
  };
  OutboxMemory memory(2 * pong, 1);
  hub_->KeepWithin(memory, 0, 6 * pong + pong / 2, responses);
  hub_->KeepWithin(memory, 0, 6 * pong + pong / 2, responses);
  EXPECT_EQ(closed, (std::vector<size_t>{pong * 3, pong * 2}));
  EXPECT_EQ(browser.socket->close_code(), 0);
  EXPECT_EQ(limited_->refused().outboxes, 2);
}

TEST_F(LoadLimitsTest, OneHandshakeTooManyIsToldWhenToComeBack) {
  Limit({.handshakes_per_second = 1});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(limited_->TakeHandshake(), absl::ZeroDuration());
  ConnectionOptions options;
  options.busy_for = limited_->TakeHandshake();
  EXPECT_EQ(options.busy_for, absl::Seconds(1));
  Browser& browser = Connect(std::move(options));
  EXPECT_EQ(browser.socket->close_code(), 1013);
  EXPECT_EQ(browser.socket->close_reason(), "too many handshakes, retry in 1 s");
  EXPECT_EQ(limited_->refused().handshakes, 1);
}

}  // namespace
}  // namespace agentdesk::gateway
