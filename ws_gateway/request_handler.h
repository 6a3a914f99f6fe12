#ifndef AGENTDESK_WS_GATEWAY_REQUEST_HANDLER_H_
#define AGENTDESK_WS_GATEWAY_REQUEST_HANDLER_H_

#include "ws_gateway/transport.h"

namespace agentdesk::gateway {

// Answers what is no WebSocket. Belongs to its shard's thread.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  virtual void OnRequest(HttpRequest request, Responder respond) = 0;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_REQUEST_HANDLER_H_
