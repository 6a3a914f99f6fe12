#include "tests/unit/domain/ticket_in_memory.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"

namespace agentdesk::domain {
namespace {

using testing::Value;

bool OfAgent(const v1::Event& event) {
  return event.has_agent_message() || event.has_tool_call() || event.has_agent_question();
}

bool WasOpen(const v1::Question& question, int64_t as_of) {
  return question.asked_sequence() <= as_of &&
         (question.closed_sequence() == 0 || question.closed_sequence() > as_of);
}

const std::string& KeyOf(const v1::Activity& activity) {
  return activity.has_message() ? activity.message().key() : activity.tool_call().key();
}

}  // namespace

TicketInMemory::TicketInMemory(std::shared_ptr<Log> shared_log) : log_(std::move(shared_log)) {
  if (log_->actor.id().empty()) {
    log_->actor.set_id("ada");
    log_->actor.set_via("grpc");
  }
}

Context TicketInMemory::context() const {
  return {.now = log_->now,
          .next_sequence = log_->head() + 1,
          .actor = log_->actor,
          .tenant = "tenant-1",
          .trace_id = absl::StrCat("trace-", log_->head()),
          .client_address = "192.0.2.1",
          .gateway_address = "198.51.100.1",
          .authenticated = log_->authenticated,
          .groups = log_->groups,
          .roles = log_->roles,
          .ids = &log_->ids};
}

TicketState TicketInMemory::state() const {
  TicketState state{.ticket = ticket_, .job = job_, .open_questions = {}};
  for (const auto& [id, question] : questions_) {
    if (question.question().state() == v1::QUESTION_STATE_OPEN) {
      state.open_questions.push_back(question);
    }
  }
  std::sort(state.open_questions.begin(), state.open_questions.end(),
            [](const QuestionRecord& a, const QuestionRecord& b) {
              return a.question().asked_sequence() < b.question().asked_sequence();
            });
  return state;
}

std::optional<QuestionRecord> TicketInMemory::Question(absl::string_view id_or_key) const {
  std::optional<QuestionRecord> last;
  for (const auto& [id, question] : questions_) {
    if (id == id_or_key) return question;
    const bool later =
        !last || last->question().asked_sequence() < question.question().asked_sequence();
    if (question.question().key() == id_or_key && later) last = question;
  }
  return last;
}

ResponseTarget TicketInMemory::Target(const v1::SubmitResponseRequest& request) const {
  ResponseTarget target;
  if (!request.question_id().empty()) {
    if (const auto it = questions_.find(request.question_id()); it != questions_.end()) {
      target.named = it->second;
    }
    return target;
  }
  const int64_t as_of = request.as_of_sequence();
  for (const auto& [id, question] : questions_) {
    const v1::Question& shown = question.question();
    if (WasOpen(shown, as_of)) target.open_as_of.push_back(question);
    if (shown.asked_sequence() <= as_of &&
        (!target.latest_as_of ||
         target.latest_as_of->question().asked_sequence() < shown.asked_sequence())) {
      target.latest_as_of = question;
    }
  }
  if (target.latest_as_of) {
    const int64_t closed = target.latest_as_of->question().closed_sequence();
    target.agent_spoke_since_latest =
        std::any_of(log_->events.begin(), log_->events.end(), [&](const v1::Event& event) {
          return event.session_id() == ticket_.session().session_id() &&
                 event.sequence() > closed && event.sequence() <= as_of && OfAgent(event);
        });
  }
  return target;
}

std::string TicketInMemory::NewEvents() {
  std::string names;
  for (; seen_events_ < log_->events.size(); ++seen_events_) {
    absl::StrAppend(&names, names.empty() ? "" : " ", NameOf(log_->events[seen_events_]));
  }
  return names;
}

v1::CreateTicketResponse TicketInMemory::Create(v1::CreateTicketRequest request) {
  if (request.ticket_name().empty()) request.set_ticket_name("Fix the login page");
  Decision<v1::CreateTicketResponse> decision =
      CreateTicket(Value(Normalize(std::move(request))), context());
  Apply(decision.change);
  return decision.response;
}

v1::ClaimJobResponse TicketInMemory::Claim(absl::string_view worker) {
  EXPECT_TRUE(job_.claimable());
  v1::ClaimJobRequest request;
  request.set_worker(std::string(worker));
  Decision<v1::ClaimJobResponse> decision =
      ClaimJob(Value(Normalize(std::move(request))), state(), context());
  Apply(decision.change);
  return decision.response;
}

template <typename Request>
Request TicketInMemory::Held(Request request) const {
  if (request.job_id().empty()) request.set_job_id(job_.job().job_id());
  if (request.lease_token() == 0) request.set_lease_token(job_.lease_token());
  return request;
}

template <typename Response>
absl::StatusOr<Response> TicketInMemory::Stored(absl::StatusOr<Decision<Response>> decision) {
  if (!decision.ok()) return decision.status();
  Apply(decision->change);
  return std::move(decision->response);
}

absl::StatusOr<v1::ReportActivityResponse> TicketInMemory::Report(
    v1::ReportActivityRequest request) {
  request = Held(std::move(request));
  std::vector<std::string> known;
  for (const v1::Activity& activity : request.activities()) {
    if (activity_keys_.contains(KeyOf(activity))) known.push_back(KeyOf(activity));
  }
  return Stored(ReportActivity(request, known, state(), context()));
}

absl::StatusOr<v1::AskQuestionResponse> TicketInMemory::Ask(v1::AskQuestionRequest request) {
  const auto same_key = request.key().empty() ? std::nullopt : Question(request.key());
  return Stored(AskQuestion(Held(std::move(request)), same_key, state(), context()));
}

absl::StatusOr<v1::WithdrawQuestionResponse> TicketInMemory::Withdraw(
    v1::WithdrawQuestionRequest request) {
  const auto question =
      Question(request.question_id().empty() ? request.key() : request.question_id());
  if (!question) return UnknownQuestion();
  return Stored(WithdrawQuestion(Held(std::move(request)), *question, state(), context()));
}

absl::StatusOr<v1::ReleaseJobResponse> TicketInMemory::Release(v1::ReleaseJobRequest request) {
  return Stored(ReleaseJob(Held(std::move(request)), state(), context()));
}

absl::StatusOr<v1::CompleteJobResponse> TicketInMemory::Complete(v1::CompleteJobRequest request) {
  return Stored(CompleteJob(Held(std::move(request)), state(), context()));
}

absl::StatusOr<v1::FailJobResponse> TicketInMemory::Fail(v1::FailJobRequest request) {
  return Stored(FailJob(Held(std::move(request)), state(), context()));
}

absl::StatusOr<v1::CancelTicketResponse> TicketInMemory::Cancel() {
  return Stored(CancelTicket(state(), context()));
}

absl::StatusOr<v1::RetryTicketResponse> TicketInMemory::Retry() {
  return Stored(RetryTicket(state(), context()));
}

absl::StatusOr<v1::SendMessageResponse> TicketInMemory::Send(absl::string_view content) {
  v1::SendMessageRequest request;
  request.set_session_id(ticket_.session().session_id());
  request.set_content(std::string(content));
  return Stored(SendMessage(request, state(), context()));
}

v1::SubmitResponseResponse TicketInMemory::Submit(v1::SubmitResponseRequest request) {
  if (request.session_id().empty()) request.set_session_id(ticket_.session().session_id());
  EXPECT_THAT(Validate(request), testing::IsOk());
  Decision<v1::SubmitResponseResponse> decision =
      SubmitResponse(request, Target(request), state(), context());
  EXPECT_EQ(decision.change.empty(), decision.response.outcome() != v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(decision.response.message().empty(),
            decision.response.outcome() == v1::RESPONSE_OUTCOME_RECEIVED);
  Apply(decision.change);
  return decision.response;
}

void TicketInMemory::Expire(absl::string_view id_or_key) {
  Apply(ExpireQuestion(Question(id_or_key).value(), state(), context()));
}

void TicketInMemory::Lose() { Apply(LoseLease(state(), context())); }

void TicketInMemory::BecomeDue() {
  const Change change = BecomeClaimable(job_);
  EXPECT_TRUE(change.events.empty());
  Apply(change);
}

std::string TicketInMemory::AskKey(absl::string_view key) {
  v1::AskQuestionRequest request;
  request.set_key(std::string(key));
  request.set_content(absl::StrCat("What about ", key, "?"));
  return Value(Ask(std::move(request))).question().question_id();
}

v1::SubmitResponseResponse TicketInMemory::Answer(absl::string_view id_or_key,
                                                  absl::string_view response) {
  v1::SubmitResponseRequest request;
  request.set_question_id(Question(id_or_key).value().question().question_id());
  request.set_response(std::string(response));
  return Submit(std::move(request));
}

absl::Status TicketInMemory::Park() {
  v1::ReleaseJobRequest request;
  request.set_input_after_sequence(ticket_.last_input_sequence());
  return Release(std::move(request)).status();
}

absl::Status TicketInMemory::FailWith(absl::string_view error, bool retryable) {
  v1::FailJobRequest request;
  request.set_error(std::string(error));
  request.set_retryable(retryable);
  return Fail(std::move(request)).status();
}

void TicketInMemory::Apply(const Change& change) {
  if (change.ticket) ticket_ = *change.ticket;
  if (change.job) {
    job_ = *change.job;
    jobs_[job_.job().job_id()] = job_;
  }
  for (const QuestionRecord& question : change.questions) {
    questions_[question.question().question_id()] = question;
  }
  activity_keys_.insert(change.activity_keys.begin(), change.activity_keys.end());
  const std::string trace_id = context().trace_id;
  for (const v1::Event& event : change.events) {
    EXPECT_EQ(event.sequence(), log_->head() + 1);
    EXPECT_EQ(event.trace_id(), trace_id);
    CheckEvent(event);
    log_->events.push_back(event);
  }
  CheckRows();
}

void TicketInMemory::CheckEvent(const v1::Event& event) const {
  const std::string name = NameOf(event);
  EXPECT_EQ(FromProto(event.time()), log_->now) << name;
  EXPECT_EQ(event.ticket_id(), ticket_.ticket().ticket_id()) << name;
  EXPECT_EQ(event.session_id(), ticket_.session().session_id()) << name;
  EXPECT_EQ(event.actor().id(), log_->actor.id()) << name;
  EXPECT_EQ(event.actor().via(), log_->actor.via()) << name;
  EXPECT_EQ(event.tenant(), "tenant-1") << name;
  // A human's message is for whichever job there is.
  EXPECT_EQ(event.job_id(), event.has_user_message() ? "" : job_.job().job_id()) << name;
  EXPECT_LE(event.attempt(), job_.job().attempt()) << name;
  EXPECT_LE(event.ByteSizeLong(), 128u * 1024) << name;
}

// What holds between the rows of a ticket at any time.
void TicketInMemory::CheckRows() const {
  const v1::Job& job = job_.job();
  const v1::Ticket& ticket = ticket_.ticket();
  const v1::Session& session = ticket_.session();
  const int open = static_cast<int>(state().open_questions.size());
  EXPECT_EQ(ticket.status(), job.status());
  EXPECT_EQ(ticket.job_id(), job.job_id());
  EXPECT_EQ(ticket.open_questions(), open);
  EXPECT_EQ(session.open_questions(), open);
  const bool held =
      job.status() == v1::JOB_STATUS_RUNNING || job.status() == v1::JOB_STATUS_CANCELLING;
  EXPECT_EQ(job_.lease_token() != 0, held);
  EXPECT_EQ(job_.lease_ms() != 0, held);
  EXPECT_EQ(job.has_lease_expires_at(), held);
  if (job.status() != v1::JOB_STATUS_QUEUED) {
    EXPECT_FALSE(job_.claimable());
    EXPECT_FALSE(job.has_next_attempt_at());
  } else {
    EXPECT_TRUE(job_.claimable() || job.has_next_attempt_at());
  }
  const bool ended = HasEnded(job.status());
  EXPECT_EQ(session.state(), ended ? v1::SESSION_STATE_CLOSED : v1::SESSION_STATE_OPEN);
  EXPECT_EQ(session.has_close_time(), ended);
  EXPECT_EQ(job.has_end_time(), ended);
  if (ended || job.status() == v1::JOB_STATUS_CANCELLING) {
    EXPECT_EQ(open, 0);
  }
  EXPECT_LE(job.failed_attempts(), ticket.max_attempts());
}

std::string NameOf(const v1::Event& event) {
  const auto* field = event.GetReflection()->GetOneofFieldDescriptor(
      event, event.GetDescriptor()->FindOneofByName("payload"));
  return field == nullptr ? "nothing" : field->name();
}

bool HasEnded(v1::JobStatus status) {
  return status == v1::JOB_STATUS_COMPLETED || status == v1::JOB_STATUS_FAILED ||
         status == v1::JOB_STATUS_CANCELLED;
}

}  // namespace agentdesk::domain
