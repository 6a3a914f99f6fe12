#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_SESSION_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_SESSION_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentdesk/v1/session.pb.h"
#include "core_service/domain/change.h"

namespace agentdesk::domain {

// What can be checked of a call without the desk: InvalidArgument. SendMessage checks it too.
absl::Status Validate(const v1::SendMessageRequest& request);

// A human's message to the agents. Wakes a parked job. FailedPrecondition (`session_closed`).
absl::StatusOr<Decision<v1::SendMessageResponse>> SendMessage(const v1::SendMessageRequest& request,
                                                              const TicketState& state,
                                                              const Context& context);

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_SESSION_H_
