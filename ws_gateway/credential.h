#ifndef AGENTDESK_WS_GATEWAY_CREDENTIAL_H_
#define AGENTDESK_WS_GATEWAY_CREDENTIAL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/authenticator.h"
#include "core_service/base/identity.h"
#include "ws_gateway/origin.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {

// What stands before a bearer token that is offered as a subprotocol.
inline constexpr absl::string_view kBearerSubprotocol = "agentdesk.bearer.";
// A browser keeps no cookie over 4 KiB.
inline constexpr size_t kMaxCookieToken = 3800;

// The bearer token that a request shows (RFC 6750), by the first of these ways that it takes:
//   Authorization: Bearer TOKEN
//   Sec-WebSocket-Protocol: agentdesk.v1, agentdesk.bearer.TOKEN
//   Cookie: agentdesk_token=TOKEN
// and never in its URL, which ends up in logs. Where one way shows several, so that nobody
// chooses, the token is empty, which is none that anybody accepts.
struct Credential {
  enum class Way { kNone, kHeader, kSubprotocol, kCookie };
  Way way = Way::kNone;
  std::string token;
};
Credential FindCredential(const HttpRequest& request);

// Whom a request's credential proves its sender to be. A browser adds a cookie to what any page
// asks of it, so that a cookie counts only for pages that OriginList::Owns: a request without an
// Origin is believed where it can do nothing but read. Unauthenticated: no token (`token_missing`)
// or one that is refused (base/token_verifier.h). PermissionDenied: `forbidden_origin`.
absl::StatusOr<Identity> Authenticate(const HttpRequest& request, const Credential& credential,
                                      const Authenticator& authenticator,
                                      const OriginList& origins);

// The values of Set-Cookie that begin and end such a cookie: no script can read it, no other site
// can have it sent, and it goes over TLS, or to this machine, alone.
std::string TokenCookie(absl::string_view token, absl::Duration max_age);
std::string NoTokenCookie();

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_CREDENTIAL_H_
