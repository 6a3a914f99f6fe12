#include "core_service/desk/agent_input.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/desk/desk.h"
#include "core_service/desk/turn.h"
#include "core_service/domain/job.h"

namespace agentdesk::desk {
namespace {

v1::EventFilter FilterFor(const std::string& session_id) {
  v1::EventFilter filter;
  filter.add_session_ids(session_id);
  for (const v1::EventType type :
       {v1::EVENT_TYPE_QUESTION_ANSWERED, v1::EVENT_TYPE_QUESTION_EXPIRED,
        v1::EVENT_TYPE_QUESTION_WITHDRAWN, v1::EVENT_TYPE_USER_MESSAGE,
        v1::EVENT_TYPE_TICKET_CANCELLED, v1::EVENT_TYPE_JOB_REQUEUED, v1::EVENT_TYPE_JOB_WAITING,
        v1::EVENT_TYPE_AGENT_STARTED, v1::EVENT_TYPE_AGENT_COMPLETE, v1::EVENT_TYPE_AGENT_ERROR}) {
    filter.add_types(type);
  }
  return filter;
}

}  // namespace

AgentInput::AgentInput(events::Subscription subscription)
    : subscription_(std::move(subscription)) {}

absl::StatusOr<std::unique_ptr<AgentInput>> AgentInput::Open(Desk& desk, const Caller& caller,
                                                             const v1::ReceiveInputRequest& request,
                                                             store::Store& store) {
  if (absl::Status status = domain::Validate(request); !status.ok()) return status;
  const absl::StatusOr<std::string> id = NormalJobId(request.job_id());
  if (!id.ok()) return id.status();
  absl::StatusOr<std::unique_ptr<store::View>> view = store.OpenView();
  if (!view.ok()) return view.status();
  (*view)->HoldTo(caller.HeldTo());
  const absl::StatusOr<store::JobRecord> job = (*view)->FindJob(*id);
  if (absl::IsNotFound(job.status())) {
    return ErrorWithReason(absl::StatusCode::kNotFound, "not_found",
                           absl::StrCat("job_id: there is none with the id ", *id));
  }
  if (!job.ok()) return job.status();
  if (absl::Status status = domain::CheckLease(*job, request.lease_token()); !status.ok()) {
    return status;
  }
  if (request.after_sequence() > (*view)->head()) {
    return InvalidField("after_sequence",
                        absl::StrCat("must be 0 to ", (*view)->head(), ", the end of the log"));
  }
  const absl::StatusOr<events::Filter> filter =
      events::Filter::Create(FilterFor(job->job().session_id()));
  if (!filter.ok()) return filter.status();
  // What was before the claim is in the transcript; and an end of attempt found there would not be
  // the end of this one.
  const int64_t after =
      std::max(request.after_sequence(), domain::LeaseStart(request.lease_token()));
  events::Subscription::Limits limits;
  limits.behind_oldest = true;
  return std::unique_ptr<AgentInput>(
      new AgentInput(events::Subscription(desk.log(), *filter, after, limits)));
}

bool AgentInput::Skip(const std::shared_ptr<events::Waiter>& waiter) {
  while (!found_.has_value()) {
    events::Subscription::Batch events = subscription_.Next(waiter);
    if (events.found == events::EventLog::Found::kWaiting) return true;
    const bool for_others =
        events.found == events::EventLog::Found::kEvents && events.pieces.empty();
    if (!for_others) found_ = std::move(events);
  }
  return false;
}

absl::StatusOr<AgentInput::Batch> AgentInput::Next(const std::shared_ptr<events::Waiter>& waiter,
                                                   store::Store& store) {
  events::Subscription::Batch events =
      found_.has_value() ? *std::move(found_) : subscription_.Next(waiter);
  found_.reset();
  if (events.found == events::EventLog::Found::kInStore) {
    absl::StatusOr<events::Subscription::Batch> stored = subscription_.ReadStore(store);
    if (!stored.ok()) return stored.status();
    events = *std::move(stored);
  }
  Batch batch;
  batch.waiting = events.found == events::EventLog::Found::kWaiting;
  batch.up_to = events.up_to;
  v1::SubscribeResponse decoded;
  for (const events::Piece& piece : events.pieces) {
    if (!decoded.MergeFromString(std::string(piece.bytes))) {
      return absl::DataLossError("stored events cannot be read");
    }
  }
  for (const v1::Event& event : decoded.events()) {
    if (absl::Status status = Translate(event, store, batch); !status.ok()) return status;
    if (batch.ended) break;
  }
  return batch;
}

absl::Status AgentInput::Translate(const v1::Event& event, store::Store& store, Batch& batch) {
  v1::ReceiveInputResponse input;
  input.set_sequence(event.sequence());
  *input.mutable_actor() = event.actor();
  *input.mutable_time() = event.time();
  input.set_trace_id(event.trace_id());
  switch (event.payload_case()) {
    case v1::Event::kQuestionAnswered:
      *input.mutable_answer() = event.question_answered();
      if (event.question_answered().sensitive()) {
        absl::StatusOr<std::unique_ptr<store::View>> view = store.OpenView();
        if (!view.ok()) return view.status();
        const absl::StatusOr<store::QuestionRecord> question =
            (*view)->FindQuestion(event.question_answered().question_id());
        if (!question.ok()) return question.status();
        input.mutable_answer()->set_response(question->sensitive_response());
        *input.mutable_answer()->mutable_responses() = question->sensitive_responses();
      }
      break;
    case v1::Event::kQuestionExpired:
      *input.mutable_expired() = event.question_expired();
      break;
    case v1::Event::kQuestionWithdrawn:
      *input.mutable_withdrawn() = event.question_withdrawn();
      break;
    case v1::Event::kUserMessage:
      *input.mutable_message() = event.user_message();
      break;
    case v1::Event::kTicketCancelled:
      *input.mutable_cancel() = event.ticket_cancelled();
      break;
    default:
      // Whatever else happens to the session's job after the claim ends the attempt.
      input.mutable_lease_lost()->set_message(
          event.has_job_requeued() && event.job_requeued().reason() == v1::REQUEUE_REASON_LEASE_LOST
              ? "the lease ran out; stop the agent"
              : "the attempt has ended");
      batch.ended = true;
  }
  batch.inputs.push_back(std::move(input));
  return absl::OkStatus();
}

}  // namespace agentdesk::desk
