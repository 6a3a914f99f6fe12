#include "core_service/desk/desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/desk/agent_input.h"
#include "tests/support/desk_fixture.h"

namespace agentdesk::desk {
namespace {

using testing::DeskFixture;

class DeskTest : public DeskFixture {
 protected:
  absl::StatusOr<v1::CompleteJobResponse> Complete(const v1::ClaimJobResponse& claim,
                                                   const std::string& request_id = "") {
    v1::CompleteJobRequest request;
    request.set_job_id(claim.job().job_id());
    request.set_lease_token(claim.lease_token());
    request.set_summary("done");
    request.set_request_id(request_id);
    return Call<v1::CompleteJobResponse>(request);
  }
  absl::StatusOr<v1::ReleaseJobResponse> Park(const v1::ClaimJobResponse& claim,
                                              int64_t input_after) {
    v1::ReleaseJobRequest request;
    request.set_job_id(claim.job().job_id());
    request.set_lease_token(claim.lease_token());
    request.set_input_after_sequence(input_after);
    return Call<v1::ReleaseJobResponse>(request);
  }
  absl::StatusOr<v1::RenewLeaseResponse> Renew(const v1::ClaimJobResponse& claim) {
    v1::RenewLeaseRequest request;
    request.set_job_id(claim.job().job_id());
    request.set_lease_token(claim.lease_token());
    return Call<v1::RenewLeaseResponse>(request);
  }
  absl::StatusOr<v1::SubmitResponseResponse> AnswerAsOf(const std::string& session_id,
                                                        int64_t as_of, const std::string& text) {
    v1::SubmitResponseRequest request;
    request.set_session_id(session_id);
    request.set_as_of_sequence(as_of);
    request.set_response(text);
    return Call<v1::SubmitResponseResponse>(request);
  }
  int64_t head() { return desk_->GetDesk().head_sequence(); }
};

TEST_F(DeskTest, ATicketLivesFromCreateToComplete) {
  const auto created = Create("Fix the login page");
  EXPECT_EQ(created.status(), v1::JOB_STATUS_QUEUED);
  const auto claim = Claim();
  ASSERT_TRUE(claim.ok());
  EXPECT_EQ(claim->job().job_id(), created.job_id());
  EXPECT_EQ(claim->desk_id(), desk_->desk_id());
  const v1::Question question = AskQuestion(*claim, "q");
  EXPECT_EQ(Ticket(created.ticket_id()).open_questions(), 1);
  EXPECT_EQ(Answer(question, "yes").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  ASSERT_TRUE(Complete(*claim).ok());

  std::vector<v1::EventType> types;
  int64_t sequence = 0;
  for (const v1::Event& event : Log()) {
    EXPECT_EQ(event.sequence(), ++sequence);
    types.push_back(store::TypeOf(event));
  }
  EXPECT_EQ(types, (std::vector<v1::EventType>{
                       v1::EVENT_TYPE_TICKET_CREATED, v1::EVENT_TYPE_AGENT_STARTED,
                       v1::EVENT_TYPE_AGENT_QUESTION, v1::EVENT_TYPE_QUESTION_ANSWERED,
                       v1::EVENT_TYPE_AGENT_COMPLETE}));
  EXPECT_EQ(Ticket(created.ticket_id()).status(), v1::JOB_STATUS_COMPLETED);
}

TEST_F(DeskTest, ARepeatGetsTheFirstResultAlsoAfterARestart) {
  const auto first = Create("Once", "id-1");
  const auto again = Create("Once", "id-1");
  EXPECT_FALSE(first.replayed());
  EXPECT_TRUE(again.replayed());
  EXPECT_EQ(again.ticket_id(), first.ticket_id());
  Restart();
  EXPECT_EQ(Create("Once", "id-1").ticket_id(), first.ticket_id());
  EXPECT_EQ(Log().size(), 1u);

  v1::CreateTicketRequest other;
  other.set_ticket_name("Another");
  other.set_request_id("id-1");
  const auto refused = Call<v1::CreateTicketResponse>(other);
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status()));
  EXPECT_EQ(DetailOf(refused.status()).reason, "request_id_reused");
  v1::CancelTicketRequest cancel;
  cancel.set_ticket_id(first.ticket_id());
  cancel.set_request_id("id-1");
  EXPECT_EQ(DetailOf(Call<v1::CancelTicketResponse>(cancel).status()).reason, "request_id_reused");
}

TEST_F(DeskTest, ConcurrentRepeatsMakeOneTicket) {
  std::vector<std::thread> threads;
  Mutex mutex;
  std::set<std::string> ids;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      const std::string id = Create("Once", "same").ticket_id();
      MutexLock lock(mutex);
      ids.insert(id);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(Log().size(), 1u);
}

TEST_F(DeskTest, ARefusalIsNotRemembered) {
  v1::CancelTicketRequest cancel;
  cancel.set_ticket_id("2bbab082-7928-816f-88e2-f42f69157f7b");
  cancel.set_request_id("later");
  EXPECT_TRUE(absl::IsNotFound(Call<v1::CancelTicketResponse>(cancel).status()));
  v1::CreateTicketRequest create;
  create.set_ticket_name("Now it exists");
  create.set_ticket_id(cancel.ticket_id());
  ASSERT_TRUE(Call<v1::CreateTicketResponse>(create).ok());
  EXPECT_TRUE(Call<v1::CancelTicketResponse>(cancel).ok());
}

TEST_F(DeskTest, ARepeatOfWhatHadNothingToDoDoesNothingLaterEither) {
  v1::CancelTicketRequest cancel;
  cancel.set_ticket_id(Create("Over").ticket_id());
  ASSERT_TRUE(Call<v1::CancelTicketResponse>(cancel).ok());
  cancel.set_request_id("nothing to do");
  const auto first = Call<v1::CancelTicketResponse>(cancel);
  ASSERT_TRUE(first.ok());
  v1::RetryTicketRequest retry;
  retry.set_ticket_id(cancel.ticket_id());
  ASSERT_TRUE(Call<v1::RetryTicketResponse>(retry).ok());

  const auto again = Call<v1::CancelTicketResponse>(cancel);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->replayed());
  EXPECT_EQ(again->ticket().job_id(), first->ticket().job_id());
  EXPECT_EQ(Ticket(cancel.ticket_id()).status(), v1::JOB_STATUS_QUEUED);
  retry.set_request_id(cancel.request_id());
  EXPECT_EQ(DetailOf(Call<v1::RetryTicketResponse>(retry).status()).reason, "request_id_reused");
}

TEST_F(DeskTest, AnOwnTicketIdIsTakenOnce) {
  v1::CreateTicketRequest create;
  create.set_ticket_name("Mine");
  create.set_ticket_id("2BBAB0827928816F88E2F42F69157F7B");
  const auto first = Call<v1::CreateTicketResponse>(create);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->ticket_id(), "2bbab082-7928-816f-88e2-f42f69157f7b");
  EXPECT_TRUE(absl::IsAlreadyExists(Call<v1::CreateTicketResponse>(create).status()));
}

TEST_F(DeskTest, OneOfManyAnswersWinsAndTheOthersLearnWho) {
  Create("Contested");
  const auto claim = Claim();
  const v1::Question question = AskQuestion(*claim, "q");
  const int64_t seen = head();
  std::vector<std::thread> threads;
  Mutex mutex;
  std::vector<v1::SubmitResponseResponse> answers;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&, i] {
      v1::SubmitResponseRequest request;
      request.set_session_id(question.session_id());
      if (i % 2 == 0) {
        request.set_question_id(question.question_id());
      } else {
        request.set_as_of_sequence(seen);
      }
      request.set_response("answer " + std::to_string(i));
      Caller caller;
      caller.actor.set_id("human " + std::to_string(i));
      const auto answer = CallAs<v1::SubmitResponseResponse>(caller, request);
      ASSERT_TRUE(answer.ok());
      MutexLock lock(mutex);
      answers.push_back(*answer);
    });
  }
  for (std::thread& thread : threads) thread.join();
  int received = 0;
  std::set<std::string> winners;
  for (const v1::SubmitResponseResponse& answer : answers) {
    if (answer.outcome() == v1::RESPONSE_OUTCOME_RECEIVED) {
      ++received;
    } else {
      EXPECT_EQ(answer.outcome(), v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
      winners.insert(answer.answered_by().id() + "/" + answer.response());
    }
  }
  EXPECT_EQ(received, 1);
  EXPECT_EQ(winners.size(), 1u);
}

TEST_F(DeskTest, AnUnnamedAnswerNeverSlidesOnToAQuestionThatWasNotSeen) {
  Create("Two questions");
  const auto claim = Claim();
  const v1::Question first = AskQuestion(*claim, "first");
  const int64_t saw_first = head();
  EXPECT_EQ(Answer(first, "mine", "ann").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  const v1::Question second = AskQuestion(*claim, "second");

  const auto late = AnswerAsOf(first.session_id(), saw_first, "late");
  ASSERT_TRUE(late.ok());
  EXPECT_EQ(late->outcome(), v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
  EXPECT_EQ(late->question_id(), first.question_id());
  // Having seen the first one answered, and nothing from the agent since, it is still for that one.
  const auto later = AnswerAsOf(first.session_id(), saw_first + 1, "later");
  ASSERT_TRUE(later.ok());
  EXPECT_EQ(later->outcome(), v1::RESPONSE_OUTCOME_ALREADY_ANSWERED);
  const auto fresh = AnswerAsOf(first.session_id(), head(), "for the second");
  ASSERT_TRUE(fresh.ok());
  EXPECT_EQ(fresh->outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(fresh->question_id(), second.question_id());
}

TEST_F(DeskTest, AnAnswerAsOfAPositionThatTheDeskNeverReachedIsNotJudged) {
  Create("Restored");
  const v1::Question question = AskQuestion(*Claim(), "q");
  const int64_t asked = head();
  v1::SubmitResponseRequest request;
  request.set_session_id(question.session_id());
  request.set_as_of_sequence(asked + 1);
  request.set_response("yes");
  request.set_request_id("click");
  const absl::Status ahead = Call<v1::SubmitResponseResponse>(request).status();
  EXPECT_TRUE(absl::IsOutOfRange(ahead)) << ahead;
  EXPECT_EQ(DetailOf(ahead).reason, "ahead");
  EXPECT_THAT(DetailOf(ahead).metadata,
              ::testing::UnorderedElementsAreArray(
                  DetailOf(desk_->CheckPosition(desk_->desk_id(), asked + 1)).metadata));
  request.set_as_of_sequence(asked);
  request.set_desk_id("2bbab082-7928-816f-88e2-f42f69157f7b");
  const absl::Status other = Call<v1::SubmitResponseResponse>(request).status();
  EXPECT_TRUE(absl::IsOutOfRange(other)) << other;
  EXPECT_EQ(DetailOf(other).reason, "other_desk");
  EXPECT_EQ(head(), asked);

  request.set_desk_id(desk_->desk_id());
  const auto answered = Call<v1::SubmitResponseResponse>(request);
  ASSERT_TRUE(answered.ok()) << answered.status();
  EXPECT_EQ(answered->outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(answered->question_id(), question.question_id());
  // What was shown by the time of a repeat does not make it another call.
  request.clear_desk_id();
  request.set_as_of_sequence(head());
  const auto again = Call<v1::SubmitResponseResponse>(request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->replayed());
}

TEST_F(DeskTest, AnUnknownSessionIsAnOutcomeWhateverItsId) {
  for (const char* id : {"nobody", "2bbab082-7928-816f-88e2-f42f69157f7b"}) {
    const auto answer = AnswerAsOf(id, 0, "hello");
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->outcome(), v1::RESPONSE_OUTCOME_UNKNOWN_SESSION);
  }
}

TEST_F(DeskTest, AWorkerPastItsLeaseCanChangeNothing) {
  const auto created = Create("Fenced");
  const auto slow = Claim("slow");
  ASSERT_TRUE(slow.ok());
  clock_.Advance(absl::Seconds(20));
  ASSERT_TRUE(Renew(*slow).ok());
  clock_.Advance(absl::Seconds(29));
  ASSERT_TRUE(Renew(*slow).ok());
  clock_.Advance(absl::Seconds(31));
  EXPECT_EQ(DetailOf(Renew(*slow).status()).reason, "lease_lost");
  EXPECT_EQ(DetailOf(Complete(*slow).status()).reason, "lease_lost");
  EXPECT_EQ(Ticket(created.ticket_id()).status(), v1::JOB_STATUS_QUEUED);

  clock_.Advance(absl::Minutes(5));
  WaitFor(v1::EVENT_TYPE_JOB_REQUEUED);
  const auto next = Claim("next", absl::Seconds(10));
  ASSERT_TRUE(next.ok());
  ASSERT_TRUE(next->has_job());
  EXPECT_GT(next->lease_token(), slow->lease_token());
  EXPECT_EQ(next->reason(), v1::START_REASON_LEASE_LOST);
  EXPECT_EQ(next->job().attempt(), 2);
  EXPECT_EQ(DetailOf(Complete(*slow).status()).reason, "lease_lost");
  EXPECT_TRUE(Complete(*next).ok());
}

TEST_F(DeskTest, ACoreThatWasDownGivesEveryLeaseAFullTerm) {
  Create("Long");
  const auto claim = Claim();
  clock_.Advance(absl::Seconds(29));
  Close();
  clock_.Advance(absl::Hours(3));
  Open();
  clock_.Advance(absl::Seconds(29));
  EXPECT_TRUE(Renew(*claim).ok());
  EXPECT_TRUE(Complete(*claim).ok());
}

TEST_F(DeskTest, AParkedAgentGoesOnHoursLaterFromItsCheckpoint) {
  Create("Patient");
  const auto claim = Claim("first");
  v1::ReportActivityRequest report;
  report.set_job_id(claim->job().job_id());
  report.set_lease_token(claim->lease_token());
  report.set_checkpoint_json(R"({"step":3})");
  ASSERT_TRUE(Call<v1::ReportActivityResponse>(report).ok());
  const v1::Question question = AskQuestion(*claim, "q");
  const auto parked = Park(*claim, claim->sequence());
  ASSERT_TRUE(parked.ok());
  EXPECT_EQ(parked->job().status(), v1::JOB_STATUS_WAITING);
  EXPECT_FALSE(Claim("nobody")->has_job());

  clock_.Advance(absl::Hours(8));
  Restart();
  clock_.Advance(absl::Hours(8));
  EXPECT_EQ(Answer(question, "go on").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  const auto second = Claim("second");
  ASSERT_TRUE(second.ok() && second->has_job());
  EXPECT_EQ(second->reason(), v1::START_REASON_INPUT);
  EXPECT_EQ(second->checkpoint_json(), R"({"step":3})");
  EXPECT_EQ(second->job().failed_attempts(), 0);
  v1::AskQuestionRequest again;
  again.set_job_id(second->job().job_id());
  again.set_lease_token(second->lease_token());
  again.set_key("q");
  again.set_content("May I?");
  const auto same = Call<v1::AskQuestionResponse>(again);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->question().question_id(), question.question_id());
  EXPECT_EQ(same->question().response(), "go on");
}

TEST_F(DeskTest, InputBeforeThePauseWakesAParkedJobAtOnce) {
  Create("Quick human");
  const auto claim = Claim();
  const v1::Question question = AskQuestion(*claim, "q");
  Answer(question, "already here");
  const auto parked = Park(*claim, claim->sequence());
  ASSERT_TRUE(parked.ok());
  EXPECT_EQ(parked->job().status(), v1::JOB_STATUS_QUEUED);
  EXPECT_TRUE(Claim()->has_job());
}

TEST_F(DeskTest, AQuestionExpiresByTheMonotonicClockOnly) {
  options_.expiry_hold = absl::ZeroDuration();
  Restart();
  Create("Deadline");
  const auto claim = Claim();
  const v1::Question question = AskQuestion(*claim, "q", absl::Minutes(1));
  clock_.JumpWall(absl::Hours(1));
  ASSERT_TRUE(Renew(*claim).ok());
  EXPECT_EQ(Answer(question, "").outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  clock_.JumpWall(-absl::Hours(1));
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(Answer(question, "").outcome(), v1::RESPONSE_OUTCOME_INVALID_RESPONSE);
  clock_.Advance(absl::Seconds(1));
  WaitFor(v1::EVENT_TYPE_QUESTION_EXPIRED);
  EXPECT_EQ(Answer(question, "too late").outcome(), v1::RESPONSE_OUTCOME_EXPIRED);
}

TEST_F(DeskTest, NothingExpiresInTheFirstHalfMinuteAfterAStart) {
  Create("Held");
  const auto claim = Claim();
  const v1::Question question = AskQuestion(*claim, "q", absl::Minutes(1));
  Park(*claim, claim->sequence()).IgnoreError();
  Close();
  clock_.Advance(absl::Hours(1));
  Open();
  clock_.Advance(absl::Seconds(29));
  EXPECT_EQ(Answer(question, "in time after all").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
}

TEST_F(DeskTest, AClaimRepeatedUnderItsIdReturnsTheLiveLease) {
  Create("One");
  Create("Two");
  const auto first = Claim("w", absl::ZeroDuration(), "claim-1");
  const auto again = Claim("w", absl::ZeroDuration(), "claim-1");
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(again->lease_token(), first->lease_token());
  EXPECT_TRUE(again->replayed());
  Restart();
  EXPECT_EQ(Claim("w", absl::ZeroDuration(), "claim-1")->lease_token(), first->lease_token());
  ASSERT_TRUE(Complete(*first).ok());
  const auto anew = Claim("w", absl::ZeroDuration(), "claim-1");
  ASSERT_TRUE(anew.ok() && anew->has_job());
  EXPECT_NE(anew->job().job_id(), first->job().job_id());
}

TEST_F(DeskTest, TheMostUrgentJobComesFirstThenTheOldest) {
  v1::CreateTicketRequest request;
  std::vector<std::string> names;
  for (const auto& [name, priority] :
       std::vector<std::pair<std::string, int>>{{"low", 0}, {"old", 5}, {"new", 5}, {"high", 9}}) {
    request.set_ticket_name(name);
    request.set_priority(priority);
    ASSERT_TRUE(Call<v1::CreateTicketResponse>(request).ok());
  }
  for (int i = 0; i < 4; ++i) names.push_back(Claim()->ticket().ticket_name());
  EXPECT_EQ(names, (std::vector<std::string>{"high", "old", "new", "low"}));
}

TEST_F(DeskTest, ADelayedTicketIsOfferedWhenItsTimeHasCome) {
  v1::CreateTicketRequest request;
  request.set_ticket_name("Tomorrow");
  *request.mutable_run_after() = ToProto(clock_.Now() + absl::Hours(24));
  ASSERT_TRUE(Call<v1::CreateTicketResponse>(request).ok());
  EXPECT_FALSE(Claim()->has_job());
  Restart();
  clock_.Advance(absl::Hours(24) - absl::Seconds(1));
  EXPECT_FALSE(Claim()->has_job());
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Claim()->has_job());
}

TEST_F(DeskTest, ASensitiveAnswerReachesTheAgentAlone) {
  Create("Secret");
  const auto claim = Claim();
  v1::AskQuestionRequest ask;
  ask.set_job_id(claim->job().job_id());
  ask.set_lease_token(claim->lease_token());
  ask.set_key("password");
  ask.set_content("The password?");
  ask.set_sensitive(true);
  const auto question = Call<v1::AskQuestionResponse>(ask);
  ASSERT_TRUE(question.ok()) << question.status();
  EXPECT_EQ(Answer(question->question(), "hunter2").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  for (const v1::Event& event : Log()) {
    EXPECT_EQ(event.SerializeAsString().find("hunter2"), std::string::npos);
  }
  v1::GetQuestionRequest get;
  get.set_question_id(question->question().question_id());
  EXPECT_EQ(Ask<v1::GetQuestionResponse>(get)->question().response(), "");

  v1::ReceiveInputRequest receive;
  receive.set_job_id(claim->job().job_id());
  receive.set_lease_token(claim->lease_token());
  auto input = AgentInput::Open(*desk_, Caller{}, receive, *store_);
  ASSERT_TRUE(input.ok()) << input.status();
  auto batch = (*input)->Next(nullptr, *store_);
  ASSERT_TRUE(batch.ok());
  ASSERT_EQ(batch->inputs.size(), 1u);
  EXPECT_EQ(batch->inputs[0].answer().response(), "hunter2");
}

TEST_F(DeskTest, AgentInputEndsWithTheLease) {
  Create("Lost");
  const auto claim = Claim();
  v1::ReceiveInputRequest receive;
  receive.set_job_id(claim->job().job_id());
  receive.set_lease_token(claim->lease_token());
  auto input = AgentInput::Open(*desk_, Caller{}, receive, *store_);
  ASSERT_TRUE(input.ok()) << input.status();
  clock_.Advance(absl::Seconds(31));
  WaitFor(v1::EVENT_TYPE_JOB_REQUEUED);
  const auto batch = (*input)->Next(nullptr, *store_);
  ASSERT_TRUE(batch.ok());
  EXPECT_TRUE(batch->ended);
  ASSERT_EQ(batch->inputs.size(), 1u);
  EXPECT_TRUE(batch->inputs[0].has_lease_lost());
  EXPECT_EQ(DetailOf(AgentInput::Open(*desk_, Caller{}, receive, *store_).status()).reason,
            "lease_lost");
}

TEST_F(DeskTest, APositionThatCannotBeServedIsRefusedInWords) {
  options_.retain_events = 10;
  Restart();
  for (int i = 0; i < 30; ++i) Create("Ticket " + std::to_string(i));
  const std::string desk = desk_->desk_id();
  EXPECT_TRUE(desk_->CheckPosition(desk, 20).ok());
  EXPECT_EQ(DetailOf(desk_->CheckPosition(desk, 19)).reason, "compacted");
  EXPECT_EQ(DetailOf(desk_->CheckPosition("", 0)).reason, "compacted");
  EXPECT_EQ(DetailOf(desk_->CheckPosition(desk, 31)).reason, "ahead");
  EXPECT_EQ(DetailOf(desk_->CheckPosition("2bbab082-7928-816f-88e2-f42f69157f7b", 25)).reason,
            "other_desk");
  EXPECT_TRUE(absl::IsInvalidArgument(desk_->CheckPosition("", 25)));
  // The transcript is never shortened.
  EXPECT_EQ(Log().size(), 30u);
  Restart();
  EXPECT_EQ(DetailOf(desk_->CheckPosition(desk, 19)).reason, "compacted");
}

TEST_F(DeskTest, ACursorThatBeginsInTheStoreJoinsTheTailWithoutASeam) {
  for (int i = 0; i < 20; ++i) Create("Before " + std::to_string(i));
  // After a start the tail is empty: what came before is in the store alone.
  Restart();
  events::Subscription cursor = desk_->Subscribe(Caller{}, {}, 0);
  events::Subscription::Limits limits;
  limits.max_events = 3;
  cursor.set_limits(limits);
  std::vector<int64_t> seen;
  int from_store = 0;
  while (seen.size() < 40) {
    events::Subscription::Batch batch = cursor.Next(nullptr);
    if (batch.found == events::EventLog::Found::kInStore) {
      batch = *cursor.ReadStore(*store_);
      ++from_store;
    }
    ASSERT_EQ(batch.found, events::EventLog::Found::kEvents);
    v1::SubscribeResponse decoded;
    for (const events::Piece& piece : batch.pieces) {
      decoded.MergeFromString(std::string(piece.bytes));
    }
    for (const v1::Event& event : decoded.events()) seen.push_back(event.sequence());
    // The log grows while the cursor catches up.
    if (head() < 40) Create("Meanwhile");
    if (head() < 40) Create("Meanwhile");
  }
  EXPECT_GT(from_store, 1);
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<int64_t>(i) + 1);
}

TEST_F(DeskTest, ASnapshotHoldsWhatHasNotEndedWithItsQuestions) {
  const auto ended = Create("Ended");
  ASSERT_TRUE(Complete(*Claim()).ok());
  const auto live = Create("Live");
  const v1::Question question = AskQuestion(*Claim(), "q");
  std::promise<std::shared_ptr<const SnapshotParts>> taken;
  desk_->TakeSnapshot(Caller{}, {}, [&](auto parts) { taken.set_value(*std::move(parts)); });
  const auto parts = taken.get_future().get();
  EXPECT_EQ(parts->sequence, head());
  ASSERT_EQ(parts->parts.size(), 1u);
  ASSERT_EQ(parts->parts[0].tickets_size(), 1);
  EXPECT_EQ(parts->parts[0].tickets(0).ticket_id(), live.ticket_id());
  ASSERT_EQ(parts->parts[0].questions_size(), 1);
  EXPECT_EQ(parts->parts[0].questions(0).question_id(), question.question_id());
}

TEST_F(DeskTest, APageTokenHoldsOnlyForItsOwnCall) {
  for (int i = 0; i < 5; ++i) Create("Ticket " + std::to_string(i));
  v1::ListTicketsRequest list;
  list.set_page_size(2);
  std::set<std::string> seen;
  int pages = 0;
  do {
    auto page = Ask<v1::ListTicketsResponse>(list);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::Ticket& ticket : page->tickets()) seen.insert(ticket.ticket_id());
    list.set_page_token(page->next_page_token());
    ++pages;
    Create("Created meanwhile");
  } while (!list.page_token().empty());
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(pages, 3);
  v1::ListTicketsRequest first;
  first.set_page_size(2);
  list.set_page_token(Ask<v1::ListTicketsResponse>(first)->next_page_token());
  list.set_status(v1::JOB_STATUS_QUEUED);
  EXPECT_EQ(DetailOf(Ask<v1::ListTicketsResponse>(list).status()).field, "page_token");
}

TEST_F(DeskTest, TooManyCommandsAreRefusedWithATimeToWait) {
  options_.max_commands = 0;
  Restart();
  v1::CreateTicketRequest request;
  request.set_ticket_name("No room");
  const auto refused = Call<v1::CreateTicketResponse>(request);
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status()));
  EXPECT_TRUE(DetailOf(refused.status()).retry_after.has_value());
}

}  // namespace
}  // namespace agentdesk::desk
