#ifndef AGENTDESK_CORE_SERVICE_RPC_TLS_H_
#define AGENTDESK_CORE_SERVICE_RPC_TLS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "core_service/base/certificate_files.h"
#include "core_service/base/mutex.h"
#include "grpcpp/security/auth_context.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"

namespace agentdesk::rpc {

// TLS 1.2 and 1.3 as gRPC does it, with gRPC's own choice of ciphers (all with forward secrecy and
// AEAD). Each handshake uses the certificates that `files` has by then; connections that exist go
// on as they are. Where `files` has authorities a client may show a certificate, which must be of
// one of them; that it must show one is for Access to say. `files` must outlive the server.
//
// gRPC's own FileWatcherCertificateProvider is not used: while a certificate and its key are being
// replaced it would refuse everybody.
std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const CertificateFiles& files);
// For a client that is the same process as the server: it believes any certificate.
std::shared_ptr<grpc::ChannelCredentials> TlsToSelf();

// What the certificate that the other side of a connection has proved to be its own says that it
// is: `DNS:`, `URI:` or `EMAIL:` and a subject alternative name. None where it showed none.
std::vector<std::string> CertificateNames(const grpc::AuthContext& connection);

// When the certificates end that clients show. A client that goes on with an old session of TLS
// (RFC 8446 section 2.2) shows none, and OpenSSL does not look again at the one of that session: so
// their end is for who admits calls to keep. Those asked about last are remembered, since to read
// one costs as much as a small call. Thread-safe.
class CertificateEnds {
 public:
  // InfiniteFuture: the other side of the connection has shown no certificate.
  absl::Time Of(const grpc::AuthContext& connection) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Mutex mutex_;
  absl::flat_hash_map<std::string, absl::Time> ends_ ABSL_GUARDED_BY(mutex_);  // by their PEM
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_TLS_H_
