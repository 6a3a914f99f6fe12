#include "core_service/domain/question.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "core_service/domain/limits.h"
#include "tests/unit/domain/ticket_in_memory.h"

namespace agentdesk::domain {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::Value;

// A ticket whose job a worker holds.
class AskQuestionTest : public ::testing::Test {
 protected:
  AskQuestionTest() {
    desk_.Create();
    desk_.Claim();
    desk_.NewEvents();
  }

  absl::StatusOr<v1::AskQuestionResponse> Ask(const std::string& text) {
    return desk_.Ask(Parse<v1::AskQuestionRequest>(text));
  }

  TicketInMemory desk_;
};

TEST_F(AskQuestionTest, StoresAnOpenQuestion) {
  desk_.log().now += absl::Seconds(5);
  const v1::AskQuestionResponse response =
      Value(Ask("key: 'k' content: 'Deploy?' choices { value: 'yes' label: 'Yes' description: "
                "'now' } choices { value: 'no' } details_json: '{\"a\": 1}' default_response: 'no' "
                "expires_in { seconds: 60 }"));
  EXPECT_EQ(desk_.NewEvents(), "agent_question");
  EXPECT_EQ(response.sequence(), 3);
  EXPECT_FALSE(response.replayed());
  const v1::Question& question = response.question();
  EXPECT_EQ(question.question_id(), "00000000-0000-0001-0000-000000000004");
  EXPECT_EQ(question.session_id(), desk_.ticket().session().session_id());
  EXPECT_EQ(question.ticket_id(), desk_.ticket().ticket().ticket_id());
  EXPECT_EQ(question.job_id(), desk_.job().job().job_id());
  EXPECT_EQ(question.attempt(), 1);
  EXPECT_EQ(question.key(), "k");
  EXPECT_EQ(question.content(), "Deploy?");
  EXPECT_EQ(question.choices(0).label(), "Yes");
  EXPECT_FALSE(question.free_text());
  EXPECT_FALSE(question.multiple());
  EXPECT_EQ(question.default_response(), "no");
  EXPECT_EQ(FromProto(question.expires_at()), desk_.log().now + absl::Seconds(60));
  EXPECT_FALSE(question.has_may_answer());
  EXPECT_EQ(question.details_json(), "{\"a\": 1}");
  EXPECT_EQ(question.state(), v1::QUESTION_STATE_OPEN);
  EXPECT_EQ(FromProto(question.create_time()), desk_.log().now);
  EXPECT_EQ(question.asked_sequence(), 3);
  EXPECT_EQ(question.closed_sequence(), 0);
  EXPECT_EQ(question.asked_by().id(), "ada");
  EXPECT_EQ(question.tenant(), "tenant-1");
  EXPECT_EQ(question.trace_id(), "trace-2");
  EXPECT_EQ(desk_.log().events.back().agent_question().question().SerializeAsString(),
            question.SerializeAsString());
  EXPECT_EQ(desk_.ticket().ticket().open_questions(), 1);
  EXPECT_EQ(FromProto(desk_.ticket().ticket().update_time()), desk_.log().now);
}

TEST_F(AskQuestionTest, TakesAnyTextOnlyWhereThereAreNoChoices) {
  EXPECT_TRUE(Value(Ask("content: 'c'")).question().free_text());
  EXPECT_FALSE(Value(Ask("content: 'c' choices { value: 'a' }")).question().free_text());
  EXPECT_TRUE(
      Value(Ask("content: 'c' choices { value: 'a' } free_text: true")).question().free_text());
  EXPECT_TRUE(Value(Ask("content: 'c' free_text: true")).question().free_text());
}

TEST_F(AskQuestionTest, HasNoDeadlineUnlessItIsGivenOne) {
  EXPECT_FALSE(Value(Ask("content: 'c'")).question().has_expires_at());
  v1::AskQuestionRequest request;
  request.set_content("c");
  *request.mutable_expires_at() = ToProto(desk_.log().now + absl::Hours(24 * 366));
  request.mutable_expires_at()->set_nanos(request.expires_at().nanos());
  EXPECT_EQ(FromProto(Value(desk_.Ask(request)).question().expires_at()),
            desk_.log().now + absl::Hours(24 * 366));
}

TEST_F(AskQuestionTest, KeepsADefaultAsAListWhereSeveralValuesAreChosen) {
  const std::string choices =
      "content: 'c' multiple: true choices { value: 'a' } choices { value: 'b' } ";
  const v1::Question one = Value(Ask(choices + "default_response: 'a'")).question();
  EXPECT_FALSE(one.has_default_response());
  EXPECT_THAT(one.default_responses(), ::testing::ElementsAre("a"));
  const v1::Question two =
      Value(Ask(choices + "default_responses: 'b' default_responses: 'a'")).question();
  EXPECT_THAT(two.default_responses(), ::testing::ElementsAre("b", "a"));
}

TEST_F(AskQuestionTest, TakesTheLargest) {
  v1::AskQuestionRequest request;
  request.set_key(std::string(200, 'k'));
  request.set_content(std::string(32 * 1024, 'c'));
  request.set_details_json(absl::StrCat("\"", std::string(16 * 1024, 'd'), "\""));
  size_t left = kMaxQuestionBytes - 200 - request.content().size() - request.details_json().size();
  for (int i = 0; i < kMaxChoices; ++i) {
    v1::Choice& choice = *request.add_choices();
    choice.set_value(absl::StrCat(10 + i, std::string(498, 'v')));
    left -= 500;
  }
  request.mutable_choices(0)->set_description(std::string(500, 'd'));
  left -= 500;
  request.set_default_response(request.choices(1).value());
  left -= 500;
  request.mutable_details_json()->insert(1, std::string(left, 'd'));
  v1::AskQuestionRequest too_large = request;
  too_large.mutable_details_json()->insert(1, "d");
  EXPECT_THAT(
      desk_.Ask(too_large),
      IsInvalidField("content",
                     "with all its parts must have at most 65536 bytes of UTF-8, has 65537"));
  EXPECT_THAT(desk_.Ask(request), IsOk());
}

struct BadQuestion {
  std::string field;
  std::string rule;
  std::function<void(v1::AskQuestionRequest&)> spoil;
};

std::vector<BadQuestion> BadTexts() {
  using Request = v1::AskQuestionRequest;
  return {
      {"key", "must have at most 200 characters, has 201",
       [](Request& r) { r.set_key(std::string(201, 'k')); }},
      {"key", "UTF-8", [](Request& r) { r.set_key("\xFF"); }},
      {"content", "must have 1 to 32768 bytes of UTF-8, has 0",
       [](Request& r) { r.clear_content(); }},
      {"content", "has 32769", [](Request& r) { r.set_content(std::string(32769, 'c')); }},
      {"content", "UTF-8", [](Request& r) { r.set_content("\xFF"); }},
      {"choices", "must have at most 20 entries, has 21",
       [](Request& r) {
         for (int i = 0; i < 21; ++i) r.add_choices()->set_value(absl::StrCat(i));
       }},
      {"choices[1].value", "must have 1 to 500 characters, has 0",
       [](Request& r) {
         r.add_choices()->set_value("a");
         r.add_choices();
       }},
      {"choices[0].value", "has 501",
       [](Request& r) { r.add_choices()->set_value(std::string(501, 'v')); }},
      {"choices[1].value", "must be unique among the choices",
       [](Request& r) {
         r.add_choices()->set_value("a");
         r.add_choices()->set_value("a");
       }},
      {"choices[0].label", "must have at most 500 characters, has 501",
       [](Request& r) {
         r.add_choices()->set_value("a");
         r.mutable_choices(0)->set_label(std::string(501, 'l'));
       }},
      {"choices[0].description", "must have at most 500 characters, has 501",
       [](Request& r) {
         r.add_choices()->set_value("a");
         r.mutable_choices(0)->set_description(std::string(501, 'l'));
       }},
      {"details_json", "must be one JSON value", [](Request& r) { r.set_details_json("{"); }},
      {"details_json", "at most 32768 bytes",
       [](Request& r) { r.set_details_json(std::string(32769, '1')); }},
      {"kind", "is reserved and must be empty", [](Request& r) { r.set_kind("form"); }},
      {"request_id", "printable", [](Request& r) { r.set_request_id("\n"); }},
  };
}

std::vector<BadQuestion> BadRules(absl::Time now) {
  using Request = v1::AskQuestionRequest;
  return {
      {"free_text", "must not be false where there are no choices",
       [](Request& r) { r.set_free_text(false); }},
      {"multiple", "needs choices", [](Request& r) { r.set_multiple(true); }},
      {"expires_in", "must be 1s to 366 days, is 999ms",
       [](Request& r) { *r.mutable_expires_in() = ToProto(absl::Milliseconds(999)); }},
      {"expires_in", "is -1s",
       [](Request& r) { *r.mutable_expires_in() = ToProto(-absl::Seconds(1)); }},
      {"expires_in", "must be 1s to 366 days, is 8784h",
       [](Request& r) { *r.mutable_expires_in() = ToProto(kMaxExpiresIn + absl::Seconds(1)); }},
      {"expires_at", "must lie in the future, at most 366 days from now",
       [now](Request& r) { *r.mutable_expires_at() = ToProto(now); }},
      {"expires_at", "must lie in the future, at most 366 days from now",
       [now](Request& r) {
         *r.mutable_expires_at() = ToProto(now + kMaxExpiresIn + absl::Microseconds(1));
       }},
      {"expires_at", "years 1 to 9999", [](Request& r) { r.mutable_expires_at()->set_nanos(-1); }},
      {"expires_at", "must not be given together with `expires_in`",
       [now](Request& r) {
         *r.mutable_expires_at() = ToProto(now + absl::Seconds(9));
         *r.mutable_expires_in() = ToProto(absl::Seconds(9));
       }},
      {"may_answer.users", "must have at most 100 entries, has 101",
       [](Request& r) {
         for (int i = 0; i < 101; ++i) r.mutable_may_answer()->add_users("u");
       }},
      {"may_answer.users[1]", "must have 1 to 200 characters, has 0",
       [](Request& r) {
         r.mutable_may_answer()->add_users("u");
         r.mutable_may_answer()->add_users("");
       }},
      {"may_answer.groups[0]", "has 201",
       [](Request& r) { r.mutable_may_answer()->add_groups(std::string(201, 'g')); }},
      {"may_answer.roles[0]", "UTF-8",
       [](Request& r) { r.mutable_may_answer()->add_roles("\xFF"); }},
  };
}

std::vector<BadQuestion> BadDefaults() {
  using Request = v1::AskQuestionRequest;
  const auto choose = [](Request& r) {
    r.add_choices()->set_value("a");
    r.add_choices()->set_value("b");
  };
  return {
      {"default_response", "must not be empty", [](Request& r) { r.set_default_response(""); }},
      {"default_response", "must have at most 16384 bytes of UTF-8, has 16385",
       [](Request& r) { r.set_default_response(std::string(16385, 'd')); }},
      {"default_response", "UTF-8", [](Request& r) { r.set_default_response("\xFF"); }},
      {"default_response", "must be among the choices: `a`, `b`",
       [=](Request& r) {
         choose(r);
         r.set_default_response("c");
       }},
      {"default_response", "must not be given together with `default_responses`",
       [=](Request& r) {
         choose(r);
         r.set_multiple(true);
         r.set_default_response("a");
         r.add_default_responses("b");
       }},
      {"default_responses", "must be one value, not a list",
       [](Request& r) { r.add_default_responses("a"); }},
      {"default_responses", "must be among the choices: `a`, `b`",
       [=](Request& r) {
         choose(r);
         r.set_multiple(true);
         r.add_default_responses("a");
         r.add_default_responses("c");
       }},
      {"default_responses", "must not name a value twice",
       [=](Request& r) {
         choose(r);
         r.set_multiple(true);
         r.add_default_responses("a");
         r.add_default_responses("a");
       }},
  };
}

TEST_F(AskQuestionTest, NamesTheFieldAndTheRule) {
  std::vector<BadQuestion> table = BadTexts();
  for (BadQuestion& bad : BadRules(desk_.log().now)) table.push_back(std::move(bad));
  for (BadQuestion& bad : BadDefaults()) table.push_back(std::move(bad));
  for (const BadQuestion& bad : table) {
    v1::AskQuestionRequest request;
    request.set_content("c");
    bad.spoil(request);
    EXPECT_THAT(desk_.Ask(request), IsInvalidField(bad.field, bad.rule));
  }
  EXPECT_THAT(Validate(Parse<v1::AskQuestionRequest>("content: 'c'")),
              IsInvalidField("job_id", "is required"));
  EXPECT_EQ(desk_.NewEvents(), "");
}

TEST_F(AskQuestionTest, IsTheSameQuestionUnderItsKey) {
  const std::string text = "key: 'k' content: 'c' choices { value: 'a' } details_json: '1'";
  const v1::Question first = Value(Ask(text)).question();
  desk_.NewEvents();
  const v1::AskQuestionResponse again = Value(Ask(text + " default_response: 'a' sensitive: true"));
  EXPECT_TRUE(again.replayed());
  EXPECT_EQ(again.question().SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(again.sequence(), desk_.log().head());
  EXPECT_EQ(desk_.NewEvents(), "");
}

TEST_F(AskQuestionTest, RefusesAnotherQuestionUnderTheSameKey) {
  ASSERT_THAT(Ask("key: 'k' content: 'c' choices { value: 'a' label: 'A' } details_json: '1'"),
              IsOk());
  for (const char* text : {
           "key: 'k' content: 'd' choices { value: 'a' label: 'A' } details_json: '1'",
           "key: 'k' content: 'c' choices { value: 'b' label: 'A' } details_json: '1'",
           "key: 'k' content: 'c' choices { value: 'a' label: 'B' } details_json: '1'",
           "key: 'k' content: 'c' choices { value: 'a' label: 'A' description: 'd' } "
           "details_json: '1'",
           "key: 'k' content: 'c' choices { value: 'a' label: 'A' } choices { value: 'b' } "
           "details_json: '1'",
           "key: 'k' content: 'c' details_json: '1'",
           "key: 'k' content: 'c' choices { value: 'a' label: 'A' } details_json: '2'",
           "key: 'k' content: 'c' choices { value: 'a' label: 'A' }",
           "key: 'k' content: 'c' choices { value: 'a' label: 'A' } details_json: '1' multiple: "
           "true",
           "key: 'k' content: 'c' choices { value: 'a' label: 'A' } details_json: '1' free_text: "
           "true",
       }) {
    EXPECT_THAT(Ask(text), IsRefused("question_key_reused", "use another key")) << text;
    EXPECT_THAT(Ask(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(AskQuestionTest, TheNextAttemptFindsTheAnswerUnderItsKey) {
  ASSERT_THAT(Ask("key: 'k' content: 'c'"), IsOk());
  desk_.Lose();
  desk_.BecomeDue();
  EXPECT_EQ(desk_.Answer("k", "forty-two").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  desk_.Claim("worker-2");
  const v1::AskQuestionResponse response = Value(Ask("key: 'k' content: 'c'"));
  EXPECT_TRUE(response.replayed());
  EXPECT_EQ(response.question().state(), v1::QUESTION_STATE_ANSWERED);
  EXPECT_EQ(response.question().response(), "forty-two");
  EXPECT_EQ(response.question().attempt(), 1);
}

TEST_F(AskQuestionTest, ARetryAsksAnewWhatWasWithdrawnWhenTheLastRunEnded) {
  ASSERT_THAT(Ask("key: 'open' content: 'c'"), IsOk());
  ASSERT_THAT(Ask("key: 'answered' content: 'c'"), IsOk());
  EXPECT_EQ(desk_.Answer("answered", "yes").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  ASSERT_THAT(desk_.FailWith("broken", false), IsOk());
  ASSERT_EQ(desk_.Question("open")->question().state(), v1::QUESTION_STATE_WITHDRAWN);
  const std::string first = desk_.Question("open")->question().question_id();
  ASSERT_THAT(desk_.Retry(), IsOk());
  desk_.Claim();

  // Nobody is waiting for an answer to the old one, so it may also say something else.
  const v1::AskQuestionResponse asked = Value(Ask("key: 'open' content: 'changed'"));
  EXPECT_FALSE(asked.replayed());
  EXPECT_EQ(asked.question().state(), v1::QUESTION_STATE_OPEN);
  EXPECT_NE(asked.question().question_id(), first);
  const v1::AskQuestionResponse again = Value(Ask("key: 'open' content: 'changed'"));
  EXPECT_TRUE(again.replayed());
  EXPECT_EQ(again.question().question_id(), asked.question().question_id());
  // An answer holds for every run.
  EXPECT_EQ(Value(Ask("key: 'answered' content: 'c'")).question().response(), "yes");
}

TEST_F(AskQuestionTest, AKeyWhoseQuestionIsOverShowsItsOutcome) {
  ASSERT_THAT(Ask("key: 'expired' content: 'c' default_response: 'd'"), IsOk());
  ASSERT_THAT(Ask("key: 'withdrawn' content: 'c'"), IsOk());
  desk_.Expire("expired");
  ASSERT_THAT(desk_.Withdraw(Parse<v1::WithdrawQuestionRequest>("key: 'withdrawn'")), IsOk());
  EXPECT_EQ(Value(Ask("key: 'expired' content: 'c'")).question().state(),
            v1::QUESTION_STATE_EXPIRED);
  EXPECT_EQ(Value(Ask("key: 'withdrawn' content: 'c'")).question().state(),
            v1::QUESTION_STATE_WITHDRAWN);
}

TEST_F(AskQuestionTest, ADeadlineThatHasPassedDoesNotHideTheOutcomeOfAKey) {
  v1::AskQuestionRequest request = Parse<v1::AskQuestionRequest>("key: 'k' content: 'c'");
  *request.mutable_expires_at() = ToProto(desk_.log().now + absl::Seconds(1));
  ASSERT_THAT(desk_.Ask(request), IsOk());
  desk_.log().now += absl::Hours(1);
  EXPECT_THAT(desk_.Ask(request), IsOk());
  request.set_key("l");
  EXPECT_THAT(desk_.Ask(request), IsInvalidField("expires_at", "must lie in the future"));
}

TEST_F(AskQuestionTest, OnlyTheAgentSeesASensitiveAnswer) {
  ASSERT_THAT(Ask("key: 'k' content: 'Password?' sensitive: true"), IsOk());
  const v1::SubmitResponseResponse response = desk_.Answer("k", "hunter2");
  EXPECT_EQ(response.response(), "");
  EXPECT_EQ(desk_.Answer("k", "guess").response(), "");
  const QuestionRecord stored = desk_.Question("k").value();
  EXPECT_EQ(stored.question().response(), "");
  EXPECT_EQ(stored.sensitive_response(), "hunter2");
  EXPECT_EQ(desk_.log().events.back().question_answered().response(), "");
  EXPECT_TRUE(desk_.log().events.back().question_answered().sensitive());
  EXPECT_EQ(Value(Ask("key: 'k' content: 'Password?'")).question().response(), "hunter2");
  EXPECT_EQ(
      Value(desk_.Withdraw(Parse<v1::WithdrawQuestionRequest>("key: 'k'"))).question().response(),
      "hunter2");
}

TEST_F(AskQuestionTest, OnlyTheAgentSeesASensitiveList) {
  const std::string text =
      "key: 'k' content: 'c' sensitive: true multiple: true choices { value: 'a' } choices { "
      "value: 'b' }";
  const std::string id = Value(Ask(text)).question().question_id();
  v1::SubmitResponseRequest request;
  request.set_question_id(id);
  request.add_responses("b");
  request.add_responses("a");
  EXPECT_TRUE(desk_.Submit(request).responses().empty());
  EXPECT_TRUE(desk_.Question("k")->question().responses().empty());
  EXPECT_TRUE(desk_.log().events.back().question_answered().responses().empty());
  EXPECT_THAT(Value(Ask(text)).question().responses(), ::testing::ElementsAre("b", "a"));
}

TEST_F(AskQuestionTest, NothingIsAskedWhileCancelling) {
  ASSERT_THAT(Ask("key: 'k' content: 'c'"), IsOk());
  ASSERT_THAT(desk_.Cancel(), IsOk());
  EXPECT_THAT(Ask("key: 'l' content: 'c'"), IsRefused("cancelling", "end soon"));
  EXPECT_THAT(Ask("content: 'c'"), HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Value(Ask("key: 'k' content: 'c'")).question().state(), v1::QUESTION_STATE_WITHDRAWN);
}

TEST_F(AskQuestionTest, NamesWhoMayAnswerOnlyUnderAuthentication) {
  for (const char* names : {"users: 'u'", "groups: 'g'", "roles: 'r'"}) {
    EXPECT_THAT(Ask(absl::StrCat("content: 'c' may_answer { ", names, " }")),
                IsRefused("authentication_off", "may_answer: could not be kept"));
  }
  EXPECT_THAT(Ask("content: 'c' may_answer {}"), IsOk()) << "names nobody";
  desk_.log().authenticated = true;
  EXPECT_EQ(Value(Ask("content: 'c' may_answer { users: 'u' }")).question().may_answer().users(0),
            "u");
}

TEST_F(AskQuestionTest, HasAHundredOpenQuestionsAtMost) {
  for (int i = 0; i < kMaxOpenQuestions; ++i) desk_.AskKey(absl::StrCat("k", i));
  const absl::Status refused = Ask("content: 'c'").status();
  EXPECT_THAT(refused, IsRefused("too_many_open_questions", "a session may have 100"));
  EXPECT_THAT(refused, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(DetailOf(refused).retry_after, absl::Seconds(30));
  EXPECT_THAT(Ask("key: 'k7' content: 'What about k7?'"), IsOk());
  ASSERT_THAT(desk_.Withdraw(Parse<v1::WithdrawQuestionRequest>("key: 'k7'")), IsOk());
  EXPECT_THAT(Ask("content: 'c'"), IsOk());
}

TEST_F(AskQuestionTest, WithdrawsAnOpenQuestion) {
  desk_.AskKey("a");
  desk_.AskKey("b");
  desk_.NewEvents();
  desk_.log().now += absl::Seconds(3);
  const v1::WithdrawQuestionResponse response =
      Value(desk_.Withdraw(Parse<v1::WithdrawQuestionRequest>("key: 'a'")));
  EXPECT_EQ(desk_.NewEvents(), "question_withdrawn");
  EXPECT_EQ(desk_.log().events.back().question_withdrawn().key(), "a");
  EXPECT_EQ(response.sequence(), desk_.log().head());
  EXPECT_EQ(response.question().state(), v1::QUESTION_STATE_WITHDRAWN);
  EXPECT_EQ(response.question().closed_sequence(), desk_.log().head());
  EXPECT_EQ(FromProto(response.question().close_time()), desk_.log().now);
  EXPECT_EQ(desk_.ticket().ticket().open_questions(), 1);
  EXPECT_EQ(desk_.Question("b")->question().state(), v1::QUESTION_STATE_OPEN);
}

TEST_F(AskQuestionTest, WithdrawingWhatIsOverChangesNothing) {
  desk_.AskKey("a");
  desk_.Answer("a", "yes");
  desk_.NewEvents();
  const v1::WithdrawQuestionResponse response =
      Value(desk_.Withdraw(Parse<v1::WithdrawQuestionRequest>("key: 'a'")));
  EXPECT_EQ(response.question().state(), v1::QUESTION_STATE_ANSWERED);
  EXPECT_EQ(response.question().response(), "yes");
  EXPECT_EQ(response.sequence(), desk_.log().head());
  EXPECT_EQ(desk_.NewEvents(), "");
}

TEST_F(AskQuestionTest, RefusesABadWithdrawal) {
  using Request = v1::WithdrawQuestionRequest;
  EXPECT_THAT(Validate(Parse<Request>("job_id: 'j' key: 'k'")), IsOk());
  EXPECT_THAT(Validate(Parse<Request>("key: 'k'")), IsInvalidField("job_id", "is required"));
  EXPECT_THAT(Validate(Parse<Request>("job_id: 'j'")),
              IsInvalidField("question_id", "is required where there is no `key`"));
  EXPECT_THAT(Validate(Parse<Request>("job_id: 'j' question_id: 'q' request_id: '\\n'")),
              IsInvalidField("request_id", "printable"));
  Request long_key;
  long_key.set_job_id("j");
  long_key.set_key(std::string(201, 'k'));
  EXPECT_THAT(Validate(long_key), IsInvalidField("key", "must have at most 200 characters"));
  EXPECT_THAT(desk_.Withdraw(Parse<Request>("key: 'nobody'")),
              IsRefused("unknown_question", "no such question"));
}

TEST_F(AskQuestionTest, DoesNotWithdrawAnotherSessionsQuestion) {
  desk_.AskKey("a");
  QuestionRecord foreign = desk_.Question("a").value();
  foreign.mutable_question()->set_session_id("another");
  v1::WithdrawQuestionRequest request;
  request.set_job_id(desk_.job().job().job_id());
  request.set_lease_token(desk_.job().lease_token());
  request.set_key("a");
  const auto decision = WithdrawQuestion(request, foreign, desk_.state(), desk_.context());
  EXPECT_THAT(decision, IsRefused("unknown_question", ""));
  EXPECT_THAT(decision, HasCode(absl::StatusCode::kNotFound));
}

TEST_F(AskQuestionTest, ExpiresWithItsDefault) {
  ASSERT_THAT(Ask("key: 'k' content: 'c' default_response: 'go on' expires_in { seconds: 1 }"),
              IsOk());
  desk_.NewEvents();
  desk_.log().now += absl::Seconds(1);
  desk_.Expire("k");
  EXPECT_EQ(desk_.NewEvents(), "question_expired");
  const v1::QuestionExpired& expired = desk_.log().events.back().question_expired();
  EXPECT_EQ(expired.key(), "k");
  EXPECT_EQ(expired.default_response(), "go on");
  EXPECT_EQ(desk_.Question("k")->question().state(), v1::QUESTION_STATE_EXPIRED);
  EXPECT_EQ(desk_.Question("k")->question().closed_sequence(), desk_.log().head());
  EXPECT_EQ(desk_.ticket().last_input_sequence(), desk_.log().head());
  EXPECT_EQ(desk_.Answer("k", "late").outcome(), v1::RESPONSE_OUTCOME_EXPIRED);
}

TEST_F(AskQuestionTest, ExpiresWithoutADefaultAsAnError) {
  desk_.AskKey("k");
  desk_.Expire("k");
  EXPECT_FALSE(desk_.log().events.back().question_expired().has_default_response());
  EXPECT_TRUE(desk_.log().events.back().question_expired().default_responses().empty());
}

TEST_F(AskQuestionTest, EventsOfAQuestionNameTheAttemptThatAsked) {
  desk_.AskKey("k");
  desk_.Lose();
  desk_.BecomeDue();
  desk_.Claim();
  desk_.Answer("k", "yes");
  EXPECT_EQ(desk_.job().job().attempt(), 2);
  EXPECT_EQ(desk_.log().events.back().attempt(), 1);
}

}  // namespace
}  // namespace agentdesk::domain
