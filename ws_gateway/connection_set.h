#ifndef AGENTDESK_WS_GATEWAY_CONNECTION_SET_H_
#define AGENTDESK_WS_GATEWAY_CONNECTION_SET_H_

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "ws_gateway/address_limit.h"
#include "ws_gateway/maybe_tls_stream.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {

class ConnectionSet;

// An accepted socket in a ConnectionSet: how it ends, and its deadline.
//
// The set owns it, and so does each of its asynchronous operations, whose buffers are within it:
// Asio calls back after a cancellation too, when the set and all else may be gone. Then gone()
// holds, and nothing but the members may be touched.
class TcpConnection : public std::enable_shared_from_this<TcpConnection> {
 public:
  using Clock = std::chrono::steady_clock;

  TcpConnection() = default;
  TcpConnection(const TcpConnection&) = delete;
  TcpConnection& operator=(const TcpConnection&) = delete;
  virtual ~TcpConnection() = default;

  // Called again and again: do what is due by `now`.
  virtual void Sweep(Clock::time_point now) = 0;
  // End now: the set is being destroyed, or the peer is gone.
  virtual void Drop() = 0;
  // Leave the set unless there is something to be done first.
  virtual void LeaveIfIdle() {}
  // See AwaitTurn.
  virtual void OnTurn() {}
  // Whether what waits to be written here is a response as a whole.
  virtual bool writes_response() const { return false; }

 protected:
  static constexpr auto kNever = Clock::time_point::max();

  virtual MaybeTlsStream& stream() = 0;

  bool gone() const { return set_ == nullptr; }
  void ExpectWithin(std::chrono::milliseconds timeout) { deadline_ = Clock::now() + timeout; }
  void ExpectNothing() { deadline_ = kNever; }
  bool overdue(Clock::time_point now) const { return now >= deadline_; }

  // Has OnTurn called, once. For what takes long and nobody waits for at once: all connections take
  // turns at it, one at a time, and between two turns the thread does whatever else is ready.
  void AwaitTurn();
  // So much waits to be written here now.
  void SetQueued(size_t bytes);
  // Counts this connection against the limits of its address and of the set; which of them has no
  // room, if any. Once is enough.
  std::optional<Refusal> Admit();
  // Gives `successor` this connection's place, once its stream has been moved there.
  void PassTo(std::shared_ptr<TcpConnection> successor);

  // Closes the socket and leaves the set. The caller holds a reference to *this, here and below.
  void Leave();
  // The same with a reset, so that the kernel keeps nothing for a peer that does not listen.
  void Reset();
  void HalfClose();
  // Discards what arrives until the peer closes, then drops the connection. To close with unread
  // input would be a reset, which overtakes what was written last: the peer would never learn why.
  void Discard();

 private:
  friend class ConnectionSet;

  bool DiscardSome();

  ConnectionSet* set_ = nullptr;
  size_t slot_ = 0;
  bool admitted_ = false;
  AddressLimit::Place place_;
  size_t queued_ = 0;
  Clock::time_point deadline_ = kNever;
};

// The open connections of one thread and the one timer that serves them all: at any number, a sweep
// costs less than a timer for each.
class ConnectionSet {
 public:
  // `io` must outlive the set.
  ConnectionSet(boost::asio::io_context& io, const TransportOptions& options);
  // Drops every connection.
  ~ConnectionSet();

  // `place`: the connection's, until it leaves.
  void Add(std::shared_ptr<TcpConnection> connection, AddressLimit::Place place);
  void RemoveIdle();
  size_t size() const { return connections_.size(); }
  // What waits to be written to all of them.
  size_t queued() const { return queued_; }
  // See Transport::AddBacklogs.
  void AddBacklogs(std::vector<Backlog>& backlogs) const;

 private:
  friend class TcpConnection;

  void Remove(TcpConnection& connection);
  void PostTurn();
  void ArmSweep();
  void Sweep();

  const std::chrono::milliseconds sweep_interval_;
  const size_t max_admitted_;
  boost::asio::steady_timer timer_;
  bool armed_ = false;
  size_t admitted_ = 0;
  size_t queued_ = 0;
  // Each connection knows its slot; removal moves the last one there.
  std::vector<std::shared_ptr<TcpConnection>> connections_;
  std::deque<std::shared_ptr<TcpConnection>> turns_;
  // The timer's callback and a turn's may run after the destructor; this tells it.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_CONNECTION_SET_H_
