#ifndef AGENTDESK_CORE_SERVICE_BASE_CERTIFICATE_FILES_H_
#define AGENTDESK_CORE_SERVICE_BASE_CERTIFICATE_FILES_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/mutex.h"

namespace agentdesk {

// Files in PEM by which one end of TLS proves who it is and judges the other end.
struct CertificatePaths {
  std::string chain;        // its own certificate, then those that lead to an authority
  std::string key;          // of that certificate, without a passphrase; empty where chain is
  std::string authorities;  // whose certificates are believed; may be empty
};

// What stands in them, checked.
struct Certificates {
  CertificatePaths paths;
  std::string chain;
  std::string key;
  std::string authorities;
  // When its own certificate holds.
  absl::Time valid_from = absl::InfinitePast();
  absl::Time expires_at = absl::InfiniteFuture();
};

// InvalidArgument says which file is wrong and how: it cannot be read, it is over 1 MiB, something
// in it is no PEM of its kind, a key wants a passphrase or belongs to another certificate, or TLS
// has no use for what there is (TlsContextOf).
absl::StatusOr<Certificates> ReadCertificates(const CertificatePaths& paths);

// A context of OpenSSL that shows the certificate, those that lead from it to an authority, and
// proves them with the key. InvalidArgument says what is too weak: keys and signatures have 112
// bits of security or more (RSA and DSA keys of 2048, elliptic curves of 224, no SHA-1), or as many
// as the system asks for where that is more.
absl::StatusOr<std::shared_ptr<SSL_CTX>> TlsContextOf(const Certificates& certificates);

// FailedPrecondition, with the file and the time, where its own certificate does not hold at `now`:
// then it is shown, and whoever looks at it refuses it.
absl::Status CheckTime(const Certificates& certificates, absl::Time now);

// Logs that as an error.
void LogTimeFault(const absl::Status& fault);

// When the first certificate in a text in PEM ends; InfinitePast where there is none.
absl::Time EndOfCertificate(absl::string_view pem);

// The certificates of a process that does not stop for new ones: looks at the files every
// kReloadInterval and takes over what has changed. Files that cannot be used, such as a new
// certificate whose key is still the old one, leave what there is, and are logged, as is one that
// does not hold yet or any more. Thread-safe.
class CertificateFiles {
 public:
  static constexpr absl::Duration kReloadInterval = absl::Seconds(10);

  // `first` is what ReadCertificates returned. `clock` must outlive it.
  CertificateFiles(Certificates first, Clock& clock);
  ~CertificateFiles();
  CertificateFiles(const CertificateFiles&) = delete;
  CertificateFiles& operator=(const CertificateFiles&) = delete;

  // Never null. Another pointer means other content.
  std::shared_ptr<const Certificates> Current() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Watch() ABSL_LOCKS_EXCLUDED(mutex_);
  void Reload() ABSL_LOCKS_EXCLUDED(mutex_);
  void LookAtTime() ABSL_LOCKS_EXCLUDED(mutex_);

  const CertificatePaths paths_;
  Clock& clock_;
  // The watching thread's alone.
  std::string last_error_;
  std::string last_time_error_;

  mutable Mutex mutex_;
  Condition stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<const Certificates> current_ ABSL_GUARDED_BY(mutex_);
  std::thread watcher_;
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_CERTIFICATE_FILES_H_
