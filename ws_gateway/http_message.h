#ifndef AGENTDESK_WS_GATEWAY_HTTP_MESSAGE_H_
#define AGENTDESK_WS_GATEWAY_HTTP_MESSAGE_H_

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/system/error_code.hpp>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "ws_gateway/transport.h"

// Between Beast's HTTP messages and ours, within the transport.
namespace agentdesk::gateway {

using BeastRequest = boost::beast::http::request<boost::beast::http::string_body>;
using BeastResponse = boost::beast::http::response<boost::beast::http::string_body>;

// When a client that was refused for load should come back, and one whose address has too many.
inline constexpr int kRetryAfterSeconds = 5;
inline constexpr int kAddressRetryAfterSeconds = 30;

// `code` and `message` must need no escaping in JSON.
HttpResponse ErrorResponse(int status, absl::string_view code, absl::string_view message);
// To one for whom there is no room; `why` is kConnections or kConnectionsOfAddress.
HttpResponse NoRoomResponse(Refusal why);
// The bytes of a response after which the connection is closed.
std::string Serialize(const HttpResponse& response);
// The head alone, of a response that is streamed until the connection closes.
std::string SerializeHead(HttpResponse response, unsigned version, absl::string_view server_name);
// Leaves out the body where the request was HEAD; `keep_alive` is for the caller to set.
BeastResponse ToBeast(HttpResponse response, unsigned version, bool is_head,
                      absl::string_view server_name);

// Takes the body out of `message`.
HttpRequest PlainRequest(BeastRequest& message, absl::string_view remote_address);
// To a request that takes longer than TransportOptions::request_timeout to arrive.
HttpResponse TooSlowResponse(const TransportOptions& options);
// What to say to a request that could not be read; nothing where the client is just gone.
std::optional<HttpResponse> ReadFault(boost::system::error_code error,
                                      const TransportOptions& options);
// What is wrong with a request as a whole, by RFC 9112 sections 3.2 and 6.1. `chunked`: whether its
// body came in chunks.
std::optional<HttpResponse> RequestFault(const BeastRequest& message, bool chunked);
bool AsksForWebSocket(const BeastRequest& message);
// What is wrong with a request to upgrade, by RFC 6455 section 4.2.1.
std::optional<HttpResponse> HandshakeFault(const BeastRequest& message);

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_HTTP_MESSAGE_H_
