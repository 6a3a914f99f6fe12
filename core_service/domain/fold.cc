#include "core_service/domain/fold.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core_service/base/timestamp.h"
#include "core_service/domain/job.h"
#include "core_service/domain/transition.h"
#include "google/protobuf/util/message_differencer.h"

namespace agentdesk::domain {
namespace {

using google::protobuf::util::MessageDifferencer;

absl::Status CannotFollow(const v1::Event& event, absl::string_view why) {
  return absl::DataLossError(absl::StrCat("event ", event.sequence(), " cannot follow: ", why));
}

void EndLease(JobRecord& job) { job.clear_lease_token(); }

void SetStatus(const v1::Event& event, v1::JobStatus status, FoldedTicket& state) {
  v1::Ticket& ticket = *state.ticket.mutable_ticket();
  ticket.set_status(status);
  *ticket.mutable_update_time() = event.time();
  v1::Job& job = *state.jobs[event.job_id()].mutable_job();
  job.set_status(status);
  job.clear_next_attempt_at();
}

void EndTicket(const v1::Event& event, v1::JobStatus status, FoldedTicket& state) {
  SetStatus(event, status, state);
  JobRecord& job = state.jobs[event.job_id()];
  EndLease(job);
  *job.mutable_job()->mutable_end_time() = event.time();
  v1::Session& session = *state.ticket.mutable_session();
  session.set_state(v1::SESSION_STATE_CLOSED);
  *session.mutable_close_time() = event.time();
}

JobRecord FirstStateOf(const v1::Ticket& ticket, v1::StartReason reason, const v1::Event& event) {
  JobRecord record;
  record.set_start_reason(reason);
  v1::Job& job = *record.mutable_job();
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
  return record;
}

void ShowTicket(const v1::Event& event, const v1::Ticket& ticket, v1::StartReason reason,
                FoldedTicket& state) {
  *state.ticket.mutable_ticket() = ticket;
  if (state.jobs.contains(ticket.job_id())) return;
  state.jobs[ticket.job_id()] = FirstStateOf(ticket, reason, event);
  v1::Session& session = *state.ticket.mutable_session();
  session.set_session_id(ticket.session_id());
  session.set_ticket_id(ticket.ticket_id());
  session.set_state(v1::SESSION_STATE_OPEN);
  session.clear_close_time();
  *session.mutable_create_time() = ticket.create_time();
  *session.mutable_created_by() = ticket.created_by();
  session.set_tenant(ticket.tenant());
  session.set_trace_id(ticket.trace_id());
}

void CountQuestions(const v1::Event& event, int change, FoldedTicket& state) {
  v1::Ticket& ticket = *state.ticket.mutable_ticket();
  ticket.set_open_questions(ticket.open_questions() + change);
  *ticket.mutable_update_time() = event.time();
  state.ticket.mutable_session()->set_open_questions(ticket.open_questions());
}

absl::Status OpenQuestion(const v1::Event& event, FoldedTicket& state) {
  const v1::Question& asked = event.agent_question().question();
  if (state.questions.contains(asked.question_id())) {
    return CannotFollow(event, "its question was asked before");
  }
  *state.questions[asked.question_id()].mutable_question() = asked;
  CountQuestions(event, 1, state);
  return absl::OkStatus();
}

absl::Status CloseQuestion(const v1::Event& event, const std::string& id, v1::QuestionState end,
                           FoldedTicket& state) {
  const auto it = state.questions.find(id);
  if (it == state.questions.end()) return CannotFollow(event, "its question was never asked");
  v1::Question& question = *it->second.mutable_question();
  if (question.state() != v1::QUESTION_STATE_OPEN) {
    return CannotFollow(event, "its question was over before");
  }
  question.set_state(end);
  *question.mutable_close_time() = event.time();
  question.set_closed_sequence(event.sequence());
  if (end == v1::QUESTION_STATE_ANSWERED) {
    *question.mutable_answered_by() = event.actor();
    question.set_response(event.question_answered().response());
    *question.mutable_responses() = event.question_answered().responses();
  }
  if (end != v1::QUESTION_STATE_WITHDRAWN) {
    state.ticket.set_last_input_sequence(event.sequence());
  }
  CountQuestions(event, -1, state);
  return absl::OkStatus();
}

void Requeue(const v1::Event& event, FoldedTicket& state) {
  const v1::JobRequeued& requeued = event.job_requeued();
  SetStatus(event, v1::JOB_STATUS_QUEUED, state);
  JobRecord& record = state.jobs[event.job_id()];
  EndLease(record);
  record.set_start_reason(StartReasonOf(requeued.reason()));
  v1::Job& job = *record.mutable_job();
  // A lease lost while a question was open is no failed attempt, but the wait grows with it.
  if (requeued.reason() == v1::REQUEUE_REASON_LEASE_LOST &&
      requeued.failed_attempts() == job.failed_attempts()) {
    record.set_lost_attempts(record.lost_attempts() + 1);
  }
  job.set_failed_attempts(requeued.failed_attempts());
  if (!requeued.error().empty()) job.set_last_error(requeued.error());
  if (requeued.has_next_attempt_at()) *job.mutable_next_attempt_at() = requeued.next_attempt_at();
}

// What takes part in a comparison. The labels have one of their own: reflection over a map of the
// packaged protobuf crashes in a program built with the thread sanitizer.
TicketRecord Comparable(TicketRecord record) {
  record.clear_checkpoint_json();
  record.mutable_ticket()->clear_labels();
  return record;
}
JobRecord Comparable(JobRecord record) {
  record.set_lease_token(LeaseStart(record.lease_token()));
  record.clear_lease_ms();
  record.clear_claimable();
  record.mutable_job()->clear_lease_expires_at();
  return record;
}
QuestionRecord Comparable(QuestionRecord record) {
  record.clear_sensitive_response();
  record.clear_sensitive_responses();
  return record;
}

bool SameLabels(const v1::Ticket& one, const v1::Ticket& other) {
  return one.labels_size() == other.labels_size() &&
         std::all_of(one.labels().begin(), one.labels().end(), [&](const auto& label) {
           const auto it = other.labels().find(label.first);
           return it != other.labels().end() && it->second == label.second;
         });
}

// The names of the fields that differ, and nothing of what they hold.
class FieldNames final : public MessageDifferencer::Reporter {
 public:
  using Message = google::protobuf::Message;
  using Path = std::vector<MessageDifferencer::SpecificField>;

  void ReportAdded(const Message&, const Message&, const Path& path) override { Add(path); }
  void ReportDeleted(const Message&, const Message&, const Path& path) override { Add(path); }
  void ReportModified(const Message&, const Message&, const Path& path) override { Add(path); }
  std::string Text() const { return absl::StrJoin(names_, ", "); }

 private:
  void Add(const Path& path) {
    std::string name;
    for (const MessageDifferencer::SpecificField& field : path) {
      if (field.field == nullptr) continue;
      absl::StrAppend(&name, name.empty() ? "" : ".", field.field->name());
    }
    // A message that differs is reported after what differs in it.
    const bool known =
        !names_.empty() &&
        (names_.back() == name || absl::StartsWith(names_.back(), absl::StrCat(name, ".")));
    if (!known) names_.push_back(name);
  }
  std::vector<std::string> names_;
};

template <typename Record>
std::string DifferenceOf(absl::string_view what, const Record& told, const Record& stored) {
  FieldNames names;
  MessageDifferencer differencer;
  differencer.ReportDifferencesTo(&names);
  if (differencer.Compare(Comparable(told), Comparable(stored))) return "";
  return absl::StrCat(what, ": ", names.Text());
}

template <typename Record>
std::string DifferenceOfAll(absl::string_view kind, const std::map<std::string, Record>& told,
                            const std::map<std::string, Record>& stored) {
  for (const auto& [id, record] : told) {
    const auto it = stored.find(id);
    if (it == stored.end()) return absl::StrCat(kind, " ", id, " is missing");
    std::string difference = DifferenceOf(absl::StrCat(kind, " ", id), record, it->second);
    if (!difference.empty()) return difference;
  }
  for (const auto& [id, record] : stored) {
    if (!told.contains(id)) return absl::StrCat(kind, " ", id, " is in no event");
  }
  return "";
}

}  // namespace

FoldedTicket FoldedTicket::Of(const record::v1::TicketCheckpoint& state) {
  FoldedTicket ticket;
  ticket.ticket = state.ticket();
  for (const JobRecord& job : state.jobs()) ticket.jobs[job.job().job_id()] = job;
  for (const QuestionRecord& question : state.questions()) {
    ticket.questions[question.question().question_id()] = question;
  }
  return ticket;
}

absl::Status Fold(const v1::Event& event, FoldedTicket& state) {
  // Who begins with a snapshot first hears of an ended ticket when it is retried.
  const bool shows_all = event.has_ticket_created() || event.has_ticket_updated();
  if (!shows_all && !state.ticket.has_ticket()) {
    return CannotFollow(event, "its ticket was never created");
  }
  if (event.has_ticket_created() && state.ticket.has_ticket()) {
    return CannotFollow(event, "its ticket exists already");
  }
  switch (event.payload_case()) {
    case v1::Event::kTicketCreated:
      ShowTicket(event, event.ticket_created().ticket(), v1::START_REASON_NEW, state);
      return absl::OkStatus();
    case v1::Event::kTicketUpdated:
      ShowTicket(event, event.ticket_updated().ticket(), v1::START_REASON_RETRY, state);
      return absl::OkStatus();
    case v1::Event::kTicketCancelled:
      SetStatus(event, event.ticket_cancelled().status(), state);
      return absl::OkStatus();
    case v1::Event::kAgentStarted: {
      SetStatus(event, v1::JOB_STATUS_RUNNING, state);
      JobRecord& job = state.jobs[event.job_id()];
      job.set_lease_token(event.sequence());
      job.mutable_job()->set_attempt(event.attempt());
      job.mutable_job()->set_worker(event.agent_started().worker());
      return absl::OkStatus();
    }
    case v1::Event::kAgentMessage:
    case v1::Event::kToolCall:
      return absl::OkStatus();
    case v1::Event::kAgentQuestion:
      return OpenQuestion(event, state);
    case v1::Event::kQuestionAnswered:
      return CloseQuestion(event, event.question_answered().question_id(),
                           v1::QUESTION_STATE_ANSWERED, state);
    case v1::Event::kQuestionExpired:
      return CloseQuestion(event, event.question_expired().question_id(),
                           v1::QUESTION_STATE_EXPIRED, state);
    case v1::Event::kQuestionWithdrawn:
      return CloseQuestion(event, event.question_withdrawn().question_id(),
                           v1::QUESTION_STATE_WITHDRAWN, state);
    case v1::Event::kUserMessage:
      state.ticket.set_last_input_sequence(event.sequence());
      return absl::OkStatus();
    case v1::Event::kJobRequeued:
      Requeue(event, state);
      return absl::OkStatus();
    case v1::Event::kJobWaiting:
      SetStatus(event, v1::JOB_STATUS_WAITING, state);
      EndLease(state.jobs[event.job_id()]);
      return absl::OkStatus();
    case v1::Event::kAgentComplete: {
      EndTicket(event, event.agent_complete().status(), state);
      v1::Job& job = *state.jobs[event.job_id()].mutable_job();
      job.set_summary(event.agent_complete().summary());
      job.set_result_json(event.agent_complete().result_json());
      return absl::OkStatus();
    }
    case v1::Event::kAgentError: {
      EndTicket(event, v1::JOB_STATUS_FAILED, state);
      v1::Job& job = *state.jobs[event.job_id()].mutable_job();
      job.set_last_error(event.agent_error().error());
      job.set_failed_attempts(event.agent_error().failed_attempts());
      return absl::OkStatus();
    }
    case v1::Event::PAYLOAD_NOT_SET:
      break;
  }
  return CannotFollow(event, "it is of no kind that this version knows");
}

std::string Difference(const FoldedTicket& told, const FoldedTicket& stored) {
  if (!SameLabels(told.ticket.ticket(), stored.ticket.ticket())) return "ticket: ticket.labels";
  std::string difference = DifferenceOf("ticket", told.ticket, stored.ticket);
  if (difference.empty()) difference = DifferenceOfAll("job", told.jobs, stored.jobs);
  if (difference.empty()) {
    difference = DifferenceOfAll("question", told.questions, stored.questions);
  }
  return difference;
}

}  // namespace agentdesk::domain
