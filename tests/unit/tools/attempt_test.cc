#include "tools/agentdesk-worker/attempt.h"

#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/tools/attempt_fixture.h"

namespace agentdesk::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

absl::Status Lost() {
  return ErrorWithReason(absl::StatusCode::kFailedPrecondition, "lease_lost", "the lease ran out");
}

TEST_F(AttemptTest, ALeaseThatWasGivenBeforeIsRenewedAtOnce) {
  claim_.set_replayed(true);
  Prepare();
  alarms_.Advance(absl::ZeroDuration());
  EXPECT_EQ(calls_->renewals.size(), 1u);
}

TEST_F(AttemptTest, TranscriptEndsAtTheClaimAndInputBeginsThere) {
  Prepare();
  v1::ListEventsResponse page;
  page.add_events()->set_sequence(kClaimed - 1);
  page.set_next_page_token("more");
  page.set_up_to_sequence(kClaimed - 1);
  EXPECT_EQ(Ok(calls_->lists, page).filter().session_ids(0), "s-1");
  v1::ListEventsResponse rest;
  rest.add_events()->set_sequence(kClaimed);
  rest.add_events()->set_sequence(kClaimed + 1);
  rest.set_next_page_token("never read");
  rest.set_up_to_sequence(kClaimed + 1);
  EXPECT_EQ(Ok(calls_->lists, rest).page_token(), "more");
  ASSERT_EQ(agent_->lines.size(), 1u);
  EXPECT_THAT(agent_->lines[0], HasSubstr("\"sequence\":99"));
  EXPECT_THAT(agent_->lines[0], HasSubstr("\"sequence\":100"));
  EXPECT_THAT(agent_->lines[0], testing::Not(HasSubstr("\"sequence\":101")));
  EXPECT_EQ(calls_->input_after, kClaimed);
}

TEST_F(AttemptTest, WhatTheAgentSaysGoesOutInOrderOneBatchAtATime) {
  Start();
  Say(R"({"type":"message","content":"1"})");
  Say(R"({"type":"message","content":"2"})");
  Say(R"({"type":"checkpoint","state":{"n":1}})");
  Say(R"({"type":"checkpoint","state":{"n":2}})");
  Say(R"({"type":"question","key":"k","content":"?"})");
  Say(R"({"type":"message","content":"3"})");
  ASSERT_EQ(calls_->reports.size(), 1u) << "the first goes at once, the rest wait for it";
  EXPECT_EQ(Ok(calls_->reports).activities_size(), 1);
  const auto batch = Ok(calls_->reports);
  EXPECT_EQ(batch.activities(0).message().content(), "2");
  EXPECT_EQ(batch.checkpoint_json(), R"({"n":2})") << "the last one stands";
  EXPECT_TRUE(calls_->reports.empty());
  Ok(calls_->asks, Asked(v1::QUESTION_STATE_OPEN));
  EXPECT_EQ(Ok(calls_->reports).activities(0).message().content(), "3");
}

TEST_F(AttemptTest, CompleteEndsTheAttempt) {
  Start();
  Say(R"({"type":"message","content":"1"})");
  Say(R"({"type":"complete","summary":"done","result":{"x":1}})");
  EXPECT_TRUE(calls_->completions.empty()) << "not before what was said";
  Ok(calls_->reports);
  const auto completed = Ok(calls_->completions);
  EXPECT_EQ(completed.summary(), "done");
  EXPECT_EQ(completed.result_json(), R"({"x":1})");
  EXPECT_EQ(over_, 0) << "the agent still runs";
  Exit(0);
  EXPECT_EQ(over_, 1);
  EXPECT_TRUE(calls_->failures.empty());
}

TEST_F(AttemptTest, AnAgentThatStaysAfterItsEndIsKilled) {
  Start();
  Say(R"({"type":"complete"})");
  Ok(calls_->completions);
  alarms_.Advance(absl::Seconds(11));
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM));
  alarms_.Advance(absl::Seconds(3));
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM, SIGKILL));
  Exit(0, SIGKILL);
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, AnEndThatIsRefusedMayBeGivenAnew) {
  Start();
  Say(R"({"type":"complete"})");
  Refuse(calls_->completions, InvalidField("result_json", "too deep"));
  ASSERT_EQ(agent_->lines.size(), 1u);
  EXPECT_THAT(agent_->lines[0], HasSubstr("\"type\":\"error\""));
  Say(R"({"type":"complete"})");
  Ok(calls_->completions);
  Exit(0);
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, AnEndThatIsRefusedAfterTheAgentIsGoneFailsTheAttempt) {
  Start();
  Say(R"({"type":"complete"})");
  Exit(0);
  Refuse(calls_->completions, InvalidField("result_json", "too deep"));
  const auto failed = Ok(calls_->failures);
  EXPECT_THAT(failed.error(), HasSubstr("too deep"));
  EXPECT_TRUE(failed.retryable());
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, AnAgentThatJustEndsHasFailedWithTheEndOfItsStderr) {
  Start();
  Exit(3, 0, "the disk is full");
  const auto failed = Ok(calls_->failures);
  EXPECT_THAT(failed.error(), HasSubstr("the disk is full"));
  EXPECT_THAT(failed.error(), HasSubstr("exit code 3"));
  EXPECT_TRUE(failed.retryable());
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, ALongStderrFits) {
  Start();
  Exit(3, 0, absl::StrCat(std::string(kMaxSummaryBytes, 'x'), "END"));
  const auto failed = Ok(calls_->failures);
  EXPECT_LE(failed.error().size(), kMaxSummaryBytes);
  EXPECT_TRUE(absl::EndsWith(failed.error(), "END"));
}

TEST_F(AttemptTest, AJobWhoseAgentCannotBeStartedHereIsGivenBack) {
  start_error_ = absl::ResourceExhaustedError("cannot fork");
  Prepare();
  Ok(calls_->lists);
  EXPECT_THAT(started_, ElementsAre(start_error_));
  Ok(calls_->releases);
  EXPECT_THAT(calls_->failures, IsEmpty());
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, AJobWhoseTranscriptCannotBeKeptHereIsGivenBack) {
  transcript_directory_ = "/nowhere";
  Prepare();
  EXPECT_TRUE(absl::IsNotFound(started_.at(0)));
  Ok(calls_->releases);
  EXPECT_THAT(calls_->failures, IsEmpty());
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, TheOutcomeOfAKeyAskedAgainComesAtOnce) {
  Start();
  Say(R"({"type":"question","key":"k","content":"?"})");
  Ok(calls_->asks, Asked(v1::QUESTION_STATE_ANSWERED, kClaimed - 5));
  ASSERT_EQ(agent_->lines.size(), 1u);
  EXPECT_THAT(agent_->lines[0], HasSubstr("\"type\":\"answer\""));
}

TEST_F(AttemptTest, AnAnswerThatTheStreamBringsIsNotToldTwice) {
  Start();
  Say(R"({"type":"question","key":"k","content":"?"})");
  Answered(110);  // the core had stored the question, its response was lost on the way
  Ok(calls_->asks, Asked(v1::QUESTION_STATE_ANSWERED, 110));
  EXPECT_EQ(agent_->lines.size(), 1u);

  Say(R"({"type":"question","key":"k2","content":"?"})");
  Ok(calls_->asks, Asked(v1::QUESTION_STATE_ANSWERED, 120));  // and the other way round
  EXPECT_EQ(agent_->lines.size(), 1u);
  Answered(120);
  EXPECT_EQ(agent_->lines.size(), 2u);
}

TEST_F(AttemptTest, AskedAgainAfterItsAnswerItIsToldAgain) {
  Start();
  Say(R"({"type":"question","key":"k","content":"?"})");
  Ok(calls_->asks, Asked(v1::QUESTION_STATE_OPEN));
  Answered(110);
  Say(R"({"type":"question","key":"k","content":"?"})");
  Ok(calls_->asks, Asked(v1::QUESTION_STATE_ANSWERED, 110));
  EXPECT_EQ(agent_->lines.size(), 2u);
}

TEST_F(AttemptTest, RefusedLinesAreToldWithTheirKey) {
  Start();
  Say(R"({"type":"question","key":"k"})");
  Say(R"({"type":"question","key":"k2","content":"?"})");
  Refuse(calls_->asks,
         ErrorWithReason(absl::StatusCode::kInvalidArgument, "question_key_reused", "other"));
  agent_->listener->OnLineTooLong();
  ASSERT_EQ(agent_->lines.size(), 3u);
  EXPECT_THAT(agent_->lines[0], HasSubstr(R"("code":"invalid_argument")"));
  EXPECT_THAT(agent_->lines[1], HasSubstr(R"("code":"question_key_reused")"));
  EXPECT_THAT(agent_->lines[1], HasSubstr(R"("key":"k2")"));
  EXPECT_THAT(agent_->lines[2], HasSubstr(R"("code":"line_too_long")"));
}

TEST_F(AttemptTest, OnlyWhatIsAtFaultInABatchIsRefused) {
  Start();
  Say(R"({"type":"message","content":"0"})");
  Say(R"({"type":"message","content":"1","key":"good"})");
  Say(R"({"type":"tool_call","tool_name":"","key":"bad"})");
  Say(R"({"type":"message","content":"3"})");
  Ok(calls_->reports);
  Refuse(calls_->reports, InvalidField("activities[1].tool_call.tool_name", "1 to 200"));
  EXPECT_EQ(Ok(calls_->reports).activities(0).message().key(), "good");
  Refuse(calls_->reports, InvalidField("activities[0].tool_call.tool_name", "1 to 200"));
  EXPECT_EQ(Ok(calls_->reports).activities(0).message().content(), "3");
  ASSERT_EQ(agent_->lines.size(), 1u);
  EXPECT_THAT(agent_->lines[0], HasSubstr(R"("key":"bad")"));
}

TEST_F(AttemptTest, LeaseIsRenewedAtAThirdOfItsTerm) {
  Start();
  alarms_.Advance(absl::Seconds(9));
  EXPECT_TRUE(calls_->renewals.empty());
  alarms_.Advance(absl::Seconds(1));
  ASSERT_EQ(calls_->renewals.size(), 1u);
  calls_->renewals[0](v1::RenewLeaseResponse());
  alarms_.Advance(absl::Seconds(10));
  EXPECT_EQ(calls_->renewals.size(), 2u);
}

TEST_F(AttemptTest, LostLeaseKillsAtOnceAndNothingMoreGoesOut) {
  Start();
  Say(R"({"type":"message","content":"1"})");
  Say(R"({"type":"message","content":"2"})");
  alarms_.Advance(absl::Seconds(10));
  calls_->renewals[0](Lost());
  EXPECT_THAT(agent_->signals, ElementsAre(SIGKILL));
  Ok(calls_->reports);
  Say(R"({"type":"message","content":"3"})");
  EXPECT_TRUE(calls_->reports.empty());
  EXPECT_EQ(over_, 0);
  Exit(0, SIGKILL);
  EXPECT_EQ(over_, 1);
  EXPECT_TRUE(calls_->failures.empty());
}

TEST_F(AttemptTest, AnyCallThatSaysSoLosesTheLease) {
  Start();
  Say(R"({"type":"question","key":"k","content":"?"})");
  Refuse(calls_->asks, Lost());
  EXPECT_THAT(agent_->signals, ElementsAre(SIGKILL));
}

TEST_F(AttemptTest, TheStreamsEndOfAnAttemptThatIsBeingEndedIsNoLoss) {
  Start();
  Say(R"({"type":"complete"})");
  v1::ReceiveInputResponse lost;
  lost.mutable_lease_lost();
  Input(130, lost);
  alarms_.Advance(absl::Seconds(10));
  for (auto& renewal : calls_->renewals) renewal(Lost());
  EXPECT_THAT(agent_->signals, testing::Not(testing::Contains(SIGKILL)));
  Ok(calls_->completions);
  Exit(0);
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, CoreAwayKeepsTheAgentForItsGrace) {
  Start();
  alarms_.Advance(absl::Seconds(10));
  for (int minute = 0; minute < 14; ++minute) {
    for (int i = 0; i < 60; ++i) {
      while (!calls_->renewals.empty()) {
        auto renewal = std::move(calls_->renewals.front());
        calls_->renewals.pop_front();
        renewal(absl::UnavailableError("away"));
      }
      alarms_.Advance(absl::Seconds(1));
    }
  }
  EXPECT_THAT(agent_->signals, IsEmpty());
  for (int i = 0; i < 120 && agent_->signals.empty(); ++i) {
    while (!calls_->renewals.empty()) {
      auto renewal = std::move(calls_->renewals.front());
      calls_->renewals.pop_front();
      renewal(absl::UnavailableError("away"));
    }
    alarms_.Advance(absl::Seconds(1));
  }
  EXPECT_THAT(agent_->signals, ElementsAre(SIGKILL));
  Exit(0, SIGKILL);
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, OutputIsHeldBackUpToALimit) {
  Start();
  const std::string line =
      R"({"type":"message","content":")" + std::string(32 * 1024, 'x') + R"("})";
  for (int i = 0; i < 250; ++i) Say(line);
  EXPECT_TRUE(agent_->reads_output);
  for (int i = 0; i < 10; ++i) Say(line);
  EXPECT_FALSE(agent_->reads_output);
  Ok(calls_->reports);
  Ok(calls_->reports);
  EXPECT_TRUE(agent_->reads_output);
}

TEST_F(AttemptTest, AnAgentThatDoesNotReadGetsNoMoreInputUntilItDoes) {
  Start();
  EXPECT_EQ(calls_->inputs_wanted, 1);
  agent_->unsent = 2 << 20;
  Wrote(110);
  EXPECT_EQ(calls_->inputs_wanted, 1);
  agent_->unsent = 0;
  agent_->listener->OnInputDrained();
  EXPECT_EQ(calls_->inputs_wanted, 2);
}

TEST_F(AttemptTest, CancelIsToldOnceAndEndsAsReleased) {
  Start();
  CancelAsked(110);
  alarms_.Advance(absl::Seconds(10));
  v1::RenewLeaseResponse renewed;
  renewed.set_cancelling(true);
  calls_->renewals[0](renewed);
  EXPECT_THAT(agent_->lines, ElementsAre(R"({"type":"cancel"})"));
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM)) << "after its grace of 10 s";
  Exit(0, SIGTERM);
  EXPECT_FALSE(Ok(calls_->releases).has_run_after());
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, AnAgentMayCompleteWhenCancelled) {
  Start();
  CancelAsked(110);
  Say(R"({"type":"complete","summary":"half of it"})");
  Exit(0);
  EXPECT_EQ(Ok(calls_->completions).summary(), "half of it");
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, CancelBeforeTheAgentRunsStartsNone) {
  Prepare();
  alarms_.Advance(absl::Seconds(10));
  v1::RenewLeaseResponse renewed;
  renewed.set_cancelling(true);
  calls_->renewals[0](renewed);
  Ok(calls_->lists);
  EXPECT_FALSE(agent_->alive);
  Ok(calls_->releases);
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, TimeoutCountsOnlyTheTimeThatTheAgentRuns) {
  claim_.mutable_ticket()->set_timeout_s(60);
  *claim_.mutable_lease_duration() = ToProto(absl::Hours(10));
  Start();
  alarms_.Advance(absl::Seconds(30));
  Say(R"({"type":"question","key":"k","content":"?"})");
  alarms_.Advance(absl::Hours(1));
  Ok(calls_->asks, Asked(v1::QUESTION_STATE_OPEN));
  alarms_.Advance(absl::Hours(1));
  Answered(110);
  alarms_.Advance(absl::Seconds(29));
  EXPECT_THAT(agent_->signals, IsEmpty());
  alarms_.Advance(absl::Seconds(2));
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM));
  Exit(0, SIGTERM);
  const auto failed = Ok(calls_->failures);
  EXPECT_EQ(failed.error(), "timed out after 60 s");
  EXPECT_TRUE(failed.retryable());
}

TEST_F(AttemptTest, AnAnswerThatOvertakesItsQuestionDoesNotStopTheClock) {
  claim_.mutable_ticket()->set_timeout_s(60);
  Start();
  Say(R"({"type":"question","key":"k","content":"?"})");
  Answered(110);
  Ok(calls_->asks, Asked(v1::QUESTION_STATE_OPEN));  // as it stood when it was asked
  alarms_.Advance(absl::Seconds(61));
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM));
}

TEST_F(AttemptTest, ARefusedQuestionLetsTheClockRun) {
  claim_.mutable_ticket()->set_timeout_s(60);
  Start();
  Say(R"({"type":"question","key":"k","content":"?"})");
  Refuse(calls_->asks, InvalidField("content", "no"));
  alarms_.Advance(absl::Seconds(61));
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM));
}

TEST_F(AttemptTest, StopGivesTheJobBackAfterWhatWasSaid) {
  Start();
  Say(R"({"type":"message","content":"1"})");
  attempt_->Stop();
  EXPECT_THAT(agent_->signals, ElementsAre(SIGTERM));
  Say(R"({"type":"checkpoint","state":1})");
  Exit(0, SIGTERM);
  Ok(calls_->reports);
  EXPECT_EQ(Ok(calls_->reports).checkpoint_json(), "1");
  EXPECT_FALSE(Ok(calls_->releases).has_input_after_sequence());
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, StopBeforeStartGivesTheJobBack) {
  Prepare();
  attempt_->Stop();
  Ok(calls_->releases);
  EXPECT_EQ(over_, 1);
}

TEST_F(AttemptTest, WithdrawTellsHowAQuestionEndedBefore) {
  Start();
  Say(R"({"type":"withdraw","key":"k"})");
  v1::WithdrawQuestionResponse response;
  *response.mutable_question() = Asked(v1::QUESTION_STATE_ANSWERED, kClaimed - 1).question();
  EXPECT_EQ(Ok(calls_->withdrawals, response).key(), "k");
  EXPECT_THAT(agent_->lines.at(0), HasSubstr("\"type\":\"answer\""));
}

}  // namespace
}  // namespace agentdesk::worker
