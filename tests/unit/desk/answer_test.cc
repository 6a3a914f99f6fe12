#include <gtest/gtest.h>

#include <string>

#include "core_service/base/error.h"
#include "tests/support/desk_fixture.h"

// Which question a response, or a key, is for.
namespace agentdesk::desk {
namespace {

using testing::DeskFixture;

class AnswerTest : public DeskFixture {
 protected:
  v1::SubmitResponseRequest Unnamed(const v1::Question& question, int64_t as_of,
                                    const std::string& text, const std::string& request_id) {
    v1::SubmitResponseRequest request;
    request.set_session_id(question.session_id());
    request.set_as_of_sequence(as_of);
    request.set_response(text);
    request.set_request_id(request_id);
    return request;
  }
  v1::ResponseOutcome Submit(const v1::SubmitResponseRequest& request) {
    const auto response = Call<v1::SubmitResponseResponse>(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->outcome() : v1::RESPONSE_OUTCOME_UNSPECIFIED;
  }
  void Withdraw(const v1::ClaimJobResponse& claim, const v1::Question& question) {
    v1::WithdrawQuestionRequest request;
    request.set_job_id(claim.job().job_id());
    request.set_lease_token(claim.lease_token());
    request.set_question_id(question.question_id());
    ASSERT_TRUE(Call<v1::WithdrawQuestionResponse>(request).ok());
  }
  absl::StatusOr<v1::AskQuestionResponse> AskAs(const v1::ClaimJobResponse& claim,
                                                const std::string& key,
                                                const std::string& content) {
    v1::AskQuestionRequest request;
    request.set_job_id(claim.job().job_id());
    request.set_lease_token(claim.lease_token());
    request.set_key(key);
    request.set_content(content);
    return Call<v1::AskQuestionResponse>(request);
  }
  int64_t head() { return desk_->GetDesk().head_sequence(); }
};

TEST_F(AnswerTest, ARefusedAnswerRepeatedLaterStaysWithWhatItsGiverWasShown) {
  Create("Two questions");
  const auto claim = Claim();
  const v1::Question first = AskQuestion(*claim, "delete the temporary files");
  const int64_t shown = head();
  Withdraw(*claim, first);
  EXPECT_EQ(Submit(Unnamed(first, shown, "yes", "click")), v1::RESPONSE_OUTCOME_WITHDRAWN);

  // The acknowledgement was lost; by the time of the repeat another question is on the screen.
  const v1::Question second = AskQuestion(*claim, "delete the database");
  EXPECT_EQ(Submit(Unnamed(first, head(), "yes", "click")), v1::RESPONSE_OUTCOME_WITHDRAWN);
  Restart();
  EXPECT_EQ(Submit(Unnamed(first, head(), "yes", "click")), v1::RESPONSE_OUTCOME_WITHDRAWN);
  // Under another id it is another click.
  EXPECT_EQ(Submit(Unnamed(second, head(), "yes", "click 2")), v1::RESPONSE_OUTCOME_RECEIVED);
}

TEST_F(AnswerTest, TheIdOfARefusedAnswerIsFreeForAnythingElse) {
  Create("Asks");
  const auto claim = Claim();
  const v1::Question question = AskQuestion(*claim, "q");
  EXPECT_EQ(Submit(Unnamed(question, head(), "", "id")), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  EXPECT_EQ(Submit(Unnamed(question, head(), "yes", "id")), v1::RESPONSE_OUTCOME_RECEIVED);
  // From here on it names that answer.
  const auto again = Call<v1::SubmitResponseResponse>(Unnamed(question, head(), "yes", "id"));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->replayed());
  EXPECT_EQ(again->question_id(), question.question_id());

  EXPECT_EQ(Submit(Unnamed(question, head(), "late", "other")),
            v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
  EXPECT_FALSE(Create("Under the same id", "other").replayed());
}

TEST_F(AnswerTest, ARetryAsksAnewWhatWasWithdrawnWithTheRunBefore) {
  const auto created = Create("Retried");
  const auto claim = Claim();
  const auto open = AskAs(*claim, "open", "May I?");
  const auto answered = AskAs(*claim, "answered", "Which?");
  ASSERT_TRUE(open.ok() && answered.ok());
  Answer(answered->question(), "this");
  v1::FailJobRequest fail;
  fail.set_job_id(claim->job().job_id());
  fail.set_lease_token(claim->lease_token());
  fail.set_error("broken");
  ASSERT_TRUE(Call<v1::FailJobResponse>(fail).ok());
  v1::RetryTicketRequest retry;
  retry.set_ticket_id(created.ticket_id());
  ASSERT_TRUE(Call<v1::RetryTicketResponse>(retry).ok());
  const auto second = Claim();
  ASSERT_TRUE(second.ok() && second->has_job());

  const auto anew = AskAs(*second, "open", "May I now?");
  ASSERT_TRUE(anew.ok()) << anew.status();
  EXPECT_NE(anew->question().question_id(), open->question().question_id());
  EXPECT_EQ(anew->question().state(), v1::QUESTION_STATE_OPEN);
  EXPECT_EQ(AskAs(*second, "answered", "Which?")->question().response(), "this");
  // Within this run the key means the new one, whatever becomes of it.
  Withdraw(*second, anew->question());
  const auto again = AskAs(*second, "open", "May I now?");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->question().question_id(), anew->question().question_id());
  EXPECT_EQ(again->question().state(), v1::QUESTION_STATE_WITHDRAWN);
}

}  // namespace
}  // namespace agentdesk::desk
