#include "tests/conformance/store_conformance.h"

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"

namespace agentdesk::testing {

using record::v1::JobRecord;
using record::v1::QuestionRecord;
using record::v1::RequestRecord;
using record::v1::TicketRecord;
using store::PageRequest;
using store::Transaction;
using store::View;
using ::testing::IsEmpty;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StoreConformance);

void StoreConformance::SetUp() {
  ids_ = std::make_unique<SeededIds>(1);
  home_ = GetParam().make_home();
  store_ = Value(home_->Open(Clock::Real(), *ids_));
}

void StoreConformance::Reopen() {
  store_.reset();
  store_ = Value(home_->Open(Clock::Real(), *ids_));
}

std::unique_ptr<Transaction> StoreConformance::Begin() { return Value(store_->Begin()); }

std::unique_ptr<View> StoreConformance::OpenView() { return Value(store_->OpenView()); }

void StoreConformance::Commit(std::unique_ptr<Transaction> transaction) {
  EXPECT_THAT(transaction->Commit(), IsOk());
}

void StoreConformance::PutNew(Transaction& transaction, TicketRecord& ticket,
                              const JobRecord& job) {
  EXPECT_THAT(transaction.PutTicket(ticket), IsOk());
  EXPECT_THAT(transaction.PutJob(job), IsOk());
  EXPECT_THAT(transaction.Append(TicketCreatedEvent(ticket, transaction.head() + 1)), IsOk());
}

namespace {

TEST_P(StoreConformance, NewStoreIsEmptyAndHasAnId) {
  const std::string desk_id = store().desk_id();
  ASSERT_TRUE(Uuid::Parse(desk_id).has_value()) << desk_id;
  {
    auto view = OpenView();
    EXPECT_EQ(view->head(), 0);
    EXPECT_EQ(view->oldest(), 1);
    EXPECT_EQ(view->last_time(), absl::InfinitePast());
    EXPECT_THAT(view->FindTicket(ids_->NewUuid(TimeOf(0)).ToString()),
                HasCode(absl::StatusCode::kNotFound));
    EXPECT_THAT(view->NextClaimableJob({"default"}), HasCode(absl::StatusCode::kNotFound));
    EXPECT_THAT(Value(view->ListTickets(v1::JOB_STATUS_UNSPECIFIED, {})).rows, IsEmpty());
    EXPECT_THAT(Value(view->LeasedJobs()), IsEmpty());
    const store::EventRead read = Value(view->ReadEvents({}));
    EXPECT_TRUE(read.bytes->empty());
    EXPECT_EQ(read.complete_up_to, 0);
  }
  Reopen();
  EXPECT_EQ(store().desk_id(), desk_id);
}

TEST_P(StoreConformance, CommittedIsThereForOthersAndAfterReopening) {
  auto before = OpenView();
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  const QuestionRecord question = NewQuestion(*ids_, ticket, "k", 1);
  RequestRecord request;
  request.set_caller("anna");
  request.set_request_id("r-1");
  request.set_fingerprint(std::string("\0\1", 2));
  request.set_response("response");
  request.set_time_us(42);
  request.set_judged_as_of(0);
  {
    auto transaction = Begin();
    PutNew(*transaction, ticket, job);
    EXPECT_THAT(transaction->PutQuestion(question), IsOk());
    EXPECT_THAT(transaction->PutRequest(request), IsOk());
    EXPECT_THAT(transaction->PutActivityKey(ticket.ticket().session_id(), "step 1"), IsOk());
    const auto block = Value(transaction->Commit());
    ASSERT_EQ(block->entries().size(), 1u);
    EXPECT_EQ(block->entries()[0].sequence, 1);
    EXPECT_EQ(block->Decode(block->entries()[0]).SerializeAsString(),
              TicketCreatedEvent(ticket, 1).SerializeAsString());
  }
  EXPECT_EQ(before->head(), 0);
  EXPECT_THAT(before->FindTicket(ticket.ticket().ticket_id()),
              HasCode(absl::StatusCode::kNotFound));
  before.reset();

  for (bool reopened : {false, true}) {
    if (reopened) Reopen();
    auto view = OpenView();
    EXPECT_EQ(view->head(), 1);
    EXPECT_EQ(view->last_time(), TimeOf(1));
    const std::string session_id = ticket.ticket().session_id();
    EXPECT_EQ(Value(view->FindTicket(ticket.ticket().ticket_id())).SerializeAsString(),
              ticket.SerializeAsString());
    EXPECT_EQ(Value(view->FindTicketOfSession(session_id)).SerializeAsString(),
              ticket.SerializeAsString());
    EXPECT_EQ(Value(view->FindJob(job.job().job_id())).SerializeAsString(),
              job.SerializeAsString());
    EXPECT_EQ(Value(view->FindQuestion(question.question().question_id())).SerializeAsString(),
              question.SerializeAsString());
    EXPECT_EQ(Value(view->FindQuestionByKey(session_id, "k")).SerializeAsString(),
              question.SerializeAsString());
    EXPECT_EQ(Value(view->FindRequest("anna", "r-1")).SerializeAsString(),
              request.SerializeAsString());
    EXPECT_THAT(view->FindRequest("", "r-1"), HasCode(absl::StatusCode::kNotFound));
    EXPECT_TRUE(Value(view->HasActivityKey(session_id, "step 1")));
    EXPECT_FALSE(Value(view->HasActivityKey(session_id, "step 2")));
    const store::EventRead read = Value(view->ReadEvents({}));
    const store::EventBlock block = Value(store::EventBlock::Parse(*read.bytes));
    ASSERT_EQ(block.entries().size(), 1u);
    EXPECT_EQ(block.entries()[0].type, v1::EVENT_TYPE_TICKET_CREATED);
    EXPECT_EQ(block.Decode(block.entries()[0]).SerializeAsString(),
              TicketCreatedEvent(ticket, 1).SerializeAsString());
  }
}

TEST_P(StoreConformance, NothingRemainsOfATransactionThatWasNotCommitted) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  {
    auto transaction = Begin();
    PutNew(*transaction, ticket, job);
    EXPECT_THAT(transaction->FindTicket(ticket.ticket().ticket_id()), IsOk());
  }
  EXPECT_THAT(OpenView()->FindTicket(ticket.ticket().ticket_id()),
              HasCode(absl::StatusCode::kNotFound));
  auto transaction = Begin();
  EXPECT_EQ(transaction->head(), 0);
  EXPECT_THAT(transaction->FindJob(job.job().job_id()), HasCode(absl::StatusCode::kNotFound));
  PutNew(*transaction, ticket, job);
  Commit(std::move(transaction));
  EXPECT_EQ(OpenView()->head(), 1);
}

TEST_P(StoreConformance, TransactionSeesItsOwnChanges) {
  auto transaction = Begin();
  TicketRecord ticket = NewTicket(*ids_, "one");
  JobRecord job = NewJob(*ids_, ticket);
  EXPECT_THAT(transaction->FindTicket(ticket.ticket().ticket_id()),
              HasCode(absl::StatusCode::kNotFound));
  PutNew(*transaction, ticket, job);
  EXPECT_EQ(transaction->head(), 1);
  EXPECT_EQ(transaction->last_time(), TimeOf(1));
  EXPECT_EQ(Value(transaction->NextClaimableJob({"default"})).job().job_id(), job.job().job_id());

  job.mutable_job()->set_status(v1::JOB_STATUS_RUNNING);
  job.set_claimable(false);
  job.set_lease_token(2);
  EXPECT_THAT(transaction->PutJob(job), IsOk());
  EXPECT_THAT(transaction->NextClaimableJob({"default"}), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(Value(transaction->LeasedJobs()).size(), 1u);

  QuestionRecord question = NewQuestion(*ids_, ticket, "k", 2);
  EXPECT_THAT(transaction->PutQuestion(question), IsOk());
  EXPECT_EQ(Value(transaction->OpenQuestions(ticket.ticket().session_id(), INT64_MAX, 10)).size(),
            1u);
  question.mutable_question()->set_state(v1::QUESTION_STATE_ANSWERED);
  question.mutable_question()->set_closed_sequence(3);
  EXPECT_THAT(transaction->PutQuestion(question), IsOk());
  EXPECT_THAT(Value(transaction->OpenQuestions(ticket.ticket().session_id(), INT64_MAX, 10)),
              IsEmpty());
  EXPECT_EQ(Value(transaction->ReadEvents({})).complete_up_to, 1);
  Commit(std::move(transaction));
  EXPECT_EQ(Value(OpenView()->FindJob(job.job().job_id())).lease_token(), 2);
}

// With and without reading first, since a store may remember what it has read.
TEST_P(StoreConformance, PutReplacesById) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  JobRecord job = NewJob(*ids_, ticket);
  QuestionRecord question = NewQuestion(*ids_, ticket, "k", 1);
  {
    auto transaction = Begin();
    PutNew(*transaction, ticket, job);
    EXPECT_THAT(transaction->PutQuestion(question), IsOk());
    Commit(std::move(transaction));
  }
  const std::vector<v1::JobStatus> statuses = {v1::JOB_STATUS_RUNNING, v1::JOB_STATUS_RUNNING,
                                               v1::JOB_STATUS_FAILED, v1::JOB_STATUS_QUEUED};
  for (bool reads_question : {false, true}) {
    for (v1::JobStatus status : statuses) {
      auto transaction = Begin();
      ticket = Value(transaction->FindTicket(ticket.ticket().ticket_id()));
      job = Value(transaction->FindJob(job.job().job_id()));
      if (reads_question) {
        question = Value(transaction->FindQuestion(question.question().question_id()));
      }
      ticket.mutable_ticket()->set_status(status);
      ticket.set_checkpoint_json(absl::StrCat("[", status, "]"));
      job.mutable_job()->set_status(status);
      job.mutable_job()->set_attempt(job.job().attempt() + 1);
      question.mutable_question()->set_response(absl::StrCat("to ", status));
      EXPECT_THAT(transaction->PutTicket(ticket), IsOk());
      EXPECT_THAT(transaction->PutJob(job), IsOk());
      EXPECT_THAT(transaction->PutQuestion(question), IsOk());
      Commit(std::move(transaction));

      auto view = OpenView();
      const auto listed = Value(view->ListTickets(status, {}));
      ASSERT_EQ(listed.rows.size(), 1u) << status;
      EXPECT_EQ(listed.rows[0].SerializeAsString(), ticket.SerializeAsString());
      EXPECT_EQ(Value(view->ListTickets(v1::JOB_STATUS_UNSPECIFIED, {})).rows.size(), 1u);
      const auto jobs = Value(view->ListJobs("", status, {}));
      ASSERT_EQ(jobs.rows.size(), 1u) << status;
      EXPECT_EQ(jobs.rows[0].SerializeAsString(), job.SerializeAsString());
      EXPECT_EQ(Value(view->FindQuestion(question.question().question_id())).SerializeAsString(),
                question.SerializeAsString());
    }
  }
}

TEST_P(StoreConformance, IdsHaveOneForm) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  Commit(std::move(transaction));
  auto view = OpenView();
  for (const std::string& id : {ticket.ticket().ticket_id(), ticket.ticket().session_id()}) {
    for (const std::string& form :
         {absl::AsciiStrToUpper(id), absl::StrReplaceAll(id, {{"-", ""}}), absl::StrCat(id, " "),
          absl::StrCat("{", id, "}"), std::string(), std::string("x"), job.job().job_id()}) {
      EXPECT_THAT(view->FindTicket(form), HasCode(absl::StatusCode::kNotFound)) << form;
      EXPECT_THAT(view->FindTicketOfSession(form), HasCode(absl::StatusCode::kNotFound)) << form;
      EXPECT_THAT(view->FindQuestion(form), HasCode(absl::StatusCode::kNotFound)) << form;
      if (!form.empty()) {
        EXPECT_THAT(Value(view->ListJobs(form, v1::JOB_STATUS_UNSPECIFIED, {})).rows, IsEmpty());
      }
    }
  }
  EXPECT_THAT(view->FindJob(job.job().job_id().substr(4)), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(view->FindJob(absl::AsciiStrToUpper(job.job().job_id())),
              HasCode(absl::StatusCode::kNotFound));
}

TEST_P(StoreConformance, TicketsOfTwoTenantsMayHaveOneId) {
  TicketRecord acme = NewTicket(*ids_, "of acme");
  acme.mutable_ticket()->set_tenant("acme");
  TicketRecord zenith = NewTicket(*ids_, "of zenith");
  zenith.mutable_ticket()->set_tenant("zenith");
  const std::string id = acme.ticket().ticket_id();
  zenith.mutable_ticket()->set_ticket_id(id);
  JobRecord job = NewJob(*ids_, zenith);
  job.mutable_job()->set_tenant("zenith");
  auto transaction = Begin();
  EXPECT_THAT(transaction->PutTicket(acme), IsOk());
  PutNew(*transaction, zenith, job);
  zenith.mutable_ticket()->set_ticket_name("renamed");
  EXPECT_THAT(transaction->PutTicket(zenith), IsOk());
  EXPECT_THAT(transaction->FindTicket(id), HasCode(absl::StatusCode::kFailedPrecondition));
  Commit(std::move(transaction));

  auto view = OpenView();
  EXPECT_THAT(view->FindTicket(id), HasCode(absl::StatusCode::kFailedPrecondition));
  view->HoldTo("acme");
  EXPECT_EQ(Value(view->FindTicket(id)).ticket().ticket_name(), "of acme");
  view->HoldTo("zenith");
  EXPECT_EQ(Value(view->FindTicket(id)).ticket().ticket_name(), "renamed");
  EXPECT_EQ(Value(view->ListJobs(zenith.ticket().session_id(), v1::JOB_STATUS_UNSPECIFIED, {}))
                .rows.size(),
            1u);
  view->HoldTo("");
  EXPECT_THAT(view->FindTicket(id), HasCode(absl::StatusCode::kNotFound));
  view->HoldTo(std::nullopt);
  EXPECT_THAT(
      Value(view->ListJobs(acme.ticket().session_id(), v1::JOB_STATUS_UNSPECIFIED, {})).rows,
      IsEmpty());
}

TEST_P(StoreConformance, WhatAViewWasHeldToBeforeIsForgotten) {
  TicketRecord acme = NewTicket(*ids_, "of acme");
  acme.mutable_ticket()->set_tenant("acme");
  JobRecord job = NewJob(*ids_, acme);
  job.mutable_job()->set_tenant("acme");
  auto transaction = Begin();
  EXPECT_THAT(transaction->PutTicket(acme), IsOk());
  EXPECT_THAT(transaction->PutJob(job), IsOk());
  v1::Event event = TicketCreatedEvent(acme, 1);
  event.set_tenant("acme");
  EXPECT_THAT(transaction->Append(event), IsOk());
  Commit(std::move(transaction));

  v1::EventFilter of_ticket;
  of_ticket.add_ticket_ids(acme.ticket().ticket_id());
  store::EventQuery query;
  query.filter = &of_ticket;
  auto view = OpenView();
  const std::optional<std::string> holds[] = {"zenith", std::nullopt, "acme", "", std::nullopt};
  for (const std::optional<std::string>& hold : holds) {
    view->HoldTo(hold);
    const size_t seen = hold.value_or("acme") == "acme" ? 1 : 0;
    const std::string& session = acme.ticket().session_id();
    EXPECT_EQ(view->FindTicket(acme.ticket().ticket_id()).ok(), seen == 1);
    EXPECT_EQ(Value(view->ListTickets(v1::JOB_STATUS_UNSPECIFIED, {})).rows.size(), seen);
    EXPECT_EQ(Value(view->ListTickets(v1::JOB_STATUS_QUEUED, {})).rows.size(), seen);
    EXPECT_EQ(Value(view->ListJobs("", v1::JOB_STATUS_UNSPECIFIED, {})).rows.size(), seen);
    EXPECT_EQ(Value(view->ListJobs(session, v1::JOB_STATUS_UNSPECIFIED, {})).rows.size(), seen);
    EXPECT_EQ(Value(view->ReadEvents(query)).bytes->empty(), seen == 0);
  }
}

TEST_P(StoreConformance, LogHasNoHolesAndMistakesAreNotCommitted) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  {
    auto transaction = Begin();
    PutNew(*transaction, ticket, job);
    EXPECT_THAT(transaction->Append(AgentMessageEvent(ticket, 3, "too far")),
                HasCode(absl::StatusCode::kInternal));
  }
  {
    auto transaction = Begin();
    PutNew(*transaction, ticket, job);
    EXPECT_THAT(transaction->Append(NewEvent(ticket, 2)), HasCode(absl::StatusCode::kInternal));
  }
  {
    auto transaction = Begin();
    PutNew(*transaction, ticket, job);
    TicketRecord other = NewTicket(*ids_, "never stored");
    EXPECT_THAT(transaction->PutJob(NewJob(*ids_, other)), HasCode(absl::StatusCode::kInternal));
    EXPECT_FALSE(transaction->Commit().ok());
  }
  EXPECT_EQ(OpenView()->head(), 0);
  // A commit that failed is the end: its outcome is unknown in general.
  EXPECT_THAT(store().Begin(), HasCode(absl::StatusCode::kFailedPrecondition));
  Reopen();
  EXPECT_THAT(store().Begin(), IsOk());
}

TEST_P(StoreConformance, OneTransactionAtATime) {
  auto first = Begin();
  EXPECT_THAT(store().Begin(), HasCode(absl::StatusCode::kFailedPrecondition));
  first.reset();
  EXPECT_THAT(store().Begin(), IsOk());
}

TEST_P(StoreConformance, AKeyNamesTheQuestionThatWasAskedLastUnderIt) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  const QuestionRecord first = NewQuestion(*ids_, ticket, "k", 1);
  const QuestionRecord second = NewQuestion(*ids_, ticket, "k", 1);
  const std::string session_id = ticket.ticket().session_id();
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  EXPECT_THAT(transaction->PutQuestion(first), IsOk());
  EXPECT_THAT(transaction->PutQuestion(second), IsOk());
  // That the first one changes later does not make it the last.
  EXPECT_THAT(transaction->PutQuestion(first), IsOk());
  EXPECT_EQ(Value(transaction->FindQuestionByKey(session_id, "k")).question().question_id(),
            second.question().question_id());
  Commit(std::move(transaction));
}

TEST_P(StoreConformance, RequestsAreReplacedAndForgotten) {
  const auto put = [&](const std::string& id, int64_t time_us, const std::string& response) {
    RequestRecord request;
    request.set_request_id(id);
    request.set_time_us(time_us);
    request.set_response(response);
    auto transaction = Begin();
    EXPECT_THAT(transaction->PutRequest(request), IsOk());
    Commit(std::move(transaction));
  };
  put("a", 10, "first");
  put("b", 20, "");
  put("c", 30, "");
  put("a", 40, "second");
  EXPECT_EQ(Value(OpenView()->FindRequest("", "a")).response(), "second");
  {
    auto transaction = Begin();
    EXPECT_EQ(Value(transaction->ForgetRequests(absl::FromUnixMicros(31), 1)), 1);
    EXPECT_EQ(Value(transaction->ForgetRequests(absl::FromUnixMicros(31), 10)), 1);
    EXPECT_EQ(Value(transaction->ForgetRequests(absl::FromUnixMicros(31), 10)), 0);
    Commit(std::move(transaction));
  }
  auto view = OpenView();
  EXPECT_THAT(view->FindRequest("", "a"), IsOk());
  EXPECT_THAT(view->FindRequest("", "b"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(view->FindRequest("", "c"), HasCode(absl::StatusCode::kNotFound));
}

TEST_P(StoreConformance, OldestMovesAndNothingIsDeleted) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  EXPECT_THAT(transaction->Append(AgentMessageEvent(ticket, 2, "hello")), IsOk());
  EXPECT_THAT(transaction->SetOldest(2), IsOk());
  EXPECT_EQ(transaction->oldest(), 2);
  Commit(std::move(transaction));
  Reopen();
  EXPECT_EQ(OpenView()->oldest(), 2);
  EXPECT_EQ(Value(OpenView()->ReadEvents({})).complete_up_to, 2);
}

TEST_P(StoreConformance, TooManyViewsAreRefusedAndServedAgainAfterwards) {
  std::vector<std::unique_ptr<View>> views;
  for (int i = 0; i < max_views(); ++i) views.push_back(OpenView());
  EXPECT_THAT(store().OpenView(), HasCode(absl::StatusCode::kResourceExhausted));
  views.pop_back();
  EXPECT_THAT(store().OpenView(), IsOk());
}

// Each view must show one moment: as many tickets as events, and the same at its end.
TEST_P(StoreConformance, ViewsStandStillWhileOthersWrite) {
  constexpr int kTickets = 200;
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < max_views() + 1; ++i) {
    readers.emplace_back([&] {
      int64_t last_head = 0;
      bool last_round = false;
      while (!last_round) {
        last_round = done;
        // There is one thread more than views, and on a slow machine it may wait in vain.
        absl::StatusOr<std::unique_ptr<View>> opened = store().OpenView();
        if (absl::IsResourceExhausted(opened.status())) {
          last_round = false;
          continue;
        }
        const std::unique_ptr<View> view = Value(std::move(opened));
        const int64_t head = view->head();
        EXPECT_GE(head, last_head);
        last_head = head;
        PageRequest page;
        page.size = 2 * kTickets;
        for (int repeat = 0; repeat < 2; ++repeat) {
          EXPECT_EQ(static_cast<int64_t>(
                        Value(view->ListTickets(v1::JOB_STATUS_UNSPECIFIED, page)).rows.size()),
                    head);
          store::EventQuery query;
          query.max_events = 2 * kTickets;
          query.max_bytes = SIZE_MAX;
          const store::EventRead read = Value(view->ReadEvents(query));
          const store::EventBlock block = Value(store::EventBlock::Parse(*read.bytes));
          EXPECT_EQ(static_cast<int64_t>(block.entries().size()), head);
          EXPECT_EQ(read.complete_up_to, head);
        }
      }
      EXPECT_EQ(last_head, kTickets);
    });
  }
  for (int i = 0; i < kTickets; ++i) {
    TicketRecord ticket = NewTicket(*ids_, absl::StrCat("ticket ", i));
    const JobRecord job = NewJob(*ids_, ticket);
    auto transaction = Begin();
    PutNew(*transaction, ticket, job);
    Commit(std::move(transaction));
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace agentdesk::testing
