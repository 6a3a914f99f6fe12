#include "ws_gateway/tls_acceptor.h"

#include <openssl/err.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"

namespace agentdesk::gateway {
namespace {

// For TLS 1.2; those of 1.3 are all of this kind, and are left as OpenSSL has them.
constexpr char kCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr char kGroups[] = "X25519:P-256:P-384";
constexpr absl::string_view kHttp("\x08http/1.1", 9);

int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* size,
                   const unsigned char* offered, unsigned int offered_size, void*) {
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(kHttp.data()),
                            static_cast<unsigned int>(kHttp.size()), offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> MakeContext(const Certificates& certificates) {
  absl::StatusOr<std::shared_ptr<SSL_CTX>> made = TlsContextOf(certificates);
  if (!made.ok()) return made;
  std::shared_ptr<SSL_CTX> context = *std::move(made);
  // A peer that ends without close_notify has ended: requests and frames have a length of their
  // own, so nothing that was cut is taken for whole.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_alpn_select_cb(context.get(), ChooseProtocol, nullptr);
  const bool set = SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) == 1 &&
                   SSL_CTX_set_cipher_list(context.get(), kCiphers) == 1 &&
                   SSL_CTX_set1_groups_list(context.get(), kGroups) == 1;
  if (set) return context;
  const char* const reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return absl::InternalError(
      absl::StrCat("TLS cannot be set up: ", reason == nullptr ? "unknown" : reason));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsAcceptor>> TlsAcceptor::Create(const CertificateFiles& files,
                                                                 Clock& clock) {
  std::shared_ptr<const Certificates> first = files.Current();
  absl::StatusOr<std::shared_ptr<SSL_CTX>> context = MakeContext(*first);
  if (!context.ok()) return context.status();
  return absl::WrapUnique(new TlsAcceptor(files, clock, std::move(first), *std::move(context)));
}

TlsAcceptor::TlsAcceptor(const CertificateFiles& files, Clock& clock,
                         std::shared_ptr<const Certificates> first,
                         std::shared_ptr<SSL_CTX> context)
    : files_(files),
      clock_(clock),
      used_(std::move(first)),
      context_(std::move(context)),
      renew_at_(clock.Monotonic() + kTicketKeyLife) {}

std::unique_ptr<TlsSession> TlsAcceptor::Accept(int fd) {
  return std::make_unique<TlsSession>(*Current(), fd);
}

std::shared_ptr<SSL_CTX> TlsAcceptor::Current() {
  std::shared_ptr<const Certificates> read = files_.Current();
  const absl::Duration now = clock_.Monotonic();
  std::shared_ptr<SSL_CTX> context;
  absl::Status status;
  {
    MutexLock lock(mutex_);
    if (read != used_ || now >= renew_at_) status = Renew(std::move(read), now);
    context = context_;
  }
  if (!status.ok()) {
    LogError("TLS goes on with the certificates of before", {{"error", status}});
  }
  return context;
}

absl::Status TlsAcceptor::Renew(std::shared_ptr<const Certificates> read, absl::Duration now) {
  renew_at_ = now + kTicketKeyLife;
  used_ = std::move(read);
  absl::StatusOr<std::shared_ptr<SSL_CTX>> made = MakeContext(*used_);
  if (!made.ok()) return made.status();
  context_ = *std::move(made);
  return absl::OkStatus();
}

}  // namespace agentdesk::gateway
