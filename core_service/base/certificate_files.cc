#include "core_service/base/certificate_files.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"

namespace agentdesk {
namespace {

constexpr size_t kMaxBytes = 1024 * 1024;
constexpr int kSecurityLevel = 2;  // of OpenSSL

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

absl::Status Wrong(const std::string& path, absl::string_view what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (!file.eof() && file.fail())) return Wrong(path, "cannot be read");
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxBytes) return Wrong(path, "has more than 1 MiB");
  return text;
}

Bio BioOf(absl::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::StatusOr<std::vector<Certificate>> ParseCertificates(const std::string& path,
                                                           const std::string& text) {
  const Bio bio = BioOf(text);
  std::vector<Certificate> found;
  while (Certificate one{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    found.push_back(std::move(one));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (found.empty() || !at_end) return Wrong(path, "must hold certificates in PEM");
  ERR_clear_error();
  return found;
}

// Nobody is there to be asked.
int NoPassphrase(char*, int, int, void*) { return -1; }

// `unread`: where there is no time that can be read.
absl::Time TimeOf(const ASN1_TIME* time, absl::Time unread) {
  std::tm read{};
  if (ASN1_TIME_to_tm(time, &read) != 1) return unread;
  return absl::FromTM(read, absl::UTCTimeZone());
}
absl::Time EndOf(const Certificate& certificate) {
  return TimeOf(X509_get0_notAfter(certificate.get()), absl::InfinitePast());
}

absl::Status ReadPair(const CertificatePaths& paths, Certificates& certificates) {
  absl::StatusOr<std::string> chain = ReadPem(paths.chain);
  if (!chain.ok()) return chain.status();
  const auto parsed = ParseCertificates(paths.chain, *chain);
  if (!parsed.ok()) return parsed.status();
  absl::StatusOr<std::string> text = ReadPem(paths.key);
  if (!text.ok()) return text.status();
  const Bio bio = BioOf(*text);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) return Wrong(paths.key, "must hold a private key in PEM, not encrypted");
  if (X509_check_private_key(parsed->front().get(), key.get()) != 1) {
    return Wrong(paths.key,
                 absl::StrCat("is not the key of the first certificate in ", paths.chain));
  }
  certificates.valid_from =
      TimeOf(X509_get0_notBefore(parsed->front().get()), absl::InfiniteFuture());
  certificates.expires_at = EndOf(parsed->front());
  certificates.chain = *std::move(chain);
  certificates.key = *std::move(text);
  // Not left to the first handshake: gRPC would refuse that one and all that follow.
  return TlsContextOf(certificates).status();
}

// The certificate, those that lead from it to an authority, and the key.
bool UsePair(const Certificates& certificates, SSL_CTX& context) {
  const Bio chain = BioOf(certificates.chain);
  bool first = true;
  while (const Certificate one{PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)}) {
    const bool used = first ? SSL_CTX_use_certificate(&context, one.get()) == 1
                            : SSL_CTX_add1_chain_cert(&context, one.get()) == 1;
    if (!used) return false;
    first = false;
  }
  ERR_clear_error();  // of the end of the text
  const Bio text = BioOf(certificates.key);
  const Key key(PEM_read_bio_PrivateKey(text.get(), nullptr, NoPassphrase, nullptr));
  return key != nullptr && SSL_CTX_use_PrivateKey(&context, key.get()) == 1;
}

}  // namespace

absl::StatusOr<Certificates> ReadCertificates(const CertificatePaths& paths) {
  Certificates certificates;
  certificates.paths = paths;
  if (!paths.chain.empty()) {
    if (absl::Status status = ReadPair(paths, certificates); !status.ok()) return status;
  }
  if (!paths.authorities.empty()) {
    absl::StatusOr<std::string> text = ReadPem(paths.authorities);
    if (!text.ok()) return text.status();
    const auto parsed = ParseCertificates(paths.authorities, *text);
    if (!parsed.ok()) return parsed.status();
    certificates.authorities = *std::move(text);
  }
  return certificates;
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> TlsContextOf(const Certificates& certificates) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  if (context == nullptr) return absl::ResourceExhaustedError("no memory for TLS");
  SSL_CTX_set_security_level(context.get(),
                             std::max(kSecurityLevel, SSL_CTX_get_security_level(context.get())));
  if (UsePair(certificates, *context)) return context;
  const char* const reason = ERR_reason_error_string(ERR_get_error());
  return Wrong(certificates.paths.chain,
               absl::StrCat("cannot be used: ", reason == nullptr ? "unknown" : reason));
}

absl::Status CheckTime(const Certificates& certificates, absl::Time now) {
  const bool early = now < certificates.valid_from;
  if (!early && now < certificates.expires_at) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(certificates.paths.chain, early ? ": holds only from " : ": has expired at ",
                   absl::FormatTime(early ? certificates.valid_from : certificates.expires_at,
                                    absl::UTCTimeZone())));
}

void LogTimeFault(const absl::Status& fault) {
  LogError("the certificate does not hold; clients refuse it", {{"error", fault.message()}});
}

absl::Time EndOfCertificate(absl::string_view pem) {
  const Bio bio = BioOf(pem);
  const Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate == nullptr ? absl::InfinitePast() : EndOf(certificate);
}

CertificateFiles::CertificateFiles(Certificates first, Clock& clock)
    : paths_(first.paths),
      clock_(clock),
      current_(std::make_shared<const Certificates>(std::move(first))),
      watcher_([this] { Watch(); }) {}

CertificateFiles::~CertificateFiles() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  watcher_.join();
}

std::shared_ptr<const Certificates> CertificateFiles::Current() const {
  MutexLock lock(mutex_);
  return current_;
}

void CertificateFiles::Watch() {
  LogInfo("certificates were read",
          {{"expires_at", absl::FormatTime(Current()->expires_at, absl::UTCTimeZone())}});
  while (true) {
    LookAtTime();
    {
      MutexLock lock(mutex_);
      const absl::Duration next = clock_.Monotonic() + kReloadInterval;
      while (!stopping_ && clock_.Monotonic() < next) clock_.WaitUntil(stop_, mutex_, next);
      if (stopping_) return;
    }
    Reload();
  }
}

void CertificateFiles::LookAtTime() {
  const absl::Status status = CheckTime(*Current(), clock_.Now());
  if (last_time_error_ == status.message()) return;
  last_time_error_ = std::string(status.message());
  if (!status.ok()) LogTimeFault(status);
}

void CertificateFiles::Reload() {
  absl::StatusOr<Certificates> read = ReadCertificates(paths_);
  if (!read.ok()) {
    // Once, however long it stays so.
    if (last_error_ != read.status().message()) {
      last_error_ = std::string(read.status().message());
      LogError("certificates cannot be used; the old ones stay", {{"error", last_error_}});
    }
    return;
  }
  last_error_.clear();
  const std::shared_ptr<const Certificates> last = Current();
  if (read->chain == last->chain && read->key == last->key &&
      read->authorities == last->authorities) {
    return;
  }
  const std::string expires = absl::FormatTime(read->expires_at, absl::UTCTimeZone());
  auto next = std::make_shared<const Certificates>(*std::move(read));
  {
    MutexLock lock(mutex_);
    current_ = std::move(next);
  }
  LogInfo("certificates were read again", {{"expires_at", expires}});
}

}  // namespace agentdesk
