#include "core_service/domain/session.h"

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/domain/limits.h"
#include "core_service/domain/text.h"
#include "core_service/domain/transition.h"

namespace agentdesk::domain {

absl::Status Validate(const v1::SendMessageRequest& request) {
  absl::Status status = CheckPresent("session_id", request.session_id());
  status.Update(CheckBytes("content", request.content(), 1, kMaxContentBytes));
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

absl::StatusOr<Decision<v1::SendMessageResponse>> SendMessage(const v1::SendMessageRequest& request,
                                                              const TicketState& state,
                                                              const Context& context) {
  if (absl::Status status = Validate(request); !status.ok()) return status;
  const v1::Session& session = state.ticket.session();
  if (session.state() == v1::SESSION_STATE_CLOSED) {
    return ErrorWithReason(
        absl::StatusCode::kFailedPrecondition, "session_closed",
        absl::StrCat("session ", session.session_id(), " is closed, since its ticket is ",
                     StatusName(state.ticket.ticket().status()), ": the message was not stored"));
  }
  Transition transition(state, context);
  transition.Append().mutable_user_message()->set_content(request.content());
  Decision<v1::SendMessageResponse> decision;
  decision.response.set_sequence(transition.sequence());
  transition.TakeInput();
  decision.change = transition.Take();
  return decision;
}

}  // namespace agentdesk::domain
