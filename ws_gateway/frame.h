#ifndef AGENTDESK_WS_GATEWAY_FRAME_H_
#define AGENTDESK_WS_GATEWAY_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace agentdesk::gateway {

// One or more complete WebSocket frames (RFC 6455 section 5.2: server to client, so unmasked; FIN)
// back to back, ready for the wire. The bytes are immutable and shared by every connection that
// gets them, so an event is encoded once however many browsers there are. Thread-safe to copy and
// read.
struct Frames {
  std::shared_ptr<const std::string> owner;  // keeps `bytes` alive
  absl::string_view bytes;                   // whole frames within *owner
};

enum class Opcode : uint8_t { kText = 0x1, kBinary = 0x2, kClose = 0x8, kPing = 0x9 };

// Appends one frame that holds `payload` to `out`.
void AppendFrame(Opcode opcode, absl::string_view payload, std::string& out);
inline void AppendTextFrame(absl::string_view payload, std::string& out) {
  AppendFrame(Opcode::kText, payload, out);
}

// A frame of its own for a message to one connection.
Frames MakeFrame(absl::string_view payload, Opcode opcode = Opcode::kText);

// The same for bytes that are whole frames already.
Frames OwnFrames(std::string bytes);

// A close frame. A reason longer than the 123 bytes of room is cut between characters.
Frames MakeCloseFrame(uint16_t code, absl::string_view reason);

// The payload of the frame that `bytes`, whole frames of the server's, begins with.
absl::string_view FirstPayload(absl::string_view bytes);

// Appends one Server-Sent Event (HTML Standard section 9.2.5) whose data is `data`; a line feed or
// carriage return in it, which only JSON's blanks can have, arrives as a line feed. The client
// resumes after the last `id`; empty: after the one before.
void AppendServerSentEvent(absl::string_view id, absl::string_view data, std::string& out);

// Where the frame ends that byte `offset` of `bytes` is in the midst of: the smallest end of a
// whole frame that is not before `offset`. `bytes` holds whole frames; `offset` is at most their
// size.
size_t FrameEnd(absl::string_view bytes, size_t offset);

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_FRAME_H_
