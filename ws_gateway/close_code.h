#ifndef AGENTDESK_WS_GATEWAY_CLOSE_CODE_H_
#define AGENTDESK_WS_GATEWAY_CLOSE_CODE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace agentdesk::gateway {

// The close codes that this side chooses (RFC 6455 section 7.4, and our own from 4000). 4000 to
// 4499: come back; 4500 to 4999: do not.
inline constexpr uint16_t kCloseRestart = 1012;  // restart, drain, or a stream that cannot go on
inline constexpr absl::string_view kRestarts = "the gateway restarts";
inline constexpr uint16_t kCloseBusy = 1013;        // the reason says when to come back
inline constexpr uint16_t kCloseTokenEnded = 4401;  // none came, or it ran out: get a fresh one
inline constexpr absl::string_view kTokenRanOut = "the token ran out: come back with a fresh one";
inline constexpr uint16_t kCloseTooMany = 4429;  // messages or connections; the reason says when
inline constexpr uint16_t kCloseTooSlow = 4430;
inline constexpr absl::string_view kReadTooSlowly = "read too slowly: resume";
inline constexpr uint16_t kCloseTokenInvalid = 4501;
inline constexpr uint16_t kCloseForbidden = 4503;

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_CLOSE_CODE_H_
