#include "ws_gateway/outbox_connection.h"

#include <boost/system/error_code.hpp>
#include <utility>

namespace agentdesk::gateway {
namespace {

constexpr uint16_t kAbnormal = 1006;
constexpr uint16_t kReadTooSlowly = 4430;

}  // namespace

OutboxConnection::OutboxConnection(const TransportOptions& options,
                                   std::unique_ptr<SocketHandler> handler)
    : options_(options), handler_(std::move(handler)) {}

void OutboxConnection::Open() {
  phase_ = Phase::kOpen;
  if (stream().tls() == nullptr) bare_fd_ = stream().socket().native_handle();
}

bool OutboxConnection::Send(const Frames& frames, int64_t mark) {
  if (phase_ != Phase::kOpen) return false;
  size_t written = 0;
  if (bare_fd_ >= 0) {
    // The usual case: all of it is written, and there is nothing to keep.
    written = outbox_.WriteThrough(bare_fd_, frames, mark);
    if (written == frames.bytes.size()) return true;
  }
  Queue(frames, mark, written);
  return outbox_.written_mark() >= mark;
}

void OutboxConnection::Drop() {
  phase_ = Phase::kGone;
  Leave();
  NotifyClosed();
}

void OutboxConnection::Abandon() {
  phase_ = Phase::kGone;
  Reset();
  NotifyClosed();
}

void OutboxConnection::Queue(Frames frames, int64_t mark, size_t written) {
  outbox_.Append(std::move(frames), mark, Clock::now(), written);
  if (!waits_for_room_) Flush();
  SetQueued(outbox_.cost());
  if (phase_ == Phase::kOpen && outbox_.cost() > options_.max_queued_bytes) CloseSlowReader();
}

void OutboxConnection::Flush() {
  TlsSession* const tls = stream().tls();
  TcpSocket& socket = stream().socket();
  if (tls == nullptr ? outbox_.Flush(socket.native_handle()) : outbox_.Flush(*tls)) {
    // The read under way will meet the same fate, after what the peer has sent before, perhaps a
    // close frame; so the connection ends there. That also keeps Send from calling the handler.
    outbox_.Clear();
    if (!closing()) {
      phase_ = Phase::kClosing;
      ExpectWithin(options_.close_timeout);
    }
    return;
  }
  if (flushed()) return;
  waits_for_room_ = true;
  socket.async_wait(boost::asio::socket_base::wait_write,
                    [this, self = shared_from_this()](const boost::system::error_code& /*error*/) {
                      AwaitTurn();
                    });
}

void OutboxConnection::OnTurn() {
  waits_for_room_ = false;
  Flush();
  SetQueued(outbox_.cost());
  if (!flushed()) return;
  if (phase_ == Phase::kOpen) handler_->OnDrained();
  if (phase_ == Phase::kLingering) HalfClose();
}

void OutboxConnection::CloseIfSlow(Clock::time_point now) {
  if (!outbox_.empty() && now - outbox_.oldest() >= options_.max_queue_age) CloseSlowReader();
}

void OutboxConnection::CloseSlowReader() { Close(kReadTooSlowly, "read too slowly: resume", true); }

void OutboxConnection::NotifyClosed() {
  if (handler_ == nullptr) return;
  const std::unique_ptr<SocketHandler> handler = std::move(handler_);
  handler->OnClosed(close_code_ == 0 ? kAbnormal : close_code_);
}

}  // namespace agentdesk::gateway
