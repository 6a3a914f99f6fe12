#ifndef AGENTDESK_WS_GATEWAY_CLIENT_PROTOCOL_H_
#define AGENTDESK_WS_GATEWAY_CLIENT_PROTOCOL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "ws_gateway/event_json.h"

namespace agentdesk::gateway {

// What comes in: the messages of a socket and the bodies of HTTP requests, read from untrusted JSON
// (RFC 8259, at most 32 levels deep; of a repeated name the last value counts). Pure functions.

// Where a client wants its events to begin.
struct SubscribeFrom {
  enum class Kind { kAfter, kLive, kSnapshot };
  Kind kind = Kind::kLive;
  std::string desk_id;  // with kAfter; may be missing, which only suits position 0
  int64_t after = 0;
};

struct Ping {};
// Proves who the client is: the first message, or later a fresh token for the same user.
struct Auth {
  std::string token;  // whatever is no text is empty
};
struct Subscribe {
  SubscribeFrom from;
  v1::EventFilter filter;
};

// What an answer repeats, so that its receiver can match it.
struct Echo {
  std::optional<std::string> request_id;
  std::optional<std::string> question_id;
};

// One message of a client. Ids stand as they were given.
struct ClientMessage {
  // The error that answers it, with the reason `invalid_json`, `invalid_message` or `unknown_type`;
  // `command` means nothing then.
  absl::Status status;
  Echo echo;
  std::variant<Ping, Auth, Subscribe, v1::SubmitResponseRequest, v1::SendMessageRequest,
               v1::CreateTicketRequest, v1::CancelTicketRequest, v1::RetryTicketRequest>
      command;
};
absl::Status UnknownType();
ClientMessage ParseClientMessage(absl::string_view text, Protocol protocol);

// Where the query of the socket's URL says to begin: `after=N&desk=ID`, `snapshot=1` or `live=1`;
// none where it says nothing. The error names the parameter.
absl::StatusOr<std::optional<Subscribe>> ParseSubscribeQuery(absl::string_view query);
// What a request for a stream says, by `last_event_id` (the header; empty where there is none) or
// else its query: `after=DESK:N`, `snapshot=1` or `live=1`, which is the default; and, of the lists
// separated by commas `ticket_ids`, `session_ids` and `types`, what is wanted.
absl::StatusOr<Subscribe> ParseStreamRequest(absl::string_view query,
                                             absl::string_view last_event_id);

// HTTP bodies. Errors are InvalidArgument: with the reason `invalid_json` where the text is no JSON
// object, else naming the field.
absl::StatusOr<v1::CreateTicketRequest> ParseCreateTicket(absl::string_view body);
absl::StatusOr<v1::SubmitResponseRequest> ParseSubmitResponse(absl::string_view body);
absl::StatusOr<v1::SendMessageRequest> ParseSendMessage(absl::string_view body);
// The `request_id` of a body that may be empty and means nothing else.
absl::StatusOr<std::string> ParseRequestId(absl::string_view body);
struct NotionPage {
  std::string page_id;                  // a UUID as AgentDesk writes it
  std::optional<absl::Time> timestamp;  // where there is one that can be read
};
absl::StatusOr<NotionPage> ParseNotionPage(absl::string_view body);

// The decoded value of a parameter in a query (`a=1&b=2`), if it is there.
std::optional<std::string> QueryParameter(absl::string_view query, absl::string_view name);
// Decodes %XX, and `+` as a space; none when an escape is broken or the result is not UTF-8.
std::optional<std::string> DecodePercent(absl::string_view text);

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_CLIENT_PROTOCOL_H_
