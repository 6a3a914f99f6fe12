#ifndef AGENTDESK_WS_GATEWAY_HTTP_ERROR_H_
#define AGENTDESK_WS_GATEWAY_HTTP_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {

// The HTTP status for an error: the one table.
int HttpStatus(const absl::Status& status);

// 405, with `methods` (`GET, HEAD`) as those that are allowed.
HttpResponse MethodNotAllowed(absl::string_view methods);

// `{"error":{"code":…,"message":…,"field":…}}`, with Retry-After where a repeat may succeed,
// and WWW-Authenticate where another token may.
// `more`, if any, are further fields beside `error`, as JSON without braces.
HttpResponse ErrorResponse(const absl::Status& status, absl::string_view more = "");

inline constexpr absl::string_view kForbiddenOrigin = "forbidden_origin";
absl::Status ForbiddenOrigin();

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_HTTP_ERROR_H_
