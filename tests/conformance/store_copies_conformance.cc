// Checkpoints and copies of a store.

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/conformance/store_conformance.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"

namespace agentdesk::testing {
namespace {

using record::v1::JobRecord;
using record::v1::QuestionRecord;
using record::v1::TicketCheckpoint;
using record::v1::TicketRecord;

TEST_P(StoreConformance, FindsTheFirstEventOfATime) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  EXPECT_EQ(Value(OpenView()->SequenceAt(TimeOf(1))), 1) << "an empty log";
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  for (int64_t sequence = 2; sequence <= 9; ++sequence) {
    EXPECT_THAT(transaction->Append(AgentMessageEvent(ticket, sequence, "hello")), IsOk());
  }
  EXPECT_EQ(Value(transaction->SequenceAt(TimeOf(5))), 5);
  Commit(std::move(transaction));
  auto view = OpenView();
  EXPECT_EQ(Value(view->SequenceAt(absl::InfinitePast())), 1);
  EXPECT_EQ(Value(view->SequenceAt(TimeOf(1))), 1);
  EXPECT_EQ(Value(view->SequenceAt(TimeOf(5))), 5);
  EXPECT_EQ(Value(view->SequenceAt(TimeOf(5) + absl::Microseconds(1))), 6);
  EXPECT_EQ(Value(view->SequenceAt(TimeOf(9))), 9);
  EXPECT_EQ(Value(view->SequenceAt(TimeOf(10))), 10) << "one past the end";
}

TEST_P(StoreConformance, ACheckpointHasTheStateOfWhatHasNotEnded) {
  TicketRecord live = NewTicket(*ids_, "live");
  const JobRecord live_job = NewJob(*ids_, live);
  TicketRecord ended = NewTicket(*ids_, "ended", v1::JOB_STATUS_COMPLETED);
  const JobRecord ended_job = NewJob(*ids_, ended);
  EXPECT_EQ(Value(OpenView()->CheckpointSequence()), 0);
  auto transaction = Begin();
  PutNew(*transaction, live, live_job);
  PutNew(*transaction, ended, ended_job);
  const QuestionRecord question = NewQuestion(*ids_, live, "which", 1);
  EXPECT_THAT(transaction->PutQuestion(question), IsOk());
  EXPECT_THAT(transaction->PutCheckpoint(), IsOk());
  Commit(std::move(transaction));

  // What happens after it does not change it.
  transaction = Begin();
  TicketRecord renamed = Value(transaction->FindTicket(live.ticket().ticket_id()));
  renamed.mutable_ticket()->set_ticket_name("renamed");
  EXPECT_THAT(transaction->PutTicket(renamed), IsOk());
  EXPECT_THAT(transaction->Append(AgentMessageEvent(live, 3, "hello")), IsOk());
  Commit(std::move(transaction));
  Reopen();

  auto view = OpenView();
  EXPECT_EQ(Value(view->CheckpointSequence()), 2);
  const TicketCheckpoint state = Value(view->FindCheckpoint(live.ticket().session_id()));
  EXPECT_EQ(state.ticket().SerializeAsString(), live.SerializeAsString());
  ASSERT_EQ(state.jobs_size(), 1);
  EXPECT_EQ(state.jobs(0).SerializeAsString(), live_job.SerializeAsString());
  ASSERT_EQ(state.questions_size(), 1);
  EXPECT_EQ(state.questions(0).SerializeAsString(), question.SerializeAsString());
  EXPECT_THAT(view->FindCheckpoint(ended.ticket().session_id()),
              HasCode(absl::StatusCode::kNotFound));
  const TicketCheckpoint now = Value(store::ReadTicketState(*view, renamed));
  EXPECT_EQ(now.ticket().ticket().ticket_name(), "renamed");
  EXPECT_EQ(now.questions_size(), 1);

  // The next one takes its place.
  transaction = Begin();
  EXPECT_THAT(transaction->PutCheckpoint(), IsOk());
  Commit(std::move(transaction));
  view = OpenView();
  EXPECT_EQ(Value(view->CheckpointSequence()), 3);
  EXPECT_EQ(Value(view->FindCheckpoint(live.ticket().session_id())).ticket().ticket().ticket_name(),
            "renamed");
}

TEST_P(StoreConformance, ACopyIsOfOneMoment) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  Commit(std::move(transaction));
  auto copy = Value(store().BeginCopy());
  EXPECT_EQ(copy->head(), 1);
  EXPECT_THAT(store().BeginCopy(), HasError(absl::StatusCode::kResourceExhausted, "another"));
  std::string bytes;
  for (int64_t sequence = 2; !copy->done(); ++sequence) {
    transaction = Begin();
    EXPECT_THAT(transaction->Append(AgentMessageEvent(ticket, sequence, std::string(3000, 'x'))),
                IsOk());
    Commit(std::move(transaction));
    bytes += Value(copy->Next());
  }
  EXPECT_EQ(copy->head(), 1);
  EXPECT_GT(bytes.size(), 1000u);
  copy.reset();
  EXPECT_THAT(store().BeginCopy(), IsOk());
}

}  // namespace
}  // namespace agentdesk::testing
