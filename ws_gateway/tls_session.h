#ifndef AGENTDESK_WS_GATEWAY_TLS_SESSION_H_
#define AGENTDESK_WS_GATEWAY_TLS_SESSION_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace agentdesk::gateway {

// The server's end of TLS on one non-blocking socket. Nothing here waits: what cannot go on says
// for what. OpenSSL reads from the socket itself, so an idle session keeps no buffers.
//
// What is written is a record at once, of which the kernel gets what it takes and the session keeps
// the rest: bytes that were taken once are never asked for again, whatever becomes of the queue
// that they came from.
//
// Not thread-safe.
class TlsSession {
 public:
  enum class Outcome : uint8_t {
    kDone,
    kNeedsInput,  // the socket has to become readable
    kNeedsRoom,   // the socket has to become writable
    kEnd,         // the peer sends nothing more
    kBroken,      // nothing more can be read or written; the peer has been sent an alert
  };
  // What one record holds at most (RFC 8446 section 5.1).
  static constexpr size_t kMaxRecord = 16 * 1024;

  // `context` is a server's. `fd` stays the caller's, and open for as long as the session is used.
  TlsSession(SSL_CTX& context, int fd);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession() = default;

  // Goes on with the handshake. First of all, until it is kDone.
  Outcome Handshake();
  // Reads up to `size` bytes, more than 0. With kDone, `got` is how many.
  Outcome Read(char* to, size_t size, size_t& got);
  // Whether Read returns something without asking the socket.
  bool has_input() const { return SSL_has_pending(ssl_.get()) == 1; }
  // Takes all of `bytes`, 1 to kMaxRecord. kDone or kBroken. Only when flushed().
  Outcome Write(absl::string_view bytes);
  // Gives the kernel what it has not taken. kDone, kNeedsRoom or kBroken.
  Outcome Flush();
  // Whether the kernel has all that was written.
  bool flushed() const { return rest_.empty(); }
  // Tells the peer that nothing more comes (RFC 8446 section 6.1), unless it has been told.
  void End();

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  static const BIO_METHOD* Output();
  static int Send(BIO* bio, const char* data, int size);
  // What a call of OpenSSL that returned `result` has come to.
  Outcome OutcomeOf(int result);

  const int fd_;
  std::string rest_;  // of what OpenSSL has written
  bool broken_ = false;
  std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_TLS_SESSION_H_
