#include "ws_gateway/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <cerrno>
#include <new>

namespace agentdesk::gateway {
namespace {

// A peer that makes OpenSSL answer, as with updates of keys, and does not read, ends here. Our own
// flights of a handshake are far smaller, and our records are written one at a time.
constexpr size_t kMaxRest = 128 * 1024;

// What of `data` the socket takes now; negative: it is broken.
ssize_t SendNow(int fd, const char* data, size_t size) {
  while (true) {
    const ssize_t sent = ::send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return -1;
  }
}

}  // namespace

TlsSession::TlsSession(SSL_CTX& context, int fd) : fd_(fd), ssl_(SSL_new(&context)) {
  BIO* const output = BIO_new(Output());
  if (ssl_ == nullptr || output == nullptr || SSL_set_rfd(ssl_.get(), fd) != 1) {
    BIO_free(output);
    throw std::bad_alloc();
  }
  BIO_set_data(output, this);
  BIO_set_init(output, 1);
  SSL_set0_wbio(ssl_.get(), output);
  SSL_set_accept_state(ssl_.get());
}

// OpenSSL's own output to a socket would want a record that did not fit written again as it was.
// This one takes everything.
const BIO_METHOD* TlsSession::Output() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "session");
    BIO_meth_set_write(made, Send);
    BIO_meth_set_ctrl(made, [](BIO*, int command, long, void*) -> long {
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
    return made;
  }();
  return method;
}

int TlsSession::Send(BIO* bio, const char* data, int size) {
  auto& session = *static_cast<TlsSession*>(BIO_get_data(bio));
  const auto bytes = static_cast<size_t>(size);
  const ssize_t sent = session.rest_.empty() ? SendNow(session.fd_, data, bytes) : 0;
  if (sent < 0 || session.rest_.size() > kMaxRest) return -1;
  session.rest_.append(data + sent, bytes - static_cast<size_t>(sent));
  return size;
}

TlsSession::Outcome TlsSession::OutcomeOf(int result) {
  if (result > 0) return Outcome::kDone;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Outcome::kNeedsInput;
    case SSL_ERROR_ZERO_RETURN:
      return Outcome::kEnd;
    default:
      broken_ = true;
      return Outcome::kBroken;
  }
}

TlsSession::Outcome TlsSession::Handshake() {
  const Outcome flushed = Flush();
  if (flushed != Outcome::kDone) return flushed;
  ERR_clear_error();
  const Outcome outcome = OutcomeOf(SSL_do_handshake(ssl_.get()));
  // The peer has nothing to answer before it has all of ours.
  return outcome == Outcome::kNeedsInput && !this->flushed() ? Outcome::kNeedsRoom : outcome;
}

TlsSession::Outcome TlsSession::Read(char* to, size_t size, size_t& got) {
  if (broken_) return Outcome::kBroken;
  ERR_clear_error();
  return OutcomeOf(SSL_read_ex(ssl_.get(), to, size, &got));
}

TlsSession::Outcome TlsSession::Write(absl::string_view bytes) {
  if (broken_) return Outcome::kBroken;
  ERR_clear_error();
  size_t written = 0;
  return OutcomeOf(SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written));
}

TlsSession::Outcome TlsSession::Flush() {
  if (broken_) return Outcome::kBroken;
  if (rest_.empty()) return Outcome::kDone;
  const ssize_t sent = SendNow(fd_, rest_.data(), rest_.size());
  if (sent < 0) {
    broken_ = true;
    return Outcome::kBroken;
  }
  rest_.erase(0, static_cast<size_t>(sent));
  if (!rest_.empty()) return Outcome::kNeedsRoom;
  rest_.shrink_to_fit();
  return Outcome::kDone;
}

void TlsSession::End() {
  if (broken_ || SSL_is_init_finished(ssl_.get()) != 1) return;
  ERR_clear_error();
  // Without an answer from the peer this is never complete, and need not be.
  if ((SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) == 0) SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace agentdesk::gateway
