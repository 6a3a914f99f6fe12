// Promise P4: whoever has the state as of a position and the events after it has the state,
// whatever happens. Random lives of several tickets are folded from their events alone and compared
// with the rows after each step.
#include <map>
#include <memory>
#include <random>
#include <ranges>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/unit/domain/ticket_in_memory.h"

namespace agentdesk::domain {
namespace {

using google::protobuf::util::MessageDifferencer;

// What a reader knows of the desk, kept current by events.
class Follower {
 public:
  void Follow(const v1::Event& event);

  std::map<std::string, v1::Ticket> tickets;
  std::map<std::string, v1::Session> sessions;
  std::map<std::string, v1::Question> questions;  // those that are open
  std::map<std::string, v1::Job> jobs;            // without what is an observation

 private:
  void Show(const v1::Event& event, const v1::Ticket& ticket);
  void SetStatus(const v1::Event& event, v1::JobStatus status);
  void EndTicket(const v1::Event& event, v1::JobStatus status);
  void CountQuestions(const v1::Event& event, int change);
  void FollowJob(const v1::Event& event);
};

void Follower::Show(const v1::Event& event, const v1::Ticket& ticket) {
  tickets[ticket.ticket_id()] = ticket;
  v1::Session session;
  session.set_session_id(ticket.session_id());
  session.set_ticket_id(ticket.ticket_id());
  session.set_state(v1::SESSION_STATE_OPEN);
  *session.mutable_create_time() = ticket.create_time();
  *session.mutable_created_by() = ticket.created_by();
  session.set_tenant(ticket.tenant());
  session.set_trace_id(ticket.trace_id());
  sessions[ticket.session_id()] = session;

  v1::Job job;
  job.set_job_id(ticket.job_id());
  job.set_ticket_id(ticket.ticket_id());
  job.set_session_id(ticket.session_id());
  job.set_status(ticket.status());
  job.set_attempt(event.attempt());
  job.set_queue(ticket.queue());
  job.set_priority(ticket.priority());
  *job.mutable_create_time() = event.time();
  *job.mutable_created_by() = event.actor();
  job.set_tenant(event.tenant());
  job.set_trace_id(event.trace_id());
  if (ticket.has_run_after() && FromProto(ticket.run_after()) > FromProto(event.time())) {
    *job.mutable_next_attempt_at() = ticket.run_after();
  }
  jobs[job.job_id()] = job;
}

void Follower::SetStatus(const v1::Event& event, v1::JobStatus status) {
  v1::Ticket& ticket = tickets.at(event.ticket_id());
  ticket.set_status(status);
  *ticket.mutable_update_time() = event.time();
  v1::Job& job = jobs[event.job_id()];
  job.set_status(status);
  job.clear_next_attempt_at();
}

void Follower::EndTicket(const v1::Event& event, v1::JobStatus status) {
  SetStatus(event, status);
  *jobs[event.job_id()].mutable_end_time() = event.time();
  v1::Session& session = sessions.at(event.session_id());
  session.set_state(v1::SESSION_STATE_CLOSED);
  *session.mutable_close_time() = event.time();
}

void Follower::CountQuestions(const v1::Event& event, int change) {
  v1::Ticket& ticket = tickets.at(event.ticket_id());
  ticket.set_open_questions(ticket.open_questions() + change);
  *ticket.mutable_update_time() = event.time();
  sessions.at(event.session_id()).set_open_questions(ticket.open_questions());
}

void Follower::FollowJob(const v1::Event& event) {
  v1::Job& job = jobs[event.job_id()];
  switch (event.payload_case()) {
    case v1::Event::kAgentStarted:
      SetStatus(event, v1::JOB_STATUS_RUNNING);
      job.set_attempt(event.attempt());
      job.set_worker(event.agent_started().worker());
      break;
    case v1::Event::kJobRequeued:
      SetStatus(event, v1::JOB_STATUS_QUEUED);
      job.set_failed_attempts(event.job_requeued().failed_attempts());
      if (!event.job_requeued().error().empty()) job.set_last_error(event.job_requeued().error());
      if (event.job_requeued().has_next_attempt_at()) {
        *job.mutable_next_attempt_at() = event.job_requeued().next_attempt_at();
      }
      break;
    case v1::Event::kJobWaiting:
      SetStatus(event, v1::JOB_STATUS_WAITING);
      break;
    case v1::Event::kTicketCancelled:
      SetStatus(event, event.ticket_cancelled().status());
      break;
    case v1::Event::kAgentComplete:
      EndTicket(event, event.agent_complete().status());
      job.set_summary(event.agent_complete().summary());
      job.set_result_json(event.agent_complete().result_json());
      break;
    case v1::Event::kAgentError:
      EndTicket(event, v1::JOB_STATUS_FAILED);
      job.set_last_error(event.agent_error().error());
      job.set_failed_attempts(event.agent_error().failed_attempts());
      break;
    default:
      ADD_FAILURE() << "unexpected " << NameOf(event);
  }
}

void Follower::Follow(const v1::Event& event) {
  switch (event.payload_case()) {
    case v1::Event::kTicketCreated:
      return Show(event, event.ticket_created().ticket());
    case v1::Event::kTicketUpdated:
      return Show(event, event.ticket_updated().ticket());
    case v1::Event::kAgentQuestion:
      questions[event.agent_question().question().question_id()] =
          event.agent_question().question();
      return CountQuestions(event, 1);
    case v1::Event::kQuestionAnswered:
      EXPECT_EQ(questions.erase(event.question_answered().question_id()), 1u);
      return CountQuestions(event, -1);
    case v1::Event::kQuestionExpired:
      EXPECT_EQ(questions.erase(event.question_expired().question_id()), 1u);
      return CountQuestions(event, -1);
    case v1::Event::kQuestionWithdrawn:
      EXPECT_EQ(questions.erase(event.question_withdrawn().question_id()), 1u);
      return CountQuestions(event, -1);
    case v1::Event::kAgentMessage:
    case v1::Event::kToolCall:
    case v1::Event::kUserMessage:
      return;
    default:
      return FollowJob(event);
  }
}

// A life of tickets by chance; the same for the same seed.
class RandomLife {
 public:
  explicit RandomLife(uint32_t seed) : random_(seed) {
    log_->authenticated = Chance(2);
    for (int i = 0; i < 4; ++i) tickets_.emplace_back(log_);
    for (TicketInMemory& ticket : tickets_) Create(ticket);
  }

  void Step() {
    log_->now += absl::Microseconds(Number(3000000));
    log_->ids.fraction = Number(1000) / 1000.0;
    log_->actor.set_id(absl::StrCat("user-", Number(3)));
    TicketInMemory& ticket = tickets_[static_cast<size_t>(Number(4))];
    if (ticket.job().lease_token() != 0 && Chance(2)) {
      Work(ticket);
    } else {
      Act(ticket);
    }
  }

  const std::vector<TicketInMemory>& tickets() const { return tickets_; }
  const Log& log() const { return *log_; }

 private:
  int Number(int below) { return static_cast<int>(random_() % static_cast<uint32_t>(below)); }
  bool Chance(int one_in) { return Number(one_in) == 0; }
  int64_t Position() { return Number(static_cast<int>(log_->head()) + 1); }
  std::string Key() { return absl::StrCat("k", Number(12)); }

  void Create(TicketInMemory& ticket) {
    v1::CreateTicketRequest request;
    request.set_max_attempts(1 + Number(4));
    (*request.mutable_labels())["team"] = "web";
    (*request.mutable_labels())["kind"] = "bug";
    if (Chance(2)) *request.mutable_run_after() = ToProto(log_->now + absl::Seconds(Number(20)));
    ticket.Create(request);
  }

  void Ask(TicketInMemory& ticket) {
    v1::AskQuestionRequest request;
    request.set_content("c");
    if (Chance(2)) request.set_key(Key());
    if (Chance(2)) {
      request.add_choices()->set_value("yes");
      request.add_choices()->set_value("no");
      request.set_multiple(Chance(2));
    }
    if (Chance(3)) request.set_default_response("yes");
    if (Chance(4)) request.mutable_may_answer()->add_users("user-1");
    if (Chance(3)) *request.mutable_expires_in() = ToProto(absl::Seconds(1 + Number(9)));
    request.set_sensitive(Chance(4));
    ticket.Ask(request).IgnoreError();
  }

  void Release(TicketInMemory& ticket) {
    v1::ReleaseJobRequest request;
    if (Chance(2)) {
      request.set_input_after_sequence(Chance(2) ? log_->head() : Position());
    } else if (Chance(2)) {
      *request.mutable_run_after() = ToProto(log_->now + absl::Seconds(Number(20) - 5));
    }
    ticket.Release(request).IgnoreError();
  }

  // What the worker that holds the job does, or one that held it once.
  void Work(TicketInMemory& ticket) {
    switch (Number(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Ask(ticket);
      case 4:
      case 5: {
        v1::ReportActivityRequest request;
        for (int i = Number(3); i > 0; --i) {
          v1::AgentMessage& message = *request.add_activities()->mutable_message();
          message.set_content("m");
          if (Chance(2)) message.set_key(Key());
        }
        if (Chance(2)) request.set_checkpoint_json(absl::StrCat(Number(9)));
        return ticket.Report(request).IgnoreError();
      }
      case 6: {
        v1::WithdrawQuestionRequest request;
        request.set_key(Key());
        return ticket.Withdraw(request).IgnoreError();
      }
      case 7:
      case 8:
        return Release(ticket);
      case 9: {
        v1::CompleteJobRequest request;
        request.set_summary("done");
        request.set_result_json("{}");
        if (Chance(4)) request.set_lease_token(Position());
        return ticket.Complete(request).IgnoreError();
      }
      case 10:
        return ticket.FailWith("broken", !Chance(3)).IgnoreError();
      default:
        return ticket.Lose();
    }
  }

  void Submit(TicketInMemory& ticket) {
    v1::SubmitResponseRequest request;
    const std::vector<QuestionRecord> open = ticket.state().open_questions;
    const int64_t as_of = Position();
    if (!open.empty() && Chance(2)) {
      request.set_question_id(open[static_cast<size_t>(Number(static_cast<int>(open.size())))]
                                  .question()
                                  .question_id());
    } else {
      request.set_as_of_sequence(as_of);
    }
    request.set_response(Chance(8) ? "" : Chance(2) ? "yes" : "perhaps");
    const v1::SubmitResponseResponse response = ticket.Submit(request);
    if (response.outcome() == v1::RESPONSE_OUTCOME_RECEIVED && request.has_as_of_sequence() &&
        !response.question_id().empty()) {
      // P6: only ever applied to a question that its giver was shown.
      EXPECT_LE(ticket.Question(response.question_id())->question().asked_sequence(), as_of);
    }
  }

  // What humans, the timers and other workers do.
  void Act(TicketInMemory& ticket) {
    switch (Number(12)) {
      case 0:
        return ticket.Cancel().IgnoreError();
      case 1:
      case 2:
        return ticket.Retry().IgnoreError();
      case 3:
        return ticket.Send().IgnoreError();
      case 4:
      case 5:
      case 6:
        return Submit(ticket);
      case 7: {
        const std::vector<QuestionRecord> open = ticket.state().open_questions;
        if (!open.empty()) ticket.Expire(open.back().question().question_id());
        return;
      }
      default:
        if (ticket.status() != v1::JOB_STATUS_QUEUED) return;
        if (!ticket.job().claimable()) return ticket.BecomeDue();
        ticket.Claim(absl::StrCat("worker-", Number(3)));
    }
  }

  std::mt19937 random_;
  std::shared_ptr<Log> log_ = std::make_shared<Log>();
  std::vector<TicketInMemory> tickets_;
};

template <typename Message>
void ExpectSame(const Message* followed, const Message& stored) {
  ASSERT_NE(followed, nullptr) << stored.ShortDebugString();
  EXPECT_TRUE(MessageDifferencer::Equals(*followed, stored))
      << followed->ShortDebugString() << "\nstored: " << stored.ShortDebugString();
}

template <typename Message>
const Message* Find(const std::map<std::string, Message>& messages, const std::string& id) {
  const auto it = messages.find(id);
  return it == messages.end() ? nullptr : &it->second;
}

// The tickets, sessions and open questions that a snapshot of now has, or all of them.
void Compare(const Follower& follower, const RandomLife& life, bool live_only) {
  size_t questions = 0;
  for (const TicketInMemory& ticket : life.tickets()) {
    if (live_only && HasEnded(ticket.status())) continue;
    const TicketRecord& record = ticket.ticket();
    ExpectSame(Find(follower.tickets, record.ticket().ticket_id()), record.ticket());
    ExpectSame(Find(follower.sessions, record.session().session_id()), record.session());
    for (const QuestionRecord& question : ticket.state().open_questions) {
      ExpectSame(Find(follower.questions, question.question().question_id()), question.question());
      ++questions;
    }
    if (live_only) continue;
    for (v1::Job job : std::views::values(ticket.jobs())) {
      job.clear_lease_expires_at();
      ExpectSame(Find(follower.jobs, job.job_id()), job);
    }
  }
  EXPECT_EQ(follower.questions.size(), questions);
}

Follower SnapshotOf(const RandomLife& life) {
  Follower follower;
  for (const TicketInMemory& ticket : life.tickets()) {
    if (HasEnded(ticket.status())) continue;
    const TicketRecord& record = ticket.ticket();
    follower.tickets[record.ticket().ticket_id()] = record.ticket();
    follower.sessions[record.session().session_id()] = record.session();
    for (const QuestionRecord& question : ticket.state().open_questions) {
      follower.questions[question.question().question_id()] = question.question();
    }
  }
  return follower;
}

class FoldTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(FoldTest, EventsAloneKeepTheStateCurrent) {
  RandomLife life(GetParam());
  Follower from_the_start;
  Follower from_a_snapshot = SnapshotOf(life);
  for (const v1::Event& event : life.log().events) from_the_start.Follow(event);
  for (int step = 0; step < 400; ++step) {
    const size_t before = life.log().events.size();
    life.Step();
    for (size_t i = before; i < life.log().events.size(); ++i) {
      from_the_start.Follow(life.log().events[i]);
      from_a_snapshot.Follow(life.log().events[i]);
    }
    Compare(from_the_start, life, /*live_only=*/false);
    Compare(from_a_snapshot, life, /*live_only=*/true);
    ASSERT_FALSE(HasFailure()) << "seed " << GetParam() << ", step " << step;
    if (step % 97 == 0) from_a_snapshot = SnapshotOf(life);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, FoldTest, ::testing::Range(1u, 41u));

// The lives above are worth nothing if they miss a kind of event.
TEST(FoldCoverageTest, TheLivesMeetEveryKindOfEvent) {
  std::map<std::string, int> met;
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    RandomLife life(seed);
    for (int step = 0; step < 400; ++step) life.Step();
    for (const v1::Event& event : life.log().events) ++met[NameOf(event)];
  }
  for (const char* name :
       {"ticket_created", "ticket_updated", "ticket_cancelled", "agent_started", "agent_message",
        "agent_question", "question_answered", "question_expired", "question_withdrawn",
        "user_message", "job_requeued", "job_waiting", "agent_complete", "agent_error"}) {
    EXPECT_GE(met[name], 10) << name;
  }
}

}  // namespace
}  // namespace agentdesk::domain
