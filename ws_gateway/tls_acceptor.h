#ifndef AGENTDESK_WS_GATEWAY_TLS_ACCEPTOR_H_
#define AGENTDESK_WS_GATEWAY_TLS_ACCEPTOR_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core_service/base/certificate_files.h"
#include "core_service/base/clock.h"
#include "core_service/base/mutex.h"
#include "ws_gateway/tls_session.h"

namespace agentdesk::gateway {

// How the gateway speaks TLS, by RFC 9325 and Mozilla's "intermediate" configuration (5.7) without
// its finite-field Diffie-Hellman: TLS 1.2 and 1.3, only ciphers with forward secrecy and AEAD of
// which the client chooses, no compression, no renegotiation, no early data. Of the protocols that
// a client offers (ALPN, RFC 7301) http/1.1 is taken; one that offers only others is refused.
//
// Sessions are resumed by tickets, which cost no memory; nobody can open them who does not have
// this process's key, and that one is made anew with the certificate and every kTicketKeyLife.
//
// Thread-safe.
class TlsAcceptor {
 public:
  static constexpr absl::Duration kTicketKeyLife = absl::Hours(12);

  // With what `files` have now, a chain among it, and later with what they have then. Both must
  // outlive the acceptor.
  static absl::StatusOr<std::unique_ptr<TlsAcceptor>> Create(const CertificateFiles& files,
                                                             Clock& clock);
  TlsAcceptor(const TlsAcceptor&) = delete;
  TlsAcceptor& operator=(const TlsAcceptor&) = delete;

  // For a client that has just connected: with the certificates as they are now.
  std::unique_ptr<TlsSession> Accept(int fd) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  TlsAcceptor(const CertificateFiles& files, Clock& clock,
              std::shared_ptr<const Certificates> first, std::shared_ptr<SSL_CTX> context);

  std::shared_ptr<SSL_CTX> Current() ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes a context, with another key for tickets, of what was read. An error leaves the old one.
  absl::Status Renew(std::shared_ptr<const Certificates> read, absl::Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CertificateFiles& files_;
  Clock& clock_;
  Mutex mutex_;
  std::shared_ptr<const Certificates> used_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<SSL_CTX> context_ ABSL_GUARDED_BY(mutex_);
  absl::Duration renew_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_TLS_ACCEPTOR_H_
