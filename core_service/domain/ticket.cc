#include "core_service/domain/ticket.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/domain/limits.h"
#include "core_service/domain/text.h"
#include "core_service/domain/timing.h"
#include "core_service/domain/transition.h"

namespace agentdesk::domain {
namespace {

constexpr char kDefaultQueue[] = "default";
// When to try for another ticket: nobody knows when one ends.
constexpr absl::Duration kTicketsFullFor = absl::Seconds(30);

absl::Status CheckRange(absl::string_view field, int value, int min, int max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return InvalidField(field, absl::StrCat("must be ", min, " to ", max, ", is ", value));
}

absl::Status CheckLabels(const v1::CreateTicketRequest& request) {
  if (request.labels_size() > kMaxLabels) {
    return InvalidField("labels", absl::StrCat("must have at most ", kMaxLabels, " entries, has ",
                                               request.labels_size()));
  }
  // A map has no order of its own; sorted, the same labels are always refused with the same words.
  std::vector<std::pair<absl::string_view, absl::string_view>> labels;
  for (const auto& [key, value] : request.labels()) labels.emplace_back(key, value);
  std::sort(labels.begin(), labels.end());
  absl::Status status;
  for (const auto& [key, value] : labels) {
    status.Update(CheckCharacters("labels.key", key, 1, kMaxLabelKeyCharacters));
    status.Update(
        CheckCharacters(absl::StrCat("labels[", key, "]"), value, 0, kMaxLabelValueCharacters));
  }
  return status;
}

absl::Status CheckOwnId(const std::string& ticket_id) {
  if (ticket_id.empty()) return absl::OkStatus();
  if (absl::Status status = CheckUuid("ticket_id", ticket_id); !status.ok()) return status;
  if (Uuid::Parse(ticket_id)->is_nil()) {
    return InvalidField("ticket_id", "must not be the UUID that is all zeros");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::CreateTicketRequest> Normalize(v1::CreateTicketRequest request) {
  if (request.queue().empty()) request.set_queue(kDefaultQueue);
  if (!request.has_priority()) request.set_priority(kDefaultPriority);
  if (!request.has_max_attempts()) request.set_max_attempts(kDefaultAttempts);

  absl::Status status =
      CheckCharacters("ticket_name", request.ticket_name(), 1, kMaxTicketNameCharacters);
  status.Update(CheckBytes("description", request.description(), 0, kMaxContentBytes));
  status.Update(CheckLabels(request));
  status.Update(CheckQueue("queue", request.queue()));
  status.Update(CheckRange("priority", request.priority(), 0, kMaxPriority));
  if (request.has_run_after()) status.Update(CheckTimestamp("run_after", request.run_after()));
  status.Update(CheckRange("max_attempts", request.max_attempts(), 1, kMaxAttempts));
  status.Update(CheckRange("timeout_s", request.timeout_s(), 0, kMaxTimeoutSeconds));
  status.Update(CheckOwnId(request.ticket_id()));
  status.Update(CheckRequestId(request.request_id()));
  if (!status.ok()) return status;

  if (!request.ticket_id().empty()) {
    request.set_ticket_id(Uuid::Parse(request.ticket_id())->ToString());
  }
  if (request.has_run_after()) {
    *request.mutable_run_after() = ToProto(FromProto(request.run_after()));
  }
  return request;
}

Decision<v1::CreateTicketResponse> CreateTicket(const v1::CreateTicketRequest& request,
                                                const Context& context) {
  const TicketState none;
  Transition transition(none, context);
  TicketRecord& record = transition.MutableTicket();
  v1::Ticket& ticket = *record.mutable_ticket();
  ticket.set_ticket_id(request.ticket_id().empty() ? context.ids->NewUuid(context.now).ToString()
                                                   : request.ticket_id());
  ticket.set_ticket_name(request.ticket_name());
  ticket.set_description(request.description());
  *ticket.mutable_labels() = request.labels();
  ticket.set_queue(request.queue());
  ticket.set_priority(request.priority());
  if (request.has_run_after()) *ticket.mutable_run_after() = request.run_after();
  ticket.set_max_attempts(request.max_attempts());
  ticket.set_timeout_s(request.timeout_s());
  ticket.set_status(v1::JOB_STATUS_QUEUED);
  ticket.set_session_id(context.ids->NewUuid(context.now).ToString());
  *ticket.mutable_create_time() = ToProto(context.now);
  ticket.mutable_update_time()->CopyFrom(ticket.create_time());
  *ticket.mutable_created_by() = context.actor;
  ticket.set_tenant(context.tenant);
  ticket.set_trace_id(context.trace_id);
  JobRecord& job = transition.MutableJob();
  job = NewJob(ticket, v1::START_REASON_NEW, context);
  ticket.set_job_id(job.job().job_id());

  v1::Session& session = *record.mutable_session();
  session.set_session_id(ticket.session_id());
  session.set_ticket_id(ticket.ticket_id());
  session.set_state(v1::SESSION_STATE_OPEN);
  *session.mutable_create_time() = ticket.create_time();
  *session.mutable_created_by() = context.actor;
  session.set_tenant(context.tenant);
  session.set_trace_id(context.trace_id);

  *transition.AppendOfJob().mutable_ticket_created()->mutable_ticket() = ticket;

  Decision<v1::CreateTicketResponse> decision;
  decision.response.set_ticket_id(ticket.ticket_id());
  decision.response.set_job_id(ticket.job_id());
  decision.response.set_status(ticket.status());
  *decision.response.mutable_ticket() = ticket;
  decision.response.set_sequence(transition.sequence());
  decision.change = transition.Take();
  return decision;
}

bool IsLive(v1::JobStatus status) {
  return status == v1::JOB_STATUS_QUEUED || status == v1::JOB_STATUS_RUNNING ||
         status == v1::JOB_STATUS_WAITING || status == v1::JOB_STATUS_CANCELLING;
}

absl::Status CheckRoomForTicket(int64_t open, int64_t max) {
  if (max == 0 || open < max) return absl::OkStatus();
  return WithDetail(absl::ResourceExhaustedError(absl::StrCat(
                        "too many open tickets: a tenant may have ", max,
                        " that have not ended; wait until some have, cancel some, or raise "
                        "--max_open_tickets_per_tenant of the core")),
                    {.reason = "too_many_open_tickets",
                     .field = {},
                     .retry_after = kTicketsFullFor,
                     .metadata = {}});
}

absl::Status TicketExists(const TicketRecord& existing) {
  const v1::Ticket& ticket = existing.ticket();
  return WithDetail(absl::AlreadyExistsError(absl::StrCat(
                        "ticket_id: ", ticket.ticket_id(), " is in use by the ticket \"",
                        ticket.ticket_name(), "\", which is ", StatusName(ticket.status()))),
                    {.reason = "already_exists",
                     .field = "ticket_id",
                     .retry_after = std::nullopt,
                     .metadata = {{"ticket_id", ticket.ticket_id()}}});
}

absl::Status Validate(const v1::CancelTicketRequest& request) {
  absl::Status status = CheckPresent("ticket_id", request.ticket_id());
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

absl::Status Validate(const v1::RetryTicketRequest& request) {
  absl::Status status = CheckPresent("ticket_id", request.ticket_id());
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

absl::StatusOr<Decision<v1::CancelTicketResponse>> CancelTicket(const TicketState& state,
                                                                const Context& context) {
  const v1::Ticket& ticket = state.ticket.ticket();
  const v1::JobStatus status = ticket.status();
  if (status == v1::JOB_STATUS_COMPLETED || status == v1::JOB_STATUS_FAILED) {
    return ErrorWithReason(absl::StatusCode::kFailedPrecondition, "ticket_ended",
                           absl::StrCat("ticket ", ticket.ticket_id(), " has already ",
                                        StatusName(status), ": there is nothing to cancel"));
  }
  Transition transition(state, context);
  if (status != v1::JOB_STATUS_CANCELLED && status != v1::JOB_STATUS_CANCELLING) {
    const bool running = status == v1::JOB_STATUS_RUNNING;
    transition.SetStatus(running ? v1::JOB_STATUS_CANCELLING : v1::JOB_STATUS_CANCELLED);
    v1::TicketCancelled& cancelled = *transition.AppendOfJob().mutable_ticket_cancelled();
    cancelled.set_ticket_name(ticket.ticket_name());
    cancelled.set_status(transition.ticket().ticket().status());
    if (running) {
      transition.WithdrawOpenQuestions();
    } else {
      transition.EndCancelled("", "");
    }
  }
  Decision<v1::CancelTicketResponse> decision;
  *decision.response.mutable_ticket() = transition.ticket().ticket();
  decision.response.set_sequence(transition.sequence());
  decision.change = transition.Take();
  return decision;
}

absl::StatusOr<Decision<v1::RetryTicketResponse>> RetryTicket(const TicketState& state,
                                                              const Context& context) {
  const v1::Ticket& before = state.ticket.ticket();
  if (before.status() != v1::JOB_STATUS_FAILED && before.status() != v1::JOB_STATUS_CANCELLED) {
    return ErrorWithReason(
        absl::StatusCode::kFailedPrecondition, "not_retryable",
        absl::StrCat("ticket ", before.ticket_id(), " is ", StatusName(before.status()),
                     ": only a failed or cancelled ticket can be retried"));
  }
  Transition transition(state, context);
  transition.StartJob(NewJob(before, v1::START_REASON_RETRY, context));
  JobRecord& job = transition.MutableJob();
  // Attempts are numbered through all jobs of a ticket, so that a number names one attempt.
  job.mutable_job()->set_attempt(state.job.job().attempt());
  transition.MutableTicket().mutable_ticket()->set_job_id(job.job().job_id());
  v1::Session& session = *transition.MutableTicket().mutable_session();
  session.set_state(v1::SESSION_STATE_OPEN);
  session.clear_close_time();
  transition.SetStatus(v1::JOB_STATUS_QUEUED);
  *transition.AppendOfJob().mutable_ticket_updated()->mutable_ticket() =
      transition.ticket().ticket();

  Decision<v1::RetryTicketResponse> decision;
  *decision.response.mutable_ticket() = transition.ticket().ticket();
  decision.response.set_job_id(job.job().job_id());
  decision.response.set_sequence(transition.sequence());
  decision.change = transition.Take();
  return decision;
}

}  // namespace agentdesk::domain
