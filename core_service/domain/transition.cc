#include "core_service/domain/transition.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/domain/job.h"

namespace agentdesk::domain {

v1::StartReason StartReasonOf(v1::RequeueReason reason) {
  switch (reason) {
    case v1::REQUEUE_REASON_INPUT:
      return v1::START_REASON_INPUT;
    case v1::REQUEUE_REASON_FAILED:
      return v1::START_REASON_FAILED;
    case v1::REQUEUE_REASON_LEASE_LOST:
      return v1::START_REASON_LEASE_LOST;
    case v1::REQUEUE_REASON_RELEASED:
      return v1::START_REASON_RELEASED;
    default:
      return v1::START_REASON_UNSPECIFIED;
  }
}

TicketRecord& Transition::MutableTicket() {
  if (!change_.ticket) change_.ticket = state_.ticket;
  return *change_.ticket;
}

JobRecord& Transition::MutableJob() {
  if (!change_.job) {
    change_.job = state_.job;
    change_.job_was = state_.job.job().status();
  }
  return *change_.job;
}

void Transition::StartJob(JobRecord job) {
  change_.job = std::move(job);
  change_.job_was = v1::JOB_STATUS_UNSPECIFIED;
}

v1::Event& Transition::Append() {
  v1::Event& event = change_.events.emplace_back();
  event.set_sequence(sequence());
  *event.mutable_time() = ToProto(context_.now);
  event.set_ticket_id(ticket().ticket().ticket_id());
  event.set_session_id(ticket().session().session_id());
  *event.mutable_actor() = context_.actor;
  event.set_tenant(ticket().ticket().tenant());
  event.set_trace_id(context_.trace_id);
  event.set_client_address(context_.client_address);
  event.set_gateway_address(context_.gateway_address);
  return event;
}

v1::Event& Transition::AppendOfJob() {
  v1::Event& event = Append();
  event.set_job_id(job().job().job_id());
  event.set_attempt(job().job().attempt());
  return event;
}

v1::Event& Transition::AppendOfQuestion(const v1::Question& question) {
  v1::Event& event = Append();
  event.set_job_id(question.job_id());
  event.set_attempt(question.attempt());
  return event;
}

void Transition::SetStatus(v1::JobStatus status) {
  MutableJob().mutable_job()->set_status(status);
  MutableTicket().mutable_ticket()->set_status(status);
  Touch();
}

void Transition::OpenQuestion(QuestionRecord question) {
  change_.questions.push_back(std::move(question));
  SetOpenQuestions(ticket().ticket().open_questions() + 1);
}

void Transition::CloseQuestion(QuestionRecord question, v1::QuestionState state) {
  v1::Question& closed = *question.mutable_question();
  closed.set_state(state);
  *closed.mutable_close_time() = ToProto(context_.now);
  closed.set_closed_sequence(sequence());
  change_.questions.push_back(std::move(question));
  SetOpenQuestions(ticket().ticket().open_questions() - 1);
}

void Transition::WithdrawQuestion(const QuestionRecord& question) {
  v1::QuestionWithdrawn& withdrawn =
      *AppendOfQuestion(question.question()).mutable_question_withdrawn();
  withdrawn.set_question_id(question.question().question_id());
  withdrawn.set_key(question.question().key());
  CloseQuestion(question, v1::QUESTION_STATE_WITHDRAWN);
}

void Transition::WithdrawOpenQuestions() {
  for (const QuestionRecord& question : state_.open_questions) WithdrawQuestion(question);
}

void Transition::TakeInput() {
  MutableTicket().set_last_input_sequence(sequence());
  if (job().job().status() == v1::JOB_STATUS_WAITING) {
    Requeue(v1::REQUEUE_REASON_INPUT, "", absl::InfinitePast());
  }
}

void Transition::Requeue(v1::RequeueReason reason, absl::string_view error, absl::Time not_before) {
  EndLease();
  JobRecord& record = MutableJob();
  v1::Job& job = *record.mutable_job();
  const bool delayed = not_before > context_.now;
  record.set_claimable(!delayed);
  record.set_start_reason(StartReasonOf(reason));
  if (delayed) *job.mutable_next_attempt_at() = ToProto(not_before);
  if (!error.empty()) job.set_last_error(std::string(error));
  SetStatus(v1::JOB_STATUS_QUEUED);

  v1::JobRequeued& requeued = *AppendOfJob().mutable_job_requeued();
  requeued.set_reason(reason);
  requeued.set_error(std::string(error));
  if (delayed) *requeued.mutable_next_attempt_at() = job.next_attempt_at();
  requeued.set_failed_attempts(job.failed_attempts());
}

void Transition::Park() {
  EndLease();
  SetStatus(v1::JOB_STATUS_WAITING);
  AppendOfJob().mutable_job_waiting();
}

void Transition::Complete(absl::string_view summary, absl::string_view result_json) {
  Completed(v1::JOB_STATUS_COMPLETED, summary, result_json);
}

void Transition::EndCancelled(absl::string_view summary, absl::string_view result_json) {
  Completed(v1::JOB_STATUS_CANCELLED, summary, result_json);
}

void Transition::Completed(v1::JobStatus status, absl::string_view summary,
                           absl::string_view result_json) {
  WithdrawOpenQuestions();
  v1::Job& job = *MutableJob().mutable_job();
  job.set_summary(std::string(summary));
  job.set_result_json(std::string(result_json));
  EndJob(status);

  v1::AgentComplete& complete = *AppendOfJob().mutable_agent_complete();
  complete.set_status(status);
  complete.set_summary(std::string(summary));
  complete.set_result_json(std::string(result_json));
}

void Transition::FailForGood(absl::string_view error) {
  WithdrawOpenQuestions();
  MutableJob().mutable_job()->set_last_error(std::string(error));
  EndJob(v1::JOB_STATUS_FAILED);

  v1::AgentError& failed = *AppendOfJob().mutable_agent_error();
  failed.set_error(std::string(error));
  failed.set_failed_attempts(job().job().failed_attempts());
}

void Transition::EndLease() {
  JobRecord& record = MutableJob();
  record.clear_lease_token();
  record.clear_lease_ms();
  record.mutable_job()->clear_lease_expires_at();
}

void Transition::EndJob(v1::JobStatus status) {
  EndLease();
  SetStatus(status);
  JobRecord& record = MutableJob();
  record.set_claimable(false);
  record.mutable_job()->clear_next_attempt_at();
  *record.mutable_job()->mutable_end_time() = ToProto(context_.now);
  v1::Session& session = *MutableTicket().mutable_session();
  session.set_state(v1::SESSION_STATE_CLOSED);
  *session.mutable_close_time() = ToProto(context_.now);
}

void Transition::SetOpenQuestions(int count) {
  MutableTicket().mutable_ticket()->set_open_questions(count);
  MutableTicket().mutable_session()->set_open_questions(count);
  Touch();
}

void Transition::Touch() {
  *MutableTicket().mutable_ticket()->mutable_update_time() = ToProto(context_.now);
}

JobRecord NewJob(const v1::Ticket& ticket, v1::StartReason reason, const Context& context) {
  JobRecord record;
  v1::Job& job = *record.mutable_job();
  job.set_job_id(absl::StrCat("job-", context.ids->NewUuid(context.now).ToString()));
  job.set_ticket_id(ticket.ticket_id());
  job.set_session_id(ticket.session_id());
  job.set_status(v1::JOB_STATUS_QUEUED);
  job.set_queue(ticket.queue());
  job.set_priority(ticket.priority());
  *job.mutable_create_time() = ToProto(context.now);
  job.set_tenant(ticket.tenant());
  job.set_trace_id(context.trace_id);
  *job.mutable_created_by() = context.actor;

  const bool delayed = ticket.has_run_after() && FromProto(ticket.run_after()) > context.now;
  if (delayed) *job.mutable_next_attempt_at() = ticket.run_after();
  record.set_claimable(!delayed);
  record.set_start_reason(reason);
  return record;
}

absl::Status CheckHolder(const TicketState& state, absl::string_view job_id, int64_t token) {
  // A ticket that was retried has another job by now: the lease of the one before is gone with it.
  return CheckLease(state.job, state.job.job().job_id() == job_id ? token : 0);
}

absl::Status CheckPresent(absl::string_view field, absl::string_view id) {
  return id.empty() ? InvalidField(field, "is required") : absl::OkStatus();
}

std::string StatusName(v1::JobStatus status) {
  const std::string& name = v1::JobStatus_Name(status);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "JOB_STATUS_"));
}

}  // namespace agentdesk::domain
