#include "ws_gateway/stream_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <utility>

namespace agentdesk::gateway {

StreamConnection::StreamConnection(const TransportOptions& options, MaybeTlsStream stream,
                                   std::unique_ptr<SocketHandler> handler)
    : OutboxConnection(options, std::move(handler)), stream_(std::move(stream)) {}

void StreamConnection::Start(std::string head) {
  // HTTP has no pings. What the handler sends from time to time is acknowledged by the peer's
  // kernel, or the peer is lost.
  const auto patience =
      static_cast<unsigned>((options_.ping_interval + options_.pong_timeout).count());
  ::setsockopt(stream_.socket().native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &patience,
               sizeof(patience));
  Queue(OwnFrames(std::move(head)));
  boost::asio::post(stream_.get_executor(), [this, self = shared_from_this()] {
    if (gone() || phase_ != Phase::kHandshake) return;
    Open();
    handler_->OnOpen(*this);
  });
  Discard();
}

void StreamConnection::Close(uint16_t code, absl::string_view /*reason*/, bool drop_queue) {
  if (phase_ != Phase::kOpen) return;
  phase_ = Phase::kLingering;
  close_code_ = code;
  ExpectWithin(options_.close_timeout);
  if (drop_queue) outbox_.Clear();
  SetQueued(outbox_.cost());
  if (flushed()) HalfClose();
}

void StreamConnection::Sweep(Clock::time_point now) {
  if (overdue(now)) return Abandon();
  if (phase_ == Phase::kOpen) CloseIfSlow(now);
}

}  // namespace agentdesk::gateway
