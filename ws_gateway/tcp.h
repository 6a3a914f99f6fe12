#ifndef AGENTDESK_WS_GATEWAY_TCP_H_
#define AGENTDESK_WS_GATEWAY_TCP_H_

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace agentdesk::gateway {

// Sockets with the concrete executor: the type-erased default costs memory and time in each
// operation.
using TcpExecutor = boost::asio::io_context::executor_type;
using TcpSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, TcpExecutor>;
using TcpAcceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, TcpExecutor>;

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_TCP_H_
