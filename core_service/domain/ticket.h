#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_TICKET_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_TICKET_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentdesk/v1/ticket.pb.h"
#include "core_service/domain/change.h"

namespace agentdesk::domain {

// Checks a request and brings it into the one form that is stored: defaults filled in, an own
// `ticket_id` in lower case with dashes. Two requests mean the same when their forms are equal.
absl::StatusOr<v1::CreateTicketRequest> Normalize(v1::CreateTicketRequest request);

// A ticket, its session and its first job. `request` must be normal. That an own `ticket_id` is
// free is for the caller to check: see TicketExists.
Decision<v1::CreateTicketResponse> CreateTicket(const v1::CreateTicketRequest& request,
                                                const Context& context);

// Whether a job in this status, and so its ticket, has not ended.
bool IsLive(v1::JobStatus status);

// ResourceExhausted (`too_many_open_tickets`): a tenant that has `open` tickets that have not ended
// may have no more than `max` (0: any number), and no ticket of it can be created or retried.
absl::Status CheckRoomForTicket(int64_t open, int64_t max);

// AlreadyExists, with the ticket's name and status in the text and `ticket_id` in the metadata.
absl::Status TicketExists(const TicketRecord& existing);

// What can be checked of a call without the desk: InvalidArgument. For the caller to call: the two
// functions below do not see the request.
absl::Status Validate(const v1::CancelTicketRequest& request);
absl::Status Validate(const v1::RetryTicketRequest& request);

// FailedPrecondition (`ticket_ended`): completed or failed. Already cancelled or cancelling: no
// change.
absl::StatusOr<Decision<v1::CancelTicketResponse>> CancelTicket(const TicketState& state,
                                                                const Context& context);

// A new job in the same session. FailedPrecondition (`not_retryable`): neither failed nor
// cancelled.
absl::StatusOr<Decision<v1::RetryTicketResponse>> RetryTicket(const TicketState& state,
                                                              const Context& context);

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_TICKET_H_
