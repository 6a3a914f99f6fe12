#include "ws_gateway/tls_acceptor.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

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
// 112 bits: RSA and DSA keys of 2048, elliptic curves of 224.
constexpr int kSecurityLevel = 2;
constexpr absl::string_view kHttp("\x08http/1.1", 9);

std::shared_ptr<BIO> BioOf(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

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

// The certificate, those that lead from it to an authority, and the key.
bool UsePair(const Certificates& certificates, SSL_CTX& context) {
  const std::shared_ptr<BIO> chain = BioOf(certificates.chain);
  bool first = true;
  while (X509* const read = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)) {
    const std::shared_ptr<X509> certificate(read, X509_free);
    const bool used = first ? SSL_CTX_use_certificate(&context, read) == 1
                            : SSL_CTX_add1_chain_cert(&context, read) == 1;
    if (!used) return false;
    first = false;
  }
  ERR_clear_error();  // of the end of the text
  const std::shared_ptr<BIO> text = BioOf(certificates.key);
  const std::shared_ptr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(text.get(), nullptr, nullptr, const_cast<char*>("")), EVP_PKEY_free);
  return key != nullptr && SSL_CTX_use_PrivateKey(&context, key.get()) == 1;
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> MakeContext(const Certificates& certificates) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context == nullptr) return absl::ResourceExhaustedError("no memory for TLS");
  // A peer that ends without close_notify has ended: requests and frames have a length of their
  // own, so nothing that was cut is taken for whole.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_alpn_select_cb(context.get(), ChooseProtocol, nullptr);
  SSL_CTX_set_security_level(context.get(), kSecurityLevel);
  const bool set = SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) == 1 &&
                   SSL_CTX_set_cipher_list(context.get(), kCiphers) == 1 &&
                   SSL_CTX_set1_groups_list(context.get(), kGroups) == 1 &&
                   UsePair(certificates, *context);
  if (set) return context;
  const char* const reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(
      certificates.paths.chain, ": cannot be used: ", reason == nullptr ? "unknown" : reason));
}

}  // namespace

absl::Status TlsAcceptor::Check(const Certificates& certificates) {
  return MakeContext(certificates).status();
}

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
      tried_(first),
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
    if (read != tried_ || now >= renew_at_) status = Renew(std::move(read), now);
    context = context_;
  }
  if (!status.ok()) {
    LogError("certificates cannot be used; the old ones stay", {{"error", status}});
  }
  return context;
}

absl::Status TlsAcceptor::Renew(std::shared_ptr<const Certificates> read, absl::Duration now) {
  renew_at_ = now + kTicketKeyLife;
  tried_ = std::move(read);
  absl::StatusOr<std::shared_ptr<SSL_CTX>> made = MakeContext(*tried_);
  absl::Status status = made.status();
  if (status.ok()) {
    used_ = tried_;
  } else {
    made = MakeContext(*used_);
  }
  if (made.ok()) context_ = *std::move(made);
  return status;
}

}  // namespace agentdesk::gateway
