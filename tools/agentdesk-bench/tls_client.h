#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_TLS_CLIENT_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_TLS_CLIENT_H_

#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace agentdesk::bench {

// A browser's end of TLS on a non-blocking socket. It believes any certificate: what is measured is
// the load, and the server is our own.
class TlsClient {
 public:
  explicit TlsClient(int fd);

  // Goes on with the handshake. False: the socket has to become readable first.
  bool Connect();
  // As recv(2) and send(2) on a non-blocking socket.
  ssize_t Receive(char* to, size_t size);
  ssize_t Send(absl::string_view bytes);

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  std::unique_ptr<SSL, Free> ssl_;
};

// Makes a certificate for 127.0.0.1, signed by itself, in `cert` and its key in `key`.
void WriteCertificate(const std::string& cert, const std::string& key);

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_TLS_CLIENT_H_
