#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "core_service/domain/limits.h"
#include "core_service/domain/question.h"
#include "tests/unit/domain/ticket_in_memory.h"

namespace agentdesk::domain {
namespace {

using testing::IsOk;
using testing::Value;

// A ticket whose job a worker holds.
class SubmitResponseTest : public ::testing::Test {
 protected:
  SubmitResponseTest() {
    desk_.Create();
    desk_.Claim();
    desk_.NewEvents();
  }

  std::string Ask(const std::string& text) {
    return Value(desk_.Ask(Parse<v1::AskQuestionRequest>(text))).question().question_id();
  }
  v1::SubmitResponseResponse AnswerAsOf(int64_t sequence, const std::string& response) {
    v1::SubmitResponseRequest request;
    request.set_as_of_sequence(sequence);
    request.set_response(response);
    return desk_.Submit(request);
  }
  v1::SubmitResponseResponse AnswerList(const std::string& key,
                                        const std::vector<std::string>& values) {
    v1::SubmitResponseRequest request;
    request.set_question_id(desk_.Question(key)->question().question_id());
    for (const std::string& value : values) request.add_responses(value);
    return desk_.Submit(request);
  }
  v1::ResponseOutcome Outcome(const std::string& key, const std::string& response) {
    return desk_.Answer(key, response).outcome();
  }
  int64_t Head() { return desk_.log().head(); }
  void Speak() {
    ASSERT_THAT(
        desk_.Report(Parse<v1::ReportActivityRequest>("activities { message { content: 'm' } }")),
        IsOk());
  }

  TicketInMemory desk_;
};

TEST_F(SubmitResponseTest, RefusesWhatCannotBeJudged) {
  using Request = v1::SubmitResponseRequest;
  EXPECT_THAT(Validate(Parse<Request>("session_id: 's' question_id: 'q' response: 'r'")), IsOk());
  EXPECT_THAT(Validate(Parse<Request>("session_id: 's' as_of_sequence: 0")), IsOk());
  EXPECT_THAT(Validate(Parse<Request>("question_id: 'q'")),
              IsInvalidField("session_id", "is required"));
  EXPECT_THAT(Validate(Parse<Request>("session_id: 's' response: 'r'")),
              IsInvalidField("question_id", "is required where there is no `as_of_sequence`"));
  EXPECT_THAT(Validate(Parse<Request>("session_id: 's' as_of_sequence: -1")),
              IsInvalidField("as_of_sequence", "must not be negative"));
  EXPECT_THAT(
      Validate(Parse<Request>("session_id: 's' question_id: 'q' response: 'r' responses: 'r'")),
      IsInvalidField("responses", "must not be given together with `response`"));
  EXPECT_THAT(Validate(Parse<Request>("session_id: 's' question_id: 'q' request_id: '\\n'")),
              IsInvalidField("request_id", "printable"));
}

TEST_F(SubmitResponseTest, AnswersANamedQuestion) {
  const std::string id = desk_.AskKey("a");
  desk_.NewEvents();
  desk_.log().now += absl::Seconds(3);
  desk_.log().actor.set_id("guest-1a2b");
  const v1::SubmitResponseResponse response = desk_.Answer("a", "blue");
  EXPECT_EQ(desk_.NewEvents(), "question_answered");
  EXPECT_EQ(response.outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(response.question_id(), id);
  EXPECT_EQ(response.answered_by().id(), "guest-1a2b");
  EXPECT_EQ(response.response(), "blue");
  EXPECT_EQ(response.sequence(), Head());
  const v1::Question question = desk_.Question("a")->question();
  EXPECT_EQ(question.state(), v1::QUESTION_STATE_ANSWERED);
  EXPECT_EQ(question.response(), "blue");
  EXPECT_EQ(question.answered_by().id(), "guest-1a2b");
  EXPECT_EQ(FromProto(question.close_time()), desk_.log().now);
  EXPECT_EQ(question.closed_sequence(), Head());
  const v1::QuestionAnswered& answered = desk_.log().events.back().question_answered();
  EXPECT_EQ(answered.question_id(), id);
  EXPECT_EQ(answered.key(), "a");
  EXPECT_EQ(answered.response(), "blue");
  EXPECT_FALSE(answered.sensitive());
  EXPECT_EQ(desk_.ticket().last_input_sequence(), Head());
  EXPECT_EQ(desk_.ticket().ticket().open_questions(), 0);
}

TEST_F(SubmitResponseTest, TheFirstAnswerWins) {
  const std::string id = desk_.AskKey("a");
  desk_.Answer("a", "blue");
  desk_.log().actor.set_id("grace");
  const v1::SubmitResponseResponse late = desk_.Answer("a", "red");
  EXPECT_EQ(late.outcome(), v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
  EXPECT_EQ(late.question_id(), id);
  EXPECT_EQ(late.answered_by().id(), "ada");
  EXPECT_EQ(late.response(), "blue");
  EXPECT_EQ(late.sequence(), Head());
  EXPECT_THAT(late.message(), ::testing::HasSubstr("ada has answered this question already"));
  EXPECT_EQ(desk_.Question("a")->question().response(), "blue");
}

TEST_F(SubmitResponseTest, TellsThatTheQuestionIsOver) {
  desk_.AskKey("expired");
  desk_.AskKey("withdrawn");
  desk_.Expire("expired");
  ASSERT_THAT(desk_.Withdraw(Parse<v1::WithdrawQuestionRequest>("key: 'withdrawn'")), IsOk());
  EXPECT_EQ(Outcome("expired", "yes"), v1::RESPONSE_OUTCOME_EXPIRED);
  EXPECT_EQ(Outcome("withdrawn", "yes"), v1::RESPONSE_OUTCOME_WITHDRAWN);
}

TEST_F(SubmitResponseTest, AQuestionPastItsDeadlineIsOpenUntilItsExpiryIsInTheLog) {
  Ask("key: 'a' content: 'c' expires_in { seconds: 1 }");
  desk_.log().now += absl::Hours(1);
  EXPECT_EQ(Outcome("a", "yes"), v1::RESPONSE_OUTCOME_RECEIVED);
}

TEST_F(SubmitResponseTest, KnowsOnlyTheQuestionsOfItsSession) {
  desk_.AskKey("a");
  v1::SubmitResponseRequest request;
  request.set_question_id("00000000-0000-0000-0000-000000000099");
  request.set_response("yes");
  EXPECT_EQ(desk_.Submit(request).outcome(), v1::RESPONSE_OUTCOME_UNKNOWN_QUESTION);

  ResponseTarget foreign;
  foreign.named = desk_.Question("a");
  foreign.named->mutable_question()->set_session_id("another");
  request.set_question_id(foreign.named->question().question_id());
  const auto decision = SubmitResponse(request, foreign, desk_.state(), desk_.context());
  EXPECT_EQ(decision.response.outcome(), v1::RESPONSE_OUTCOME_UNKNOWN_QUESTION);
  EXPECT_TRUE(decision.change.empty());
}

TEST_F(SubmitResponseTest, WantsOneOfTheChoices) {
  Ask("key: 'a' content: 'c' choices { value: 'yes' label: 'Yes!' } choices { value: 'no' }");
  for (const std::string& bad :
       {std::string(), std::string("Yes!"), std::string("YES"), std::string("yes "),
        std::string(kMaxResponseBytes + 1, 'y'), std::string("\xFF")}) {
    EXPECT_EQ(Outcome("a", bad), v1::RESPONSE_OUTCOME_INVALID_RESPONSE) << bad.substr(0, 20);
  }
  EXPECT_EQ(desk_.Answer("a", "maybe").message(),
            "The response must be among the choices: `yes`, `no`. The question is still open: "
            "answer again.");
  EXPECT_EQ(AnswerList("a", {"yes"}).outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(desk_.Question("a")->question().state(), v1::QUESTION_STATE_OPEN);
  EXPECT_EQ(Outcome("a", "no"), v1::RESPONSE_OUTCOME_RECEIVED);
}

TEST_F(SubmitResponseTest, DoesNotRepeatALongListOfChoices) {
  v1::AskQuestionRequest request;
  request.set_key("a");
  request.set_content("c");
  for (int i = 0; i < kMaxChoices; ++i) {
    request.add_choices()->set_value(absl::StrCat(i, std::string(490, 'v')));
  }
  ASSERT_THAT(desk_.Ask(request), IsOk());
  EXPECT_LT(desk_.Answer("a", "maybe").message().size(), 200u);
}

TEST_F(SubmitResponseTest, TakesAnyTextWhereTheQuestionDoes) {
  Ask("key: 'a' content: 'c'");
  Ask("key: 'b' content: 'c' choices { value: 'yes' } free_text: true");
  Ask("key: 'c' content: 'c'");
  EXPECT_EQ(Outcome("a", ""), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(Outcome("a", std::string(kMaxResponseBytes + 1, 'r')),
            v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(Outcome("a", "\xED\xA0\x80"), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(Outcome("a", std::string(kMaxResponseBytes, 'r')), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(Outcome("b", "perhaps"), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(Outcome("c", "日本語"), v1::RESPONSE_OUTCOME_RECEIVED);
}

TEST_F(SubmitResponseTest, TakesAListWhereSeveralMayBeChosen) {
  const std::string choices =
      "content: 'c' multiple: true choices { value: 'a' } choices { value: 'b' } choices { value: "
      "'c' } ";
  Ask("key: 'q' " + choices);
  EXPECT_EQ(AnswerList("q", {"a", "d"}).outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(AnswerList("q", {"a", "a"}).outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(AnswerList("q", {"a", ""}).outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(AnswerList("q", {}).outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  const v1::SubmitResponseResponse response = AnswerList("q", {"c", "a"});
  EXPECT_EQ(response.outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_THAT(response.responses(), ::testing::ElementsAre("c", "a"));
  EXPECT_EQ(response.response(), "");
  EXPECT_THAT(desk_.Question("q")->question().responses(), ::testing::ElementsAre("c", "a"));
  EXPECT_THAT(desk_.log().events.back().question_answered().responses(),
              ::testing::ElementsAre("c", "a"));
  EXPECT_THAT(AnswerList("q", {"b"}).responses(), ::testing::ElementsAre("c", "a"));
}

TEST_F(SubmitResponseTest, OneValueIsAListOfOne) {
  Ask("key: 'q' content: 'c' multiple: true choices { value: 'a' }");
  EXPECT_EQ(Outcome("q", "b"), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(Outcome("q", "a"), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_THAT(desk_.Question("q")->question().responses(), ::testing::ElementsAre("a"));
  EXPECT_EQ(desk_.Question("q")->question().response(), "");
}

TEST_F(SubmitResponseTest, AListWithTextsOfItsOwnIsBoundedAsAWhole) {
  Ask("key: 'q' content: 'c' multiple: true free_text: true choices { value: 'a' }");
  const std::string half(kMaxResponseBytes / 2, 'x');
  EXPECT_EQ(AnswerList("q", {"a", half, half + "y"}).outcome(),
            v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(AnswerList("q", {"a", half}).outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
}

TEST_F(SubmitResponseTest, OnlyThoseNamedMayAnswer) {
  desk_.log().authenticated = true;
  Ask("key: 'q' content: 'c' may_answer { users: 'grace' groups: 'ops' roles: 'ada' }");
  EXPECT_EQ(Outcome("q", "yes"), v1::RESPONSE_OUTCOME_FORBIDDEN);
  EXPECT_EQ(Outcome("q", ""), v1::RESPONSE_OUTCOME_FORBIDDEN);
  EXPECT_EQ(desk_.Question("q")->question().state(), v1::QUESTION_STATE_OPEN);
  desk_.log().actor.set_id("grace");
  EXPECT_EQ(Outcome("q", ""), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(Outcome("q", "yes"), v1::RESPONSE_OUTCOME_RECEIVED);
  desk_.log().actor.set_id("ada");
  EXPECT_EQ(Outcome("q", "yes"), v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
}

TEST_F(SubmitResponseTest, ANameThatNobodyCheckedOpensNothing) {
  desk_.log().authenticated = true;
  Ask("key: 'q' content: 'c' may_answer { users: 'grace' }");
  desk_.log().authenticated = false;
  desk_.log().actor.set_id("grace");
  EXPECT_EQ(Outcome("q", "yes"), v1::RESPONSE_OUTCOME_FORBIDDEN);
}

TEST_F(SubmitResponseTest, AGroupOrARoleOfTheGiverOpensIt) {
  desk_.log().authenticated = true;
  Ask("key: 'q' content: 'c' may_answer { users: 'u' groups: 'ops' roles: 'lead' }");
  Ask("key: 'r' content: 'c' may_answer { users: 'u' groups: 'ops' roles: 'lead' }");
  // Each kind of name opens only its own list.
  desk_.log().actor.set_id("ops");
  desk_.log().groups = {"u", "lead"};
  desk_.log().roles = {"u", "ops"};
  EXPECT_EQ(Outcome("q", "yes"), v1::RESPONSE_OUTCOME_FORBIDDEN);
  desk_.log().groups = {"others", "ops"};
  desk_.log().roles = {};
  EXPECT_EQ(Outcome("q", "yes"), v1::RESPONSE_OUTCOME_RECEIVED);
  desk_.log().groups = {};
  desk_.log().roles = {"lead"};
  EXPECT_EQ(Outcome("r", "yes"), v1::RESPONSE_OUTCOME_RECEIVED);
}

TEST_F(SubmitResponseTest, UnnamedItIsForTheOneThatWasOpen) {
  const std::string id = desk_.AskKey("a");
  const v1::SubmitResponseResponse response = AnswerAsOf(Head(), "yes");
  EXPECT_EQ(response.outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(response.question_id(), id);
}

TEST_F(SubmitResponseTest, UnnamedItIsJudgedAgainstTheQuestionAsItStandsNow) {
  const std::string id = desk_.AskKey("a");
  const int64_t seen = Head();
  desk_.Answer("a", "blue");
  desk_.AskKey("b");
  const v1::SubmitResponseResponse late = AnswerAsOf(seen, "red");
  EXPECT_EQ(late.outcome(), v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
  EXPECT_EQ(late.question_id(), id);
  EXPECT_EQ(late.response(), "blue");
  EXPECT_EQ(desk_.Question("b")->question().state(), v1::QUESTION_STATE_OPEN);
}

TEST_F(SubmitResponseTest, UnnamedItNeverSlidesOnToAQuestionThatWasNotSeen) {
  const int64_t seen = Head();
  desk_.AskKey("a");
  const v1::SubmitResponseResponse response = AnswerAsOf(seen, "yes");
  EXPECT_EQ(response.outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(response.question_id(), "") << "kept as a message";
  EXPECT_FALSE(response.has_answered_by());
  EXPECT_EQ(response.sequence(), Head());
  EXPECT_EQ(desk_.log().events.back().user_message().content(), "yes");
  EXPECT_EQ(desk_.Question("a")->question().state(), v1::QUESTION_STATE_OPEN);
}

TEST_F(SubmitResponseTest, UnnamedItIsAmbiguousWhereSeveralWereOpen) {
  desk_.AskKey("a");
  desk_.AskKey("b");
  const int64_t seen = Head();
  v1::SubmitResponseResponse response = AnswerAsOf(seen, "yes");
  EXPECT_EQ(response.outcome(), v1::RESPONSE_OUTCOME_AMBIGUOUS);
  EXPECT_EQ(response.question_id(), "");
  EXPECT_THAT(response.message(), ::testing::HasSubstr("2 questions were open"));
  desk_.Answer("a", "blue");
  EXPECT_EQ(AnswerAsOf(seen, "yes").outcome(), v1::RESPONSE_OUTCOME_AMBIGUOUS)
      << "what was closed since was still shown";
  response = AnswerAsOf(Head(), "yes");
  EXPECT_EQ(response.outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(response.question_id(), desk_.Question("b")->question().question_id());
}

TEST_F(SubmitResponseTest, UnnamedItIsForTheLatestQuestionWhileTheAgentIsSilent) {
  const std::string id = desk_.AskKey("a");
  desk_.Answer("a", "blue");
  const v1::SubmitResponseResponse late = AnswerAsOf(Head(), "red");
  EXPECT_EQ(late.outcome(), v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
  EXPECT_EQ(late.question_id(), id);
  const int64_t silent = Head();
  Speak();
  EXPECT_EQ(AnswerAsOf(silent, "red").outcome(), v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
  const v1::SubmitResponseResponse message = AnswerAsOf(Head(), "red");
  EXPECT_EQ(message.outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(message.question_id(), "");
}

TEST_F(SubmitResponseTest, UnnamedItTellsThatTheLatestQuestionIsOver) {
  desk_.AskKey("a");
  desk_.Expire("a");
  EXPECT_EQ(AnswerAsOf(Head(), "yes").outcome(), v1::RESPONSE_OUTCOME_EXPIRED);
  desk_.AskKey("b");
  ASSERT_THAT(desk_.Withdraw(Parse<v1::WithdrawQuestionRequest>("key: 'b'")), IsOk());
  EXPECT_EQ(AnswerAsOf(Head(), "yes").outcome(), v1::RESPONSE_OUTCOME_WITHDRAWN);
}

TEST_F(SubmitResponseTest, WithoutAQuestionItIsAMessageThatWakesAParkedJob) {
  ASSERT_THAT(desk_.Park(), IsOk());
  desk_.NewEvents();
  const v1::SubmitResponseResponse response = AnswerAsOf(Head(), "go on");
  EXPECT_EQ(response.outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(desk_.NewEvents(), "user_message job_requeued");
  EXPECT_EQ(response.sequence(), Head() - 1) << "the position of the message itself";
  EXPECT_EQ(desk_.status(), v1::JOB_STATUS_QUEUED);
}

TEST_F(SubmitResponseTest, AMessageHasRulesToo) {
  EXPECT_EQ(AnswerAsOf(Head(), "").outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(AnswerAsOf(Head(), "\xFF").outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(AnswerAsOf(Head(), std::string(kMaxResponseBytes + 1, 'm')).outcome(),
            v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(AnswerAsOf(Head(), std::string(kMaxResponseBytes, 'm')).outcome(),
            v1::RESPONSE_OUTCOME_RECEIVED);
  v1::SubmitResponseRequest list;
  list.set_as_of_sequence(Head());
  list.add_responses("a");
  EXPECT_EQ(desk_.Submit(list).outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
}

TEST_F(SubmitResponseTest, AClosedSessionTakesNothing) {
  ASSERT_THAT(desk_.Complete(), IsOk());
  const v1::SubmitResponseResponse response = AnswerAsOf(Head(), "hello");
  EXPECT_EQ(response.outcome(), v1::RESPONSE_OUTCOME_SESSION_CLOSED);
  EXPECT_EQ(response.sequence(), Head());
  EXPECT_EQ(AnswerAsOf(Head(), "").outcome(), v1::RESPONSE_OUTCOME_SESSION_CLOSED);
}

TEST_F(SubmitResponseTest, InAClosedSessionTheQuestionsOwnStateComesFirst) {
  desk_.AskKey("a");
  desk_.Answer("a", "blue");
  desk_.AskKey("b");
  const int64_t seen = Head();
  ASSERT_THAT(desk_.Complete(), IsOk());
  EXPECT_EQ(Outcome("a", "red"), v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
  EXPECT_EQ(Outcome("b", "red"), v1::RESPONSE_OUTCOME_WITHDRAWN);
  EXPECT_EQ(AnswerAsOf(seen, "red").outcome(), v1::RESPONSE_OUTCOME_WITHDRAWN);
  EXPECT_EQ(AnswerAsOf(Head(), "red").outcome(), v1::RESPONSE_OUTCOME_WITHDRAWN);
}

TEST_F(SubmitResponseTest, ARetryOpensTheSessionAgain) {
  ASSERT_THAT(desk_.Cancel(), IsOk());
  ASSERT_THAT(desk_.Complete(), IsOk());
  EXPECT_EQ(AnswerAsOf(Head(), "hello").outcome(), v1::RESPONSE_OUTCOME_SESSION_CLOSED);
  ASSERT_THAT(desk_.Retry(), IsOk());
  EXPECT_EQ(AnswerAsOf(Head(), "hello").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
}

TEST_F(SubmitResponseTest, AnUnknownSessionIsAnOutcome) {
  const v1::SubmitResponseResponse response = UnknownSession(desk_.context());
  EXPECT_EQ(response.outcome(), v1::RESPONSE_OUTCOME_UNKNOWN_SESSION);
  EXPECT_FALSE(response.message().empty());
  EXPECT_EQ(response.sequence(), Head());
}

TEST_F(SubmitResponseTest, SixtyFourAnswersHaveOneWinner) {
  desk_.AskKey("a");
  const int64_t seen = Head();
  int received = 0;
  for (int i = 0; i < 64; ++i) {
    desk_.log().actor.set_id(absl::StrCat("user-", i));
    const v1::SubmitResponseResponse response =
        i % 2 == 0 ? AnswerAsOf(seen, absl::StrCat(i)) : desk_.Answer("a", absl::StrCat(i));
    received += response.outcome() == v1::RESPONSE_OUTCOME_RECEIVED ? 1 : 0;
    EXPECT_EQ(response.answered_by().id(), "user-0");
    EXPECT_EQ(response.response(), "0");
  }
  EXPECT_EQ(received, 1);
}

}  // namespace
}  // namespace agentdesk::domain
