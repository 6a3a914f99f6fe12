#include "ws_gateway/connection_set.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

namespace agentdesk::gateway {
namespace {

namespace net = boost::asio;
using ErrorCode = boost::system::error_code;

// How often connections are looked at, so that what is due is late by an eighth.
std::chrono::milliseconds SweepInterval(const TransportOptions& options) {
  using std::chrono::milliseconds;
  const milliseconds shortest =
      std::min({options.max_queue_age, options.handshake_timeout, options.request_timeout,
                options.keep_alive_timeout, options.ping_interval, options.pong_timeout,
                options.close_timeout, options.message_timeout});
  return std::clamp(shortest / 8, milliseconds(5), milliseconds(500));
}

}  // namespace

void TcpConnection::AwaitTurn() {
  if (gone()) return;
  set_->turns_.push_back(shared_from_this());
  if (set_->turns_.size() == 1) set_->PostTurn();
}

void TcpConnection::SetQueued(size_t bytes) {
  if (gone()) return;
  set_->queued_ += bytes;
  set_->queued_ -= queued_;
  queued_ = bytes;
}

std::optional<Refusal> TcpConnection::Admit() {
  if (admitted_) return std::nullopt;
  if (!place_.Admit()) return Refusal::kConnectionsOfAddress;
  if (set_->admitted_ >= set_->max_admitted_) return Refusal::kConnections;
  admitted_ = true;
  ++set_->admitted_;
  return std::nullopt;
}

void TcpConnection::PassTo(std::shared_ptr<TcpConnection> successor) {
  successor->set_ = std::exchange(set_, nullptr);
  successor->slot_ = slot_;
  successor->admitted_ = admitted_;
  successor->place_ = std::move(place_);
  ConnectionSet& set = *successor->set_;
  set.connections_[slot_] = std::move(successor);
}

void TcpConnection::Leave() {
  if (gone()) return;
  stream().Close();
  std::exchange(set_, nullptr)->Remove(*this);
}

void TcpConnection::Reset() {
  if (gone()) return;
  ErrorCode ignored;
  stream().socket().set_option(net::socket_base::linger(true, 0), ignored);
  Leave();
}

void TcpConnection::HalfClose() { stream().ShutdownSend(); }

void TcpConnection::Discard() {
  stream().socket().async_wait(net::socket_base::wait_read,
                               [this, self = shared_from_this()](ErrorCode error) {
                                 if (gone()) return;
                                 if (error || !DiscardSome()) return Drop();
                                 Discard();
                               });
}

// False: the peer has closed, or is lost.
bool TcpConnection::DiscardSome() {
  constexpr int kMaxReads = 16;  // then the others get their turn
  std::array<char, 16 * 1024> bytes;
  const int fd = stream().socket().native_handle();
  for (int i = 0; i < kMaxReads; ++i) {
    const ssize_t size = ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (size == 0) return false;
  }
  return true;
}

ConnectionSet::ConnectionSet(net::io_context& io, const TransportOptions& options)
    : sweep_interval_(SweepInterval(options)), max_admitted_(options.max_connections), timer_(io) {}

ConnectionSet::~ConnectionSet() {
  while (!connections_.empty()) {
    const std::shared_ptr<TcpConnection> connection = connections_.back();
    connection->Drop();
  }
}

void ConnectionSet::Add(std::shared_ptr<TcpConnection> connection, AddressLimit::Place place) {
  connection->set_ = this;
  connection->place_ = std::move(place);
  connection->slot_ = connections_.size();
  connections_.push_back(std::move(connection));
  ArmSweep();
}

void ConnectionSet::RemoveIdle() {
  for (const auto& connection : std::vector(connections_)) connection->LeaveIfIdle();
}

void ConnectionSet::AddBacklogs(std::vector<Backlog>& backlogs) const {
  for (const std::shared_ptr<TcpConnection>& connection : connections_) {
    if (!connection->writes_response()) continue;
    backlogs.push_back({connection->queued_, [connection] { connection->Reset(); }});
  }
}

void ConnectionSet::Remove(TcpConnection& connection) {
  if (connection.admitted_) --admitted_;
  queued_ -= connection.queued_;
  // An operation that was cancelled may keep the connection itself for a moment.
  connection.place_ = {};
  const size_t slot = connection.slot_;
  std::swap(connections_[slot], connections_.back());
  connections_[slot]->slot_ = slot;
  connections_.pop_back();
}

// What is posted runs after all that was ready before it, and after a look at what else has become
// ready.
void ConnectionSet::PostTurn() {
  net::post(timer_.get_executor(), [this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    const std::shared_ptr<TcpConnection> connection = std::move(turns_.front());
    turns_.pop_front();
    if (!turns_.empty()) PostTurn();
    if (!connection->gone()) connection->OnTurn();
  });
}

void ConnectionSet::ArmSweep() {
  if (armed_ || connections_.empty()) return;
  armed_ = true;
  timer_.expires_after(sweep_interval_);
  timer_.async_wait([this, alive = std::weak_ptr<char>(alive_)](ErrorCode) {
    if (alive.expired()) return;
    armed_ = false;
    Sweep();
    ArmSweep();
  });
}

void ConnectionSet::Sweep() {
  const auto now = TcpConnection::Clock::now();
  // Backwards: in the place of one that leaves comes the last one, which has had its turn then.
  for (size_t slot = connections_.size(); slot-- > 0;) {
    if (slot >= connections_.size()) continue;
    const std::shared_ptr<TcpConnection> connection = connections_[slot];
    connection->Sweep(now);
  }
}

}  // namespace agentdesk::gateway
