#ifndef AGENTDESK_WS_GATEWAY_OUTBOX_CONNECTION_H_
#define AGENTDESK_WS_GATEWAY_OUTBOX_CONNECTION_H_

#include <cstdint>
#include <memory>

#include "ws_gateway/connection_set.h"
#include "ws_gateway/frame.h"
#include "ws_gateway/outbox.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {

// A connection that a handler writes to at any time, through an outbox: what a WebSocket and a
// streamed response have in common. The reading is for the derived class.
// Belongs to the transport's thread.
class OutboxConnection : public TcpConnection, public Socket {
 public:
  using Socket::Send;
  bool Send(const Frames& frames, int64_t mark) override;
  int64_t written_mark() const override { return outbox_.written_mark(); }
  size_t queued_bytes() const override { return outbox_.queued_bytes(); }
  void Drop() override;

 protected:
  enum class Phase : uint8_t {
    kHandshake,  // the handler has not been told of the socket
    kOpen,
    kClosing,    // the end is queued or written, or writing has failed
    kLingering,  // nothing is read: what is queued is written, what comes discarded
    kGone,       // the socket is closed
  };

  // `options` must outlive the connection. Without a handler nobody is told anything.
  OutboxConnection(const TransportOptions& options, std::unique_ptr<SocketHandler> handler);

  // Once, when the handler may be told of the socket.
  void Open();
  bool closing() const { return phase_ == Phase::kClosing || phase_ == Phase::kLingering; }
  void Queue(Frames frames, int64_t mark = 0, size_t written = 0);
  // Whether the kernel has all that was queued.
  bool flushed() {
    return outbox_.empty() && (stream().tls() == nullptr || stream().tls()->flushed());
  }
  // Closes the connection when what waits is too old.
  void CloseIfSlow(Clock::time_point now);
  // The peer is lost: ends with a reset.
  void Abandon();
  void NotifyClosed();

  const TransportOptions& options_;
  std::unique_ptr<SocketHandler> handler_;
  Outbox outbox_;
  Phase phase_ = Phase::kHandshake;
  uint16_t close_code_ = 0;  // 0: none was sent or received

 private:
  void Flush();
  void OnTurn() override;
  void CloseSlowReader();

  // Of an open socket without TLS. The stream that owns it lies where a broadcast would have to
  // wait for its memory.
  int bare_fd_ = -1;
  bool waits_for_room_ = false;  // and then for its turn
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_OUTBOX_CONNECTION_H_
