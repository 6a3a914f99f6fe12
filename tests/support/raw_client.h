#ifndef AGENTDESK_TESTS_SUPPORT_RAW_CLIENT_H_
#define AGENTDESK_TESTS_SUPPORT_RAW_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace agentdesk::testing {

// How a connection ended, as far as its client can tell.
enum class Ending { kOpen, kClosed, kReset, kTimedOut };

// A frame as it came from the server.
struct ReceivedFrame {
  uint8_t first_byte = 0;  // FIN, reserved bits and opcode
  std::string payload;

  int opcode() const { return first_byte & 0x0f; }
  // Of a close frame: its code, 1005 if it has none.
  int close_code() const;
  std::string close_reason() const;
  friend bool operator==(const ReceivedFrame&, const ReceivedFrame&) = default;
};

struct ReceivedResponse {
  int status = 0;    // 0: none came
  std::string head;  // status line and headers
  std::string body;

  // The value of the first header of that name, in any case; empty when absent.
  std::string Header(absl::string_view name) const;
};

// First bytes of frames: FIN and the opcode.
inline constexpr uint8_t kTextFrame = 0x81;
inline constexpr uint8_t kBinaryFrame = 0x82;
inline constexpr uint8_t kCloseFrame = 0x88;
inline constexpr uint8_t kPingFrame = 0x89;
inline constexpr uint8_t kPongFrame = 0x8a;

// A client's frame, masked and with the shortest length there is.
std::string ClientFrame(uint8_t first_byte, absl::string_view payload);
// The payload of a close frame.
std::string ClosePayload(int code, absl::string_view reason = "");

// A blocking TCP client that sends exactly what it is told, so that a server can be shown what no
// well-behaved client sends. Gives up waiting after a minute. Each of the two directions may be
// used by a thread of its own.
class RawClient {
 public:
  // Connects to 127.0.0.1. `receive_buffer_bytes` (0: the system's) makes a slow reader of one that
  // does not read. `from`: the client's own address, as 127.0.0.7 (empty: the system chooses).
  explicit RawClient(uint16_t port, int receive_buffer_bytes = 0, const std::string& from = "");
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient();

  bool connected() const { return connected_; }
  // Sends all of it; false when the server has gone.
  bool Send(absl::string_view bytes);
  void HalfClose();
  // Closes with a reset.
  void Abort();

  // Opens a WebSocket; `headers` are added, each with its CRLF.
  bool Handshake(absl::string_view headers = "");
  bool SendFrame(uint8_t first_byte, absl::string_view payload) {
    return Send(ClientFrame(first_byte, payload));
  }

  // The next frame, or none at the end of the connection: see ending().
  std::optional<ReceivedFrame> ReadFrame();
  // `to_head`: no body follows, whatever Content-Length says.
  ReceivedResponse ReadResponse(bool to_head = false);
  // Whether something has come, or the connection has ended, within `patience`. Reads nothing.
  bool WaitForInput(std::chrono::milliseconds patience) const;
  // All that comes until the connection ends.
  std::string ReadAll();
  // Discards what comes until the connection ends.
  Ending ReadToEnd();
  // Waits for a reset, without reading.
  bool WaitForReset();
  Ending ending() const { return ending_; }
  int fd() const { return fd_; }

 private:
  // Has at least `size` bytes in input_, or the connection has ended.
  bool Fill(size_t size);

  int fd_ = -1;
  bool connected_ = false;
  std::string input_;
  Ending ending_ = Ending::kOpen;
};

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_RAW_CLIENT_H_
