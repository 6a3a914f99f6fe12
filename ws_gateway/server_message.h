#ifndef AGENTDESK_WS_GATEWAY_SERVER_MESSAGE_H_
#define AGENTDESK_WS_GATEWAY_SERVER_MESSAGE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/v1/session.pb.h"
#include "ws_gateway/client_protocol.h"

namespace agentdesk::gateway {

// What goes out on a socket besides events, and the outcome of a response over HTTP. Each function
// returns one JSON object. Pure functions.

std::string PongMessage();
// An error that leaves the connection open. `code` is what DetailOf(status) gives as the reason.
std::string ErrorMessage(const absl::Status& status, const Echo& echo, Protocol protocol);

// The outcome of a response. `session_id` stands as the client wrote it.
std::string ResponseAck(absl::string_view session_id, const v1::SubmitResponseResponse& outcome,
                        const Echo& echo, Protocol protocol);
// An outcome that only has a name and a message for people, such as `unavailable`. `sequence`: the
// position as of which it is true; 0: not known.
std::string OutcomeAck(absl::string_view session_id, absl::string_view outcome,
                       absl::string_view message, int64_t sequence, const Echo& echo,
                       Protocol protocol);
// The same for an id that by itself is no session's.
std::string UnknownSessionAck(absl::string_view session_id, int64_t sequence, const Echo& echo,
                              Protocol protocol);
// What a command about a ticket came to.
struct TicketAck {
  std::string ticket_id;
  std::string job_id;
  std::string status;
  std::string message;   // for people; may be empty
  int64_t sequence = 0;  // 0: not known
};
std::string TicketAckMessage(const TicketAck& ack, const Echo& echo);
std::string MessageAck(absl::string_view session_id, int64_t sequence, const Echo& echo);

// The outcome of a response as the body that answers it over HTTP.
std::string OutcomeBody(absl::string_view session_id, absl::string_view request_id,
                        const v1::SubmitResponseResponse& outcome);
// The same where the id says by itself that no session has it.
std::string UnknownSessionBody(absl::string_view session_id);

struct Hello {
  std::string desk_id;
  int64_t sequence = 0;
  std::string user;
  absl::Time user_until = absl::InfiniteFuture();  // when a fresh token must have come
  absl::Duration heartbeat;
  int64_t body_bytes = 0;  // of an HTTP request, at most
  absl::Time time;
};
// A fresh token was accepted.
std::string AuthenticatedAck(absl::string_view user, absl::Time until, const Echo& echo);
std::string HelloMessage(const Hello& hello);
std::string SubscribedMessage(int64_t up_to);
std::string PositionMessage(int64_t up_to, absl::Time time);

struct Gap {
  std::string reason;   // `compacted`, `other_desk` or `ahead`
  std::string desk_id;  // the desk there is
  int64_t available_from = 0;
};
std::string GapMessage(const Gap& gap);
// The gap that a refused position is told as: of OutOfRange with the core's details. `desk_id`
// stays empty where they name none.
Gap GapOf(const absl::Status& refusal);

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_SERVER_MESSAGE_H_
