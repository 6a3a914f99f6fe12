#ifndef AGENTDESK_WS_GATEWAY_MAYBE_TLS_STREAM_H_
#define AGENTDESK_WS_GATEWAY_MAYBE_TLS_STREAM_H_

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "ws_gateway/tcp.h"
#include "ws_gateway/tls_session.h"

namespace agentdesk::gateway {

// A TCP socket, with TLS over it or without. Without, each operation is the socket's own.
//
// Beast's operations see one type, so they are compiled once; with TLS the handler of an operation
// is kept behind a pointer, which costs little beside encrypting. Only to be moved while no
// operation is under way; an operation's handler must keep the stream alive.
// Belongs to the thread that runs its socket's io_context.
class MaybeTlsStream {
 public:
  using executor_type = TcpExecutor;
  using ErrorCode = boost::system::error_code;

  explicit MaybeTlsStream(TcpSocket socket) : socket_(std::move(socket)) {}

  executor_type get_executor() noexcept { return socket_.get_executor(); }
  TcpSocket& socket() { return socket_; }
  // Null without TLS.
  TlsSession* tls() { return tls_.get(); }

  // From now on there is TLS. `done` is told how its handshake has ended: kDone, or kEnd or
  // kBroken.
  void StartTls(std::unique_ptr<TlsSession> tls,
                absl::AnyInvocable<void(TlsSession::Outcome)> done);

  // As of the concepts AsyncReadStream and AsyncWriteStream of Asio. What a write has taken is with
  // the kernel when it is done.
  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_ == nullptr) {
      socket_.async_read_some(buffers, std::forward<Handler>(handler));
    } else {
      ReadTls(FirstOf(buffers), Erased(std::forward<Handler>(handler)));
    }
  }
  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_ == nullptr) {
      socket_.async_write_some(buffers, std::forward<Handler>(handler));
    } else {
      std::string record(std::min(boost::asio::buffer_size(buffers), TlsSession::kMaxRecord), '\0');
      boost::asio::buffer_copy(boost::asio::buffer(record), buffers);
      WriteTls(std::move(record), Erased(std::forward<Handler>(handler)));
    }
  }

  // For a few bytes that may be lost, while no other write is under way.
  void SendAndForget(absl::string_view bytes);
  // Says that nothing more will be written.
  void ShutdownSend();
  void Close();

 private:
  using Done = absl::AnyInvocable<void(ErrorCode, size_t)>;

  template <typename Handler>
  static Done Erased(Handler&& handler) {
    return [handler = std::decay_t<Handler>(std::forward<Handler>(handler))](
               ErrorCode error, size_t size) mutable { handler(error, size); };
  }
  template <typename Buffers>
  static boost::asio::mutable_buffer FirstOf(const Buffers& buffers) {
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (auto part = boost::asio::buffer_sequence_begin(buffers); part != end; ++part) {
      const boost::asio::mutable_buffer buffer = *part;
      if (buffer.size() > 0) return buffer;
    }
    return {};
  }

  void Shake(absl::AnyInvocable<void(TlsSession::Outcome)> done);
  void ReadTls(boost::asio::mutable_buffer buffer, Done done);
  void WriteTls(std::string record, Done done);
  void EndWrite(TlsSession::Outcome outcome, size_t size, Done done);
  // Calls `then` when the socket is ready for what an operation needs.
  template <typename Then>
  void Await(TlsSession::Outcome need, Then then);

  TcpSocket socket_;
  std::unique_ptr<TlsSession> tls_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_MAYBE_TLS_STREAM_H_
