#include <csignal>

#include "core_service/base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/tools/attempt_fixture.h"

// Agents that park, and what wakes their jobs.
namespace agentdesk::worker {
namespace {

using testing::ElementsAre;

TEST_F(AttemptTest, AllInputOfTheAttemptWakesAParkedJob) {
  Start();
  Wrote(110);  // perhaps in a buffer of the agent's, which it will never look into
  Say(R"({"type":"park"})");
  Wrote(120);
  Exit(0);
  EXPECT_EQ(Ok(calls_->releases).input_after_sequence(), kClaimed);
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, ParkWithoutInputWaitsForWhatComesAfterTheClaim) {
  Start();
  Say(R"({"type":"question","key":"k","content":"?"})");
  Say(R"({"type":"park"})");
  Exit(0);
  EXPECT_TRUE(calls_->releases.empty()) << "the question first";
  Ok(calls_->asks, Asked(v1::QUESTION_STATE_OPEN));
  EXPECT_EQ(Ok(calls_->releases).input_after_sequence(), kClaimed);
}

// Its question had its answer before this attempt, so no input is to come any more.
TEST_F(AttemptTest, AnOutcomeThatComesAfterTheParkWakesTheJob) {
  for (const bool exits_first : {false, true}) {
    agent_ = std::make_shared<AgentProbe>();
    Start();
    Say(R"({"type":"question","key":"k","content":"?"})");
    Say(R"({"type":"park"})");
    if (exits_first) Exit(0);
    Ok(calls_->asks, Asked(v1::QUESTION_STATE_ANSWERED, kClaimed - 5));
    if (!exits_first) Exit(0);
    EXPECT_EQ(Ok(calls_->releases).input_after_sequence(), kClaimed - 6);
    attempt_.reset();
  }
}

TEST_F(AttemptTest, ParkThenACrashIsAFailure) {
  Start();
  Say(R"({"type":"park"})");
  Exit(1);
  EXPECT_FALSE(calls_->failures.empty());
  EXPECT_TRUE(calls_->releases.empty());
}

TEST_F(AttemptTest, ParkPutsNoKillOff) {
  Start();
  Say(R"({"type":"park"})");
  alarms_.Advance(absl::Seconds(6));
  Say(R"({"type":"park"})");
  alarms_.Advance(absl::Seconds(5));
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM));
}

TEST_F(AttemptTest, NothingThatTheAgentSaysPutsTheKillAfterACancelOff) {
  for (const std::string line : {R"({"type":"park"})", R"({"type":"complete"})"}) {
    agent_ = std::make_shared<AgentProbe>();
    Start();
    CancelAsked(110);
    alarms_.Advance(absl::Seconds(6));
    Say(line);
    alarms_.Advance(absl::Seconds(5));
    EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM)) << line;
    attempt_.reset();
  }
}

TEST_F(AttemptTest, AnEndThatIsRefusedDoesNotSaveAParkedAgent) {
  Start();
  Say(R"({"type":"park"})");
  Say(R"({"type":"complete"})");
  Refuse(calls_->completions, InvalidField("result_json", "too deep"));
  alarms_.Advance(absl::Seconds(11));
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM));
}

TEST_F(AttemptTest, ParkStandsWhenTheTimeRunsOutAfterIt) {
  claim_.mutable_ticket()->set_timeout_s(60);
  Start();
  alarms_.Advance(absl::Seconds(55));
  Say(R"({"type":"park"})");
  alarms_.Advance(absl::Seconds(6));
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM));
  Exit(0, SIGTERM);
  EXPECT_TRUE(calls_->failures.empty());
  EXPECT_EQ(Ok(calls_->releases).input_after_sequence(), kClaimed);
}

TEST_F(AttemptTest, ParkComesTooLateWhenTheTimeHasRunOut) {
  claim_.mutable_ticket()->set_timeout_s(60);
  Start();
  alarms_.Advance(absl::Seconds(61));
  Say(R"({"type":"park"})");
  Exit(0);
  EXPECT_EQ(Ok(calls_->failures).error(), "timed out after 60 s");
}

}  // namespace
}  // namespace agentdesk::worker
