#ifndef AGENTDESK_WS_GATEWAY_SERVER_H_
#define AGENTDESK_WS_GATEWAY_SERVER_H_

#include <csignal>

#include "absl/status/status.h"
#include "ws_gateway/config.h"

namespace agentdesk::gateway {

// Runs the gateway until one of `signals` comes, which the caller has blocked in every thread, and
// then drains it. From there on the signals are no longer blocked, so that the next one ends the
// process at once.
absl::Status Serve(const Config& config, const sigset_t& signals);

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_SERVER_H_
