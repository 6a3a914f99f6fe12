#include "ws_gateway/maybe_tls_stream.h"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>
#include <memory>
#include <optional>

#include "gtest/gtest.h"
#include "ws_gateway/tls_session.h"

namespace agentdesk::gateway {
namespace {

using Pair = std::array<int, 2>;

Pair Connected() {
  Pair ends = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
  return ends;
}

// Where two waits of a socket are over at once, the second one's handler runs later, whatever the
// first one's did: by then another connection may have the number of the descriptor.
TEST(MaybeTlsStreamTest, ReadsNothingOfWhoeverHasItsDescriptorNow) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  boost::asio::io_context io;
  const Pair first = Connected();
  MaybeTlsStream stream(TcpSocket(io, boost::asio::ip::tcp::v4(), first[0]));
  std::optional<TlsSession::Outcome> outcome;
  stream.StartTls(std::make_unique<TlsSession>(*context, first[0]),
                  [&](TlsSession::Outcome how) { outcome = how; });
  ASSERT_EQ(::send(first[1], "x", 1, 0), 1);
  Pair second = {-1, -1};
  stream.socket().async_wait(boost::asio::socket_base::wait_write,
                             [&](const MaybeTlsStream::ErrorCode& /*error*/) {
                               EXPECT_FALSE(outcome.has_value());
                               stream.Close();
                               second = Connected();
                               EXPECT_EQ(::send(second[1], "of somebody else", 16, 0), 16);
                             });
  io.run();
  ASSERT_EQ(second[0], first[0]);
  EXPECT_EQ(outcome, TlsSession::Outcome::kBroken);
  std::array<char, 32> bytes;
  EXPECT_EQ(::recv(second[0], bytes.data(), bytes.size(), 0), 16);
  for (const int fd : {second[0], second[1], first[1]}) ::close(fd);
}

}  // namespace
}  // namespace agentdesk::gateway
