#ifndef AGENTDESK_WS_GATEWAY_FRAME_H_
#define AGENTDESK_WS_GATEWAY_FRAME_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace agentdesk::gateway {

// One or more complete WebSocket frames (RFC 6455 section 5.2: server to client, so unmasked; text,
// FIN) back to back, ready for the wire. The bytes are immutable and shared by every connection
// that gets them, so an event is encoded once however many browsers there are. Thread-safe to copy
// and read.
struct Frames {
  std::shared_ptr<const std::string> owner;  // keeps `bytes` alive
  absl::string_view bytes;                   // whole frames within *owner
  // The position that a connection has reached once the last byte is written; 0: moves nothing.
  int64_t sequence = 0;
};

// Appends one text frame that holds `payload` to `out`.
void AppendTextFrame(absl::string_view payload, std::string& out);

// A frame of its own for a message to one connection.
Frames MakeFrame(absl::string_view payload);

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_FRAME_H_
