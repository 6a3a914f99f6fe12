#ifndef AGENTDESK_WS_GATEWAY_STREAM_CONNECTION_H_
#define AGENTDESK_WS_GATEWAY_STREAM_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "ws_gateway/maybe_tls_stream.h"
#include "ws_gateway/outbox_connection.h"

namespace agentdesk::gateway {

// An HTTP response whose body a handler writes for as long as it likes. The end of the connection
// is the end of the body (RFC 9112 section 6.3), so what is sent needs no framing of its own and
// can be shared by all. Belongs to the transport's thread.
class StreamConnection final : public OutboxConnection {
 public:
  // `options` must outlive the connection; `handler` is not null.
  StreamConnection(const TransportOptions& options, MaybeTlsStream stream,
                   std::unique_ptr<SocketHandler> handler);

  // Writes the response's head, then opens the handler. Once, when the connection is in its set.
  void Start(std::string head);

  // There is no close frame: the peer sees the body end.
  void Close(uint16_t code, absl::string_view reason, bool drop_queue) override;
  void Sweep(Clock::time_point now) override;

 private:
  MaybeTlsStream& stream() override { return stream_; }

  MaybeTlsStream stream_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_STREAM_CONNECTION_H_
