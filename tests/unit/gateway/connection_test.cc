#include "ws_gateway/connection.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/gateway/gateway_fixture.h"

namespace agentdesk::gateway {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::string UserResponse(absl::string_view more = "") {
  return absl::StrCat(R"({"type":"user_response","session_id":")", kSession,
                      R"(","response":"yes")", more, "}");
}

v1::SubmitResponseResponse Outcome(v1::ResponseOutcome outcome) {
  v1::SubmitResponseResponse response;
  response.set_outcome(outcome);
  response.set_sequence(9);
  if (outcome != v1::RESPONSE_OUTCOME_RECEIVED) response.set_message("why");
  return response;
}

class ConnectionTest : public GatewayTest {
 protected:
  // Answers the oldest response that the core was asked to judge.
  void Judge(absl::StatusOr<v1::SubmitResponseResponse> outcome) {
    ASSERT_FALSE(commands_.responses.empty());
    auto asked = std::move(commands_.responses.front());
    commands_.responses.pop_front();
    asked.reply(std::move(outcome));
  }
};

const char kReceived[] =
    R"({"type":"ack","session_id":"ca35686a-9be9-4437-868c-54b9976b71ec","status":"received"})";

TEST_F(ConnectionTest, NothingIsSentUnasked) {
  Begin(5);
  EXPECT_THAT(Plain().Heard(), IsEmpty());
}

TEST_F(ConnectionTest, APlainClientGetsWhatComesAfterItConnected) {
  Begin();
  Publish({Message(1, "before")});
  Browser& browser = Plain();
  Publish({Message(2, "after")});
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("after")));
}

TEST_F(ConnectionTest, ConnectedBeforeTheCoreWasReachedItStartsWhereTheLogStands) {
  Browser& browser = Plain();
  browser.Say(R"({"type":"ping"})");
  Begin(5);
  Publish({Message(6, "first")});
  EXPECT_THAT(browser.Heard(), ElementsAre(R"({"type":"pong"})", HasSubstr("first")));
}

TEST_F(ConnectionTest, WhatTheCoreSendsFirstIsShownLikeAllThatFollows) {
  Browser& browser = Plain();
  hub_->Publish(Block(5, {Question(6, "q")}), clock_.Now());
  head_ = 6;
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("agent_question")));
  browser.Say(UserResponse());
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 6);
}

TEST_F(ConnectionTest, AckComesBeforeTheBroadcastThatItCaused) {
  Begin(3);
  Browser& browser = Plain();
  Browser& other = Plain();
  browser.Say(UserResponse());
  Publish({Message(4, "caused")});
  EXPECT_THAT(browser.Heard(), IsEmpty());
  EXPECT_THAT(other.Heard(), ElementsAre(HasSubstr("caused")));
  Judge(Outcome(v1::RESPONSE_OUTCOME_RECEIVED));
  EXPECT_THAT(browser.Heard(), ElementsAre(kReceived, HasSubstr("caused")));
  Publish({Message(5, "next")});
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("next")));
}

TEST_F(ConnectionTest, BroadcastsWaitForAnAckAtMostASecond) {
  Begin(3);
  Browser& browser = Plain();
  browser.Say(UserResponse());
  Publish({Message(4, "a")});
  Pass(absl::Milliseconds(800));
  EXPECT_THAT(browser.Heard(), IsEmpty());
  Pass(absl::Milliseconds(200));
  Publish({Message(5, "b")});
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("\"a\""), HasSubstr("\"b\"")));
}

TEST_F(ConnectionTest, CommandsThatFollowEachOtherHoldBroadcastsNoLonger) {
  Begin(3);
  Browser& browser = Plain();
  browser.Say(UserResponse());
  Publish({Message(4, "a")});
  for (int i = 0; i < 9; ++i) {
    EXPECT_THAT(browser.Heard(), IsEmpty());
    Pass(absl::Milliseconds(100));
    browser.Say(UserResponse());
  }
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("\"a\"")));
}

TEST_F(ConnectionTest, EachCommandHoldsBroadcastsForItsOwnAck) {
  Begin();
  Browser& browser = Plain();
  browser.Say(UserResponse());
  Pass(absl::Seconds(2));
  browser.Say(UserResponse());
  Publish({Message(1, "caused by the second")});
  commands_.responses.pop_front();
  EXPECT_THAT(browser.Heard(), IsEmpty());
  Judge(Outcome(v1::RESPONSE_OUTCOME_RECEIVED));
  Pass(absl::Seconds(1));
  EXPECT_THAT(browser.Heard(), ElementsAre(kReceived, HasSubstr("caused by the second")));
}

TEST_F(ConnectionTest, AnUnnamedResponseIsJudgedAsOfWhatWasWritten) {
  Begin(3);
  Browser& browser = Plain();
  browser.Say(UserResponse());
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 3);
  Judge(Outcome(v1::RESPONSE_OUTCOME_RECEIVED));
  browser.socket->Stall();
  Publish({Question(4, "q")});
  browser.Say(UserResponse());
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 3)
      << "the question is on its way, but was not written";
  browser.socket->Take();
  browser.Say(UserResponse());
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 4);
  EXPECT_EQ(commands_.responses.back().caller.actor, "guest-0001");
}

TEST_F(ConnectionTest, ANamedResponseHasNoPosition) {
  Begin(3);
  Browser& browser = Plain();
  browser.Say(UserResponse(absl::StrCat(R"(,"question_id":")", kOtherSession, "\"")));
  EXPECT_FALSE(commands_.responses.back().request.has_as_of_sequence());
  EXPECT_EQ(commands_.responses.back().request.question_id(), kOtherSession);
  browser.Say(UserResponse(R"(,"question_id":"no id")"));
  EXPECT_EQ(commands_.responses.back().request.question_id(), Uuid{}.ToString());
}

TEST_F(ConnectionTest, OutcomesInTheOrderOfTheContract) {
  Begin();
  Browser& browser = Plain();
  browser.Say(UserResponse(R"(,"request_id":"r")"));
  v1::SubmitResponseResponse lost = Outcome(v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
  lost.mutable_answered_by()->set_id("guest-0007");
  lost.set_response("no");
  Judge(lost);
  EXPECT_THAT(browser.Heard(),
              ElementsAre(absl::StrCat(R"({"type":"ack","session_id":")", kSession,
                                       R"(","status":"already_answered","answered_by":)",
                                       R"("guest-0007","response":"no","message":"why",)",
                                       R"("request_id":"r"})")));
}

TEST_F(ConnectionTest, ASessionThatIsNoIdIsUnknown) {
  Begin();
  Browser& browser = Plain();
  browser.Say(R"({"type":"user_response","session_id":"Ünknown","response":"x"})");
  EXPECT_THAT(commands_.responses, IsEmpty());
  EXPECT_THAT(
      browser.Heard(),
      ElementsAre(StartsWith(
          R"({"type":"ack","session_id":"Ünknown","status":"unknown_session","message":)")));
}

TEST_F(ConnectionTest, AFullClientIsToldAsOfWhenASessionIsUnknown) {
  Begin(7);
  Browser& browser = Full();
  browser.Heard();
  browser.Say(R"({"type":"user_response","session_id":"x","response":"a","request_id":"r"})");
  browser.Say(R"({"type":"send_message","session_id":"x","content":"a","request_id":"r"})");
  EXPECT_THAT(browser.Heard(),
              Each(EndsWith(R"(knows no such session","sequence":7,"request_id":"r"})")));
}

TEST_F(ConnectionTest, WithoutARequestIdItIsTriedAgainUnderOneForTenSeconds) {
  Begin();
  Browser& browser = Plain();
  browser.Say(UserResponse());
  const std::string request_id = commands_.responses.front().request.request_id();
  EXPECT_FALSE(request_id.empty());
  Judge(absl::UnavailableError("away"));
  EXPECT_THAT(browser.Heard(), IsEmpty());
  Pass(absl::Milliseconds(200));
  ASSERT_THAT(commands_.responses, SizeIs(1));
  EXPECT_EQ(commands_.responses.front().request.request_id(), request_id);
  Judge(Outcome(v1::RESPONSE_OUTCOME_RECEIVED));
  EXPECT_THAT(browser.Heard(), ElementsAre(kReceived));

  browser.Say(UserResponse());
  int tries = 0;
  for (int i = 0; i < 100; ++i, Pass(Hub::kTick)) {
    if (commands_.responses.empty()) continue;
    ++tries;
    Judge(absl::UnavailableError("away"));
  }
  EXPECT_GT(tries, 8);
  EXPECT_LT(tries, 20);
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr(R"("status":"unavailable")")));
}

// The core refuses for load before it looks whether it knows the request.
TEST_F(ConnectionTest, OverloadSaysNothingOfATryWhoseOutcomeIsUnknown) {
  Begin();
  Browser& browser = Plain();
  browser.Say(UserResponse());
  Judge(absl::UnavailableError("away"));
  Pass(absl::Milliseconds(200));
  Judge(Overloaded("too much"));
  EXPECT_THAT(browser.Heard(), IsEmpty());
  Pass(absl::Milliseconds(400));
  Judge(Outcome(v1::RESPONSE_OUTCOME_RECEIVED));
  EXPECT_THAT(browser.Heard(), ElementsAre(kReceived));

  browser.Say(UserResponse());
  Judge(absl::UnavailableError("away"));
  for (int i = 0; i < 110; ++i, Pass(Hub::kTick)) {
    if (!commands_.responses.empty()) Judge(Overloaded("too much"));
  }
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr(R"("status":"unavailable")")));

  browser.Say(UserResponse());
  Judge(Overloaded("too much"));
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr(R"("code":"overloaded")")))
      << "nothing was tried before";
}

TEST_F(ConnectionTest, WithARequestIdTheClientRepeats) {
  Begin();
  Browser& browser = Plain();
  browser.Say(UserResponse(R"(,"request_id":"mine")"));
  EXPECT_EQ(commands_.responses.front().request.request_id(), "mine");
  Judge(absl::UnavailableError("away"));
  EXPECT_THAT(browser.Heard(), ElementsAre(AllOf(HasSubstr(R"("status":"unavailable")"),
                                                 HasSubstr(R"("request_id":"mine"})"))));
}

TEST_F(ConnectionTest, ARepeatIsJudgedAsOfWhatWasShownAtFirst) {
  Begin(3);
  Browser& browser = Plain();
  const auto as_of = [&](absl::string_view id) {
    browser.Say(UserResponse(absl::StrCat(R"(,"request_id":")", id, "\"")));
    return commands_.responses.back().request.as_of_sequence();
  };
  EXPECT_EQ(as_of("lost"), 3);
  Judge(absl::UnavailableError("away"));
  EXPECT_EQ(as_of("refused"), 3);
  Judge(Overloaded("too much"));
  Publish({Question(4, "q")});
  EXPECT_EQ(as_of("lost"), 3) << "question 4 was not shown when this answer was given";
  EXPECT_EQ(as_of("refused"), 3);
  Judge(absl::UnavailableError("away"));
  EXPECT_EQ(as_of("new"), 4);
  for (int i = 0; i < 2; ++i) Judge(Outcome(v1::RESPONSE_OUTCOME_RECEIVED));
  EXPECT_EQ(as_of("lost"), 3);

  // A client that goes on with ids of its own has no more memory here than others.
  Judge(absl::UnavailableError("away"));
  Publish({Message(5, "x")});
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(as_of(absl::StrCat("another ", i)), 5);
    Judge(absl::UnavailableError("away"));
  }
  EXPECT_EQ(as_of("lost"), 5);
}

TEST_F(ConnectionTest, ARepeatAtAnotherDeskIsJudgedByWhatThatOneHasShown) {
  Begin(5);
  Browser& browser = Full();
  browser.Say(R"({"type":"subscribe","from":"live"})");
  const std::string response = UserResponse(R"(,"request_id":"r")");
  browser.Say(response);
  EXPECT_EQ(commands_.responses.back().request.desk_id(), kDesk);
  Judge(absl::OutOfRangeError("another desk is there"));
  hub_->ReportGap({.reason = "other_desk", .desk_id = kOtherDesk, .available_from = 1});
  Begin(2, kOtherDesk);
  browser.Say(response);
  ASSERT_THAT(commands_.responses, SizeIs(1));
  EXPECT_EQ(commands_.responses.back().request.desk_id(), kOtherDesk);
}

TEST_F(ConnectionTest, BeforeTheLogIsKnownNothingWasShown) {
  Browser& browser = Plain();
  browser.Say(UserResponse());
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr(R"("status":"unavailable")")));
  browser.Say(UserResponse(R"(,"question_id":"ca35686a-9be9-4437-868c-54b9976b71ec")"));
  Begin(7);
  Pass(absl::Seconds(2));
  ASSERT_THAT(commands_.responses, SizeIs(1)) << "only the one that names its question";
  EXPECT_FALSE(commands_.responses.front().request.has_as_of_sequence());
}

TEST_F(ConnectionTest, AnUnnamedResponseHoldsForItsDeskAlone) {
  Begin(7);
  Browser& browser = Plain();
  browser.Say(UserResponse());
  ASSERT_THAT(commands_.responses, SizeIs(1));
  EXPECT_EQ(commands_.responses.front().request.desk_id(), kDesk);
  Judge(ErrorWithReason(absl::StatusCode::kOutOfRange, "other_desk", "another desk"));
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr(R"("status":"unavailable")")));
  Pass(absl::Seconds(2));
  EXPECT_THAT(commands_.responses, IsEmpty());
}

TEST_F(ConnectionTest, AnErrorOfTheCoreIsAnErrorMessage) {
  Begin();
  Browser& browser = Plain();
  browser.Say(UserResponse(R"(,"request_id":"r")"));
  Judge(ErrorWithReason(absl::StatusCode::kInvalidArgument, "request_id_reused", "used"));
  browser.Say(UserResponse());
  Judge(InvalidField("request_id", "is too long"));
  EXPECT_THAT(
      browser.Heard(),
      ElementsAre(
          R"({"type":"error","code":"request_id_reused","message":"used","request_id":"r"})",
          R"({"type":"error","code":"invalid_message","message":"request_id: is too long"})"));
}

TEST_F(ConnectionTest, OnlySoManyCommandsAtATime) {
  Begin();
  Browser& browser = Plain();
  for (int i = 0; i < 70; ++i) browser.Say(UserResponse());
  EXPECT_THAT(commands_.responses, SizeIs(64));
  const std::vector<std::string> heard = browser.Heard();
  ASSERT_THAT(heard, SizeIs(6));
  EXPECT_THAT(heard[0],
              AllOf(HasSubstr(R"("code":"rate_limited")"), HasSubstr(R"("retry_after_ms":1000)")));
  EXPECT_EQ(limits_.refused().commands, 6);
}

TEST_F(ConnectionTest, AReplyForAClientThatIsGoneGoesNowhere) {
  Begin();
  Browser& browser = Plain();
  browser.Say(UserResponse());
  Close(browser);
  Judge(Outcome(v1::RESPONSE_OUTCOME_RECEIVED));
  Publish({Message(1, "x")});
  Pass(absl::Seconds(1));
}

TEST_F(ConnectionTest, APlainClientIsClosedAtAGap) {
  Begin();
  Browser& browser = Plain();
  hub_->ReportGap({.reason = "other_desk", .desk_id = kOtherDesk, .available_from = 1});
  EXPECT_EQ(browser.socket->close_code(), 1012);
}

TEST_F(ConnectionTest, AHoleInWhatTheCoreSendsIsNeverPassedOn) {
  Begin();
  Browser& plain = Plain();
  Browser& full = Full(std::optional<SubscribeFrom>(SubscribeFrom{}));
  full.Heard();
  head_ = 3;
  Publish({Message(4, "after a hole")});
  EXPECT_EQ(plain.socket->close_code(), 1012);
  EXPECT_EQ(full.socket->close_code(), 1012);
  EXPECT_THAT(plain.Heard(), IsEmpty());
  EXPECT_THAT(full.Heard(), ElementsAre(StartsWith(R"({"type":"position","up_to":0,)")));
  Browser& later = Plain();
  Publish({Message(5, "5")});
  EXPECT_THAT(later.Heard(), ElementsAre(HasSubstr("\"5\"")));
}

TEST_F(ConnectionTest, ASlowClientThatFallsBehindTheRecentEventsIsTold) {
  Begin();
  Browser& browser = Plain();
  browser.socket->Stall();
  for (int64_t i = 1; browser.socket->close_code() == 0 && i < 2000; ++i) {
    Publish({Message(i, std::string(30000, 'x'))});
    EXPECT_LT(browser.socket->queued_bytes(), 1u << 20);
  }
  EXPECT_EQ(browser.socket->close_code(), 4430);
}

TEST_F(ConnectionTest, AFullClientAsksForTickets) {
  Begin();
  Browser& browser = Full();
  browser.Heard();
  browser.Say(R"({"type":"create_ticket","ticket_name":"A","request_id":"r"})");
  ASSERT_THAT(commands_.creates, SizeIs(1));
  v1::CreateTicketResponse made;
  made.mutable_ticket()->set_ticket_id(kTicket);
  made.mutable_ticket()->set_job_id("job-1");
  made.mutable_ticket()->set_status(v1::JOB_STATUS_QUEUED);
  made.set_sequence(4);
  commands_.creates.front().reply(made);
  browser.Say(absl::StrCat(R"({"type":"cancel_ticket","ticket_id":")", kTicket, "\"}"));
  commands_.cancels.front().reply(
      ErrorWithReason(absl::StatusCode::kFailedPrecondition, "ended", "it has ended"));
  browser.Say(
      absl::StrCat(R"({"type":"send_message","session_id":")", kSession, R"(","content":"Hi"})"));
  commands_.messages.front().reply(absl::NotFoundError("no such session"));
  EXPECT_THAT(browser.Heard(),
              ElementsAre(absl::StrCat(R"({"type":"ack","ticket_id":")", kTicket,
                                       R"(","job_id":"job-1","status":"queued","sequence":4,)",
                                       R"("request_id":"r"})"),
                          R"({"type":"error","code":"ended","message":"it has ended"})",
                          HasSubstr(R"("status":"unknown_session")")));
}

TEST_F(ConnectionTest, DrainSendsEveryoneAwayEvenly) {
  Begin();
  for (int i = 0; i < 40; ++i) Plain();
  hub_->StartDrain(absl::Seconds(2));
  const auto closed = [this] {
    return std::count_if(browsers_.begin(), browsers_.end(),
                         [](const auto& browser) { return browser->socket->close_code() == 1012; });
  };
  Pass(absl::Seconds(1));
  EXPECT_GT(closed(), 15);
  EXPECT_LT(closed(), 30);
  Pass(absl::Seconds(1));
  EXPECT_EQ(closed(), 40);
  EXPECT_EQ(Plain().socket->close_code(), 1012);
}

}  // namespace
}  // namespace agentdesk::gateway
