#include "ws_gateway/maybe_tls_stream.h"

#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

namespace agentdesk::gateway {
namespace {

namespace net = boost::asio;
using Outcome = TlsSession::Outcome;

bool Waits(Outcome outcome) {
  return outcome == Outcome::kNeedsInput || outcome == Outcome::kNeedsRoom;
}

boost::system::error_code ErrorOf(Outcome outcome) {
  if (outcome == Outcome::kDone) return {};
  if (outcome == Outcome::kEnd) return net::error::eof;
  return net::error::connection_reset;
}

}  // namespace

template <typename Then>
void MaybeTlsStream::Await(Outcome need, Then then) {
  socket_.async_wait(
      need == Outcome::kNeedsRoom ? net::socket_base::wait_write : net::socket_base::wait_read,
      [this, then = std::move(then)](ErrorCode error) mutable {
        // A wait may have been over when the socket was closed, and another connection has its
        // descriptor by now perhaps.
        if (!socket_.is_open()) error = net::error::operation_aborted;
        then(error);
      });
}

void MaybeTlsStream::StartTls(std::unique_ptr<TlsSession> tls,
                              absl::AnyInvocable<void(Outcome)> done) {
  tls_ = std::move(tls);
  ErrorCode ignored;
  socket_.native_non_blocking(true, ignored);
  Shake(std::move(done));
}

void MaybeTlsStream::Shake(absl::AnyInvocable<void(Outcome)> done) {
  const Outcome outcome = tls_->Handshake();
  if (!Waits(outcome)) {
    net::post(get_executor(), [done = std::move(done), outcome]() mutable { done(outcome); });
    return;
  }
  Await(outcome, [this, done = std::move(done)](ErrorCode error) mutable {
    if (error) return done(Outcome::kBroken);
    Shake(std::move(done));
  });
}

void MaybeTlsStream::ReadTls(net::mutable_buffer buffer, Done done) {
  size_t got = 0;
  const Outcome outcome = buffer.size() == 0
                              ? Outcome::kDone
                              : tls_->Read(static_cast<char*>(buffer.data()), buffer.size(), got);
  if (!Waits(outcome)) {
    net::post(get_executor(),
              [done = std::move(done), outcome, got]() mutable { done(ErrorOf(outcome), got); });
    return;
  }
  Await(outcome, [this, buffer, done = std::move(done)](ErrorCode error) mutable {
    if (error) return done(error, 0);
    ReadTls(buffer, std::move(done));
  });
}

void MaybeTlsStream::WriteTls(std::string record, Done done) {
  Outcome outcome = tls_->Flush();
  if (outcome == Outcome::kNeedsRoom) {
    Await(outcome,
          [this, record = std::move(record), done = std::move(done)](ErrorCode error) mutable {
            if (error) return done(error, 0);
            WriteTls(std::move(record), std::move(done));
          });
    return;
  }
  if (outcome == Outcome::kDone && !record.empty()) outcome = tls_->Write(record);
  EndWrite(outcome, record.size(), std::move(done));
}

void MaybeTlsStream::EndWrite(Outcome outcome, size_t size, Done done) {
  if (outcome == Outcome::kDone) outcome = tls_->Flush();
  if (outcome != Outcome::kNeedsRoom) {
    net::post(get_executor(),
              [done = std::move(done), outcome, size]() mutable { done(ErrorOf(outcome), size); });
    return;
  }
  Await(outcome, [this, size, done = std::move(done)](ErrorCode error) mutable {
    if (error) return done(error, 0);
    EndWrite(Outcome::kDone, size, std::move(done));
  });
}

void MaybeTlsStream::SendAndForget(absl::string_view bytes) {
  if (tls_ != nullptr) {
    if (tls_->Flush() == Outcome::kDone) tls_->Write(bytes);
    return;
  }
  [[maybe_unused]] const ssize_t sent =
      ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void MaybeTlsStream::ShutdownSend() {
  if (tls_ != nullptr) tls_->End();
  ErrorCode ignored;
  socket_.shutdown(net::socket_base::shutdown_send, ignored);
}

void MaybeTlsStream::Close() {
  if (tls_ != nullptr) tls_->End();
  ErrorCode ignored;
  socket_.close(ignored);
}

}  // namespace agentdesk::gateway
