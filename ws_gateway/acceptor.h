#ifndef AGENTDESK_WS_GATEWAY_ACCEPTOR_H_
#define AGENTDESK_WS_GATEWAY_ACCEPTOR_H_

#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ws_gateway/tcp.h"

namespace agentdesk::gateway {

// Listens on one address and accepts connections until it is stopped, also through exhaustion of
// descriptors or memory: then it refuses one waiting connection, pauses for 100 ms and goes on.
//
// Belongs to the thread that runs the io_context.
class Acceptor {
 public:
  // `remote_address` is without the port.
  using OnConnection = absl::AnyInvocable<void(TcpSocket socket, std::string remote_address)>;

  // `refusal` is sent to a connection that there is no descriptor for. `io` must outlive the
  // acceptor.
  Acceptor(boost::asio::io_context& io, std::string refusal, OnConnection on_connection);
  ~Acceptor();

  // As Transport::Listen.
  absl::StatusOr<uint16_t> Listen(absl::string_view address, bool share_port);
  void Stop();

 private:
  void Accept();
  void OnAccepted(boost::system::error_code error, TcpSocket socket);
  void RefuseOne();
  void Pause();

  boost::asio::io_context& io_;
  const std::string refusal_;
  OnConnection on_connection_;
  TcpAcceptor acceptor_;
  boost::asio::ip::tcp::endpoint peer_;
  boost::asio::steady_timer pause_;
  bool exhausted_ = false;
  // Given up for a moment when descriptors run out, to take a connection and refuse it.
  int spare_descriptor_ = -1;
  // Callbacks may run after the destructor; this tells them.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_ACCEPTOR_H_
