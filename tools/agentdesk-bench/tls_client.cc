#include "tools/agentdesk-bench/tls_client.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>

#include "tools/agentdesk-bench/failure.h"

namespace agentdesk::bench {
namespace {

constexpr long kValidSeconds = 24 * 60 * 60;

SSL_CTX* Context() {
  static SSL_CTX* const context = [] {
    SSL_CTX* const made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS);
    return made;
  }();
  return context;
}

std::shared_ptr<BIO> NewFile(const std::string& path) {
  std::shared_ptr<BIO> file(BIO_new_file(path.c_str(), "w"), BIO_free);
  if (file == nullptr) FailErrno(path);
  return file;
}

}  // namespace

TlsClient::TlsClient(int fd) : ssl_(SSL_new(Context())) {
  if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), fd) != 1) Fail("no memory for TLS");
  SSL_set_connect_state(ssl_.get());
}

bool TlsClient::Connect() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return true;
  if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) Fail("a TLS handshake failed");
  return false;
}

ssize_t TlsClient::Receive(char* to, size_t size) {
  ERR_clear_error();
  size_t got = 0;
  const int result = SSL_read_ex(ssl_.get(), to, size, &got);
  if (result == 1) return static_cast<ssize_t>(got);
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  errno = error == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
  return -1;
}

ssize_t TlsClient::Send(absl::string_view bytes) {
  ERR_clear_error();
  size_t sent = 0;
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent) != 1) return -1;
  return static_cast<ssize_t>(sent);
}

void WriteCertificate(const std::string& cert, const std::string& key) {
  const std::shared_ptr<EVP_PKEY> pair(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::shared_ptr<X509> made(X509_new(), X509_free);
  if (pair == nullptr || made == nullptr) Fail("no key for TLS can be made");
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), kValidSeconds);
  X509_NAME* const name = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1, 0);
  X509_set_issuer_name(made.get(), name);
  X509_set_pubkey(made.get(), pair.get());
  if (X509_sign(made.get(), pair.get(), EVP_sha256()) == 0 ||
      PEM_write_bio_X509(NewFile(cert).get(), made.get()) != 1 ||
      PEM_write_bio_PrivateKey(NewFile(key).get(), pair.get(), nullptr, nullptr, 0, nullptr,
                               nullptr) != 1) {
    Fail("no certificate can be made in ", cert);
  }
}

}  // namespace agentdesk::bench
