#ifndef AGENTDESK_WS_GATEWAY_GATEWAY_STATE_H_
#define AGENTDESK_WS_GATEWAY_GATEWAY_STATE_H_

#include <atomic>

namespace agentdesk::gateway {

// What the probes tell. Thread-safe.
struct GatewayState {
  std::atomic<bool> core_live{false};  // the stream of events from the core is up
  std::atomic<bool> draining{false};

  bool ready() const { return core_live && !draining; }
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_GATEWAY_STATE_H_
