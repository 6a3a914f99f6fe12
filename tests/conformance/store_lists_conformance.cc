// The lists of a store, its questions and its queue.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "tests/conformance/store_conformance.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"

namespace agentdesk::testing {
namespace {

using record::v1::JobRecord;
using record::v1::QuestionRecord;
using record::v1::TicketRecord;
using store::Page;
using store::PageRequest;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

std::string Name(const TicketRecord& ticket) { return ticket.ticket().ticket_name(); }
std::string Name(const JobRecord& job) { return job.job().job_id(); }
std::string Name(const QuestionRecord& question) { return question.question().key(); }

template <typename Row>
std::vector<std::string> Names(const std::vector<Row>& rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.push_back(Name(row));
  return names;
}

// The names of all rows, read by pages of `size`.
template <typename List>
std::vector<std::string> NamesByPage(int size, List list) {
  std::vector<std::string> names;
  PageRequest request;
  request.size = size;
  while (true) {
    const auto page = Value(list(request));
    for (const std::string& name : Names(page.rows)) names.push_back(name);
    EXPECT_LE(page.rows.size(), static_cast<size_t>(size));
    if (page.next.empty()) return names;
    EXPECT_EQ(page.rows.size(), static_cast<size_t>(size));
    request.after = page.next;
  }
}

// The names of a whole list, read in pages that a single row fills.
template <typename List>
std::vector<std::string> NamesByFullPage(List list) {
  std::vector<std::string> names;
  PageRequest request;
  request.max_bytes = 1;
  while (true) {
    const auto page = Value(list(request));
    for (const std::string& name : Names(page.rows)) names.push_back(name);
    EXPECT_EQ(page.rows.size(), 1u);
    if (page.next.empty()) return names;
    request.after = page.next;
  }
}

TEST_P(StoreConformance, APageEndsAtItsBytesWithAtLeastOneRow) {
  std::vector<std::string> tickets;
  std::vector<std::string> jobs;
  std::vector<std::string> questions;
  auto transaction = Begin();
  for (const char* name : {"one", "two", "three"}) {
    TicketRecord ticket = NewTicket(*ids_, name);
    const JobRecord job = NewJob(*ids_, ticket);
    PutNew(*transaction, ticket, job);
    EXPECT_THAT(transaction->PutQuestion(NewQuestion(*ids_, ticket, name, transaction->head())),
                IsOk());
    tickets.insert(tickets.begin(), Name(ticket));
    jobs.insert(jobs.begin(), Name(job));
    questions.push_back(name);
  }
  Commit(std::move(transaction));
  auto view = OpenView();
  EXPECT_THAT(NamesByFullPage([&](const PageRequest& page) {
                return view->ListTickets(v1::JOB_STATUS_UNSPECIFIED, page);
              }),
              ElementsAreArray(tickets));
  EXPECT_THAT(NamesByFullPage([&](const PageRequest& page) {
                return view->ListSessions(v1::SESSION_STATE_OPEN, page);
              }),
              ElementsAreArray(tickets));
  EXPECT_THAT(NamesByFullPage([&](const PageRequest& page) {
                return view->ListJobs("", v1::JOB_STATUS_UNSPECIFIED, page);
              }),
              ElementsAreArray(jobs));
  EXPECT_THAT(NamesByFullPage([&](const PageRequest& page) {
                return view->ListQuestions(v1::QUESTION_STATE_UNSPECIFIED, "", page);
              }),
              ElementsAreArray(questions));
  // A page that its rows fill to the last byte is not cut.
  PageRequest exact;
  exact.max_bytes = 0;
  for (const TicketRecord& row : Value(view->ListTickets(v1::JOB_STATUS_UNSPECIFIED, {})).rows) {
    exact.max_bytes += row.ByteSizeLong();
  }
  EXPECT_EQ(Value(view->ListTickets(v1::JOB_STATUS_UNSPECIFIED, exact)).next, "");
}

TEST_P(StoreConformance, TicketsAreListedNewestFirst) {
  constexpr int kTickets = 30;
  std::vector<std::string> all;
  std::vector<std::string> live;
  std::vector<std::vector<std::string>> by_status(8);
  auto transaction = Begin();
  for (int i = 0; i < kTickets; ++i) {
    const auto status = static_cast<v1::JobStatus>(1 + (i * 5) % 7);
    TicketRecord ticket = NewTicket(*ids_, absl::StrCat("t", i), status);
    const JobRecord job = NewJob(*ids_, ticket);
    PutNew(*transaction, ticket, job);
    all.insert(all.begin(), Name(ticket));
    std::vector<std::string>& alike = by_status[static_cast<size_t>(status)];
    alike.insert(alike.begin(), Name(ticket));
    if (status < v1::JOB_STATUS_COMPLETED) live.push_back(Name(ticket));
  }
  Commit(std::move(transaction));
  std::vector<std::string> open(live.rbegin(), live.rend());
  std::vector<std::string> closed;
  for (const std::string& name : all) {
    if (std::find(live.begin(), live.end(), name) == live.end()) closed.push_back(name);
  }

  auto view = OpenView();
  for (int size : {1, 4, kTickets - 1, kTickets, 1000}) {
    SCOPED_TRACE(size);
    for (int status = 1; status <= 7; ++status) {
      EXPECT_THAT(NamesByPage(size,
                              [&](const PageRequest& page) {
                                return view->ListTickets(static_cast<v1::JobStatus>(status), page);
                              }),
                  ElementsAreArray(by_status[static_cast<size_t>(status)]));
    }
    EXPECT_THAT(NamesByPage(size,
                            [&](const PageRequest& page) {
                              return view->ListTickets(v1::JOB_STATUS_UNSPECIFIED, page);
                            }),
                ElementsAreArray(all));
    EXPECT_THAT(
        NamesByPage(size, [&](const PageRequest& page) { return view->ListLiveTickets(page); }),
        ElementsAreArray(live));
    EXPECT_THAT(NamesByPage(size,
                            [&](const PageRequest& page) {
                              return view->ListSessions(v1::SESSION_STATE_OPEN, page);
                            }),
                ElementsAreArray(open));
    EXPECT_THAT(NamesByPage(size,
                            [&](const PageRequest& page) {
                              return view->ListSessions(v1::SESSION_STATE_CLOSED, page);
                            }),
                ElementsAreArray(closed));
    EXPECT_THAT(NamesByPage(size,
                            [&](const PageRequest& page) {
                              return view->ListSessions(v1::SESSION_STATE_UNSPECIFIED, page);
                            }),
                ElementsAreArray(all));
  }
}

TEST_P(StoreConformance, PagesSeeEachTicketOnceThoughOthersAreAdded) {
  const auto add = [&](const std::string& name) {
    TicketRecord ticket = NewTicket(*ids_, name);
    const JobRecord job = NewJob(*ids_, ticket);
    auto transaction = Begin();
    PutNew(*transaction, ticket, job);
    Commit(std::move(transaction));
  };
  for (int i = 0; i < 5; ++i) add(absl::StrCat("t", i));
  PageRequest request;
  request.size = 2;
  Page<TicketRecord> page = Value(OpenView()->ListTickets(v1::JOB_STATUS_QUEUED, request));
  EXPECT_THAT(Names(page.rows), ElementsAre("t4", "t3"));
  add("t5");
  request.after = page.next;
  page = Value(OpenView()->ListTickets(v1::JOB_STATUS_QUEUED, request));
  EXPECT_THAT(Names(page.rows), ElementsAre("t2", "t1"));
}

TEST_P(StoreConformance, PositionsThatAreNotOursAreRefused) {
  auto view = OpenView();
  for (const char* after :
       {"x", "k", "k-1", "k+1", "k 1", "k01", "k1 ", "k1.2", "1", "q", "q1", "q1.", "q.1", "q-1.1",
        "q1.2.3", "q01.1", "k99999999999999999999", "q99999999999999999999.1", "K1"}) {
    PageRequest page;
    page.after = after;
    EXPECT_THAT(view->ListTickets(v1::JOB_STATUS_UNSPECIFIED, page),
                HasCode(absl::StatusCode::kInvalidArgument))
        << after;
    EXPECT_THAT(view->ListJobs("", v1::JOB_STATUS_UNSPECIFIED, page),
                HasCode(absl::StatusCode::kInvalidArgument))
        << after;
    EXPECT_THAT(view->ListSessions(v1::SESSION_STATE_OPEN, page),
                HasCode(absl::StatusCode::kInvalidArgument))
        << after;
    EXPECT_THAT(view->ListLiveTickets(page), HasCode(absl::StatusCode::kInvalidArgument)) << after;
    EXPECT_THAT(view->ListQuestions(v1::QUESTION_STATE_OPEN, "", page),
                HasCode(absl::StatusCode::kInvalidArgument))
        << after;
  }
}

TEST_P(StoreConformance, JobsAreListedNewestFirst) {
  auto transaction = Begin();
  std::vector<std::string> of_first;
  std::vector<std::string> all;
  std::vector<std::string> failed;
  TicketRecord first = NewTicket(*ids_, "first");
  TicketRecord second = NewTicket(*ids_, "second");
  EXPECT_THAT(transaction->PutTicket(first), IsOk());
  EXPECT_THAT(transaction->PutTicket(second), IsOk());
  for (int i = 0; i < 12; ++i) {
    TicketRecord& ticket = i % 3 == 0 ? second : first;
    ticket.mutable_ticket()->set_status(i % 2 == 0 ? v1::JOB_STATUS_FAILED
                                                   : v1::JOB_STATUS_CANCELLED);
    const JobRecord job = NewJob(*ids_, ticket);
    EXPECT_THAT(transaction->PutJob(job), IsOk());
    all.insert(all.begin(), Name(job));
    if (i % 3 != 0) of_first.insert(of_first.begin(), Name(job));
    if (i % 3 != 0 && i % 2 == 0) failed.insert(failed.begin(), Name(job));
  }
  Commit(std::move(transaction));
  auto view = OpenView();
  const std::string id = first.ticket().session_id();
  for (int size : {1, 5, 100}) {
    EXPECT_THAT(NamesByPage(size,
                            [&](const PageRequest& page) {
                              return view->ListJobs("", v1::JOB_STATUS_UNSPECIFIED, page);
                            }),
                ElementsAreArray(all));
    EXPECT_THAT(NamesByPage(size,
                            [&](const PageRequest& page) {
                              return view->ListJobs(id, v1::JOB_STATUS_UNSPECIFIED, page);
                            }),
                ElementsAreArray(of_first));
    EXPECT_THAT(NamesByPage(size,
                            [&](const PageRequest& page) {
                              return view->ListJobs(id, v1::JOB_STATUS_FAILED, page);
                            }),
                ElementsAreArray(failed));
  }
  EXPECT_EQ(Value(view->ListJobs("", v1::JOB_STATUS_FAILED, {})).rows.size(), 6u);
}

TEST_P(StoreConformance, QuestionsAreListedByDeadlineThenAge) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  TicketRecord other = NewTicket(*ids_, "other");
  const JobRecord job = NewJob(*ids_, ticket);
  const JobRecord other_job = NewJob(*ids_, other);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  PutNew(*transaction, other, other_job);
  const auto ask = [&](const TicketRecord& asker, const std::string& key, int expires_in,
                       v1::QuestionState state) {
    QuestionRecord question = NewQuestion(*ids_, asker, key, transaction->head());
    question.mutable_question()->set_state(state);
    if (expires_in > 0) {
      *question.mutable_question()->mutable_expires_at() =
          ToProto(TimeOf(0) + absl::Seconds(expires_in));
    }
    if (state != v1::QUESTION_STATE_OPEN) question.mutable_question()->set_closed_sequence(9);
    EXPECT_THAT(transaction->PutQuestion(question), IsOk());
  };
  ask(ticket, "never 1", 0, v1::QUESTION_STATE_OPEN);
  ask(ticket, "late", 90, v1::QUESTION_STATE_OPEN);
  ask(other, "soon 1", 10, v1::QUESTION_STATE_OPEN);
  ask(ticket, "answered", 20, v1::QUESTION_STATE_ANSWERED);
  ask(other, "never 2", 0, v1::QUESTION_STATE_OPEN);
  ask(ticket, "soon 2", 10, v1::QUESTION_STATE_OPEN);
  ask(ticket, "never 3", 0, v1::QUESTION_STATE_OPEN);
  ask(ticket, "gone", 5, v1::QUESTION_STATE_EXPIRED);
  ask(ticket, "withdrawn", 0, v1::QUESTION_STATE_WITHDRAWN);
  Commit(std::move(transaction));

  auto view = OpenView();
  const std::string session = ticket.ticket().session_id();
  for (int size : {1, 2, 3, 100}) {
    SCOPED_TRACE(size);
    const auto list = [&](v1::QuestionState state, const std::string& session_id) {
      return NamesByPage(size, [&](const PageRequest& page) {
        return view->ListQuestions(state, session_id, page);
      });
    };
    EXPECT_THAT(list(v1::QUESTION_STATE_OPEN, ""),
                ElementsAre("soon 1", "soon 2", "late", "never 1", "never 2", "never 3"));
    EXPECT_THAT(list(v1::QUESTION_STATE_OPEN, session),
                ElementsAre("soon 2", "late", "never 1", "never 3"));
    EXPECT_THAT(list(v1::QUESTION_STATE_UNSPECIFIED, ""),
                ElementsAre("gone", "soon 1", "soon 2", "answered", "late", "never 1", "never 2",
                            "never 3", "withdrawn"));
    EXPECT_THAT(
        list(v1::QUESTION_STATE_UNSPECIFIED, session),
        ElementsAre("gone", "soon 2", "answered", "late", "never 1", "never 3", "withdrawn"));
    EXPECT_THAT(list(v1::QUESTION_STATE_ANSWERED, ""), ElementsAre("answered"));
    EXPECT_THAT(list(v1::QUESTION_STATE_OPEN, "no session"), IsEmpty());
  }
  EXPECT_THAT(Names(Value(view->QuestionsWithDeadline())), ElementsAre("soon 1", "soon 2", "late"));
}

TEST_P(StoreConformance, QuestionsAsOfAPosition) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  const auto ask = [&](const std::string& key, int64_t asked, int64_t closed) {
    QuestionRecord question = NewQuestion(*ids_, ticket, key, asked);
    if (closed != 0) {
      question.mutable_question()->set_state(v1::QUESTION_STATE_ANSWERED);
      question.mutable_question()->set_closed_sequence(closed);
    }
    EXPECT_THAT(transaction->PutQuestion(question), IsOk());
  };
  ask("a", 2, 5);
  ask("b", 3, 0);
  ask("c", 6, 8);
  ask("d", 9, 0);
  Commit(std::move(transaction));
  auto view = OpenView();
  const std::string session = ticket.ticket().session_id();
  const auto open = [&](int64_t as_of, int limit) {
    return Names(Value(view->OpenQuestions(session, as_of, limit)));
  };
  EXPECT_THAT(open(1, 10), IsEmpty());
  EXPECT_THAT(open(2, 10), ElementsAre("a"));
  EXPECT_THAT(open(4, 10), ElementsAre("a", "b"));
  EXPECT_THAT(open(4, 1), ElementsAre("a"));
  EXPECT_THAT(open(5, 10), ElementsAre("b"));
  EXPECT_THAT(open(7, 10), ElementsAre("b", "c"));
  EXPECT_THAT(open(8, 10), ElementsAre("b"));
  EXPECT_THAT(open(INT64_MAX, 10), ElementsAre("b", "d"));
  EXPECT_THAT(Value(view->OpenQuestions("no session", INT64_MAX, 10)), IsEmpty());

  EXPECT_THAT(view->LatestQuestion(session, 1), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(Name(Value(view->LatestQuestion(session, 5))), "b");
  EXPECT_EQ(Name(Value(view->LatestQuestion(session, 6))), "c");
  EXPECT_EQ(Name(Value(view->LatestQuestion(session, INT64_MAX))), "d");
  EXPECT_EQ(Name(Value(view->FindQuestionByKey(session, "c"))), "c");
  EXPECT_THAT(view->FindQuestionByKey(session, "e"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(view->FindQuestionByKey(session, ""), HasCode(absl::StatusCode::kNotFound));
}

// Many questions without a key in one session are no duplicates of each other.
TEST_P(StoreConformance, QuestionsNeedNoKey) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  EXPECT_THAT(transaction->PutQuestion(NewQuestion(*ids_, ticket, "", 2)), IsOk());
  EXPECT_THAT(transaction->PutQuestion(NewQuestion(*ids_, ticket, "", 3)), IsOk());
  Commit(std::move(transaction));
  EXPECT_EQ(Value(OpenView()->OpenQuestions(ticket.ticket().session_id(), INT64_MAX, 10)).size(),
            2u);
}

TEST_P(StoreConformance, JobsAreClaimedByPriorityThenAge) {
  auto transaction = Begin();
  std::vector<std::string> jobs;
  const auto add = [&](const std::string& queue, int priority) {
    TicketRecord ticket = NewTicket(*ids_, queue);
    ticket.mutable_ticket()->set_queue(queue);
    ticket.mutable_ticket()->set_priority(priority);
    const JobRecord job = NewJob(*ids_, ticket);
    PutNew(*transaction, ticket, job);
    jobs.push_back(Name(job));
  };
  add("a", 5);
  add("b", 5);
  add("a", 9);
  add("b", 9);
  add("c", 0);
  const auto claim = [&](const std::vector<std::string>& queues) -> std::string {
    absl::StatusOr<JobRecord> job = transaction->NextClaimableJob(queues);
    if (!job.ok()) {
      EXPECT_THAT(job, HasCode(absl::StatusCode::kNotFound));
      return "";
    }
    job->mutable_job()->set_status(v1::JOB_STATUS_RUNNING);
    job->set_claimable(false);
    EXPECT_THAT(transaction->PutJob(*job), IsOk());
    return Name(*job);
  };
  EXPECT_EQ(claim({"a"}), jobs[2]);
  EXPECT_EQ(claim({"a", "b"}), jobs[3]);
  EXPECT_EQ(claim({"b", "a"}), jobs[0]);
  EXPECT_EQ(claim({"b", "a"}), jobs[1]);
  EXPECT_EQ(claim({"b", "a"}), "");
  EXPECT_EQ(claim({}), "");
  EXPECT_EQ(claim({"b", "a", "c"}), jobs[4]);
}

TEST_P(StoreConformance, JobsThatSomethingIsDueFor) {
  auto transaction = Begin();
  const auto add = [&](v1::JobStatus status, int64_t lease_token, int due) {
    TicketRecord ticket = NewTicket(*ids_, "one", status);
    JobRecord job = NewJob(*ids_, ticket);
    job.set_lease_token(lease_token);
    job.set_claimable(status == v1::JOB_STATUS_QUEUED && due == 0);
    if (due > 0) {
      *job.mutable_job()->mutable_next_attempt_at() = ToProto(TimeOf(0) + absl::Seconds(due));
    }
    PutNew(*transaction, ticket, job);
    return Name(job);
  };
  add(v1::JOB_STATUS_QUEUED, 0, 0);
  const std::string leased = add(v1::JOB_STATUS_RUNNING, 7, 0);
  const std::string cancelling = add(v1::JOB_STATUS_CANCELLING, 6, 0);
  const std::string late = add(v1::JOB_STATUS_QUEUED, 0, 60);
  const std::string soon = add(v1::JOB_STATUS_QUEUED, 0, 30);
  add(v1::JOB_STATUS_WAITING, 0, 0);
  add(v1::JOB_STATUS_FAILED, 0, 10);
  Commit(std::move(transaction));
  auto view = OpenView();
  EXPECT_THAT(Names(Value(view->LeasedJobs())),
              ::testing::UnorderedElementsAre(leased, cancelling));
  EXPECT_THAT(Names(Value(view->DelayedJobs())), ::testing::UnorderedElementsAre(soon, late));
}

}  // namespace
}  // namespace agentdesk::testing
