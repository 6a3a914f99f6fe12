#ifndef AGENTDESK_CORE_SERVICE_BASE_AUTHENTICATOR_H_
#define AGENTDESK_CORE_SERVICE_BASE_AUTHENTICATOR_H_

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/identity.h"
#include "core_service/base/key_fetcher.h"
#include "core_service/base/mutex.h"
#include "core_service/base/token_verifier.h"

namespace agentdesk {

// Whom a server believes, as the file of --auth_config says:
//
//   {"issuers": [{"issuer": "https://issuer.example",   the claim iss, byte for byte
//                 "audiences": ["agentdesk"],           one of which the claim aud must name
//                 "algorithms": ["ES256"],              RS256, ES256, EdDSA or HS256
//                 "keys_file": "keys.json",             PEM or JWK Set; beside this file, or a path
//                 "jwks_url": "https://…",              in its place: where they are fetched from,
//                 "jwks_refresh_s": 300,                how often (default: 300),
//                 "jwks_ca_file": "ca.pem",             and by which authorities (default: those
//                                                       of the system)
//                 "subject_prefix": "",                 put before each sub; default: nothing
//                 "tenant_claim": "tenant"}],           default: tenant
//    "gateways": ["gateway-1"],                         who may speak for users
//    "all_tenants": ["worker-1"],                       who sees what every tenant has
//    "certificates": [{"name": "DNS:w.example",         whom a client certificate stands for:
//                      "subject": "worker-1",           DNS:, URI: or EMAIL: and its subject
//                      "scopes": ["agents:work"],       alternative name, and what a token
//                      "tenant": "acme",                would say; tenant, groups and roles
//                      "groups": [], "roles": []}],     where there are any
//    "clock_skew_s": 30}                                default 30, at most 300
//
// With several issuers their prefixes must differ, and a subject that begins with the longer prefix
// of another is refused, so that no two people are one subject.
struct AuthConfig {
  std::vector<TrustedIssuer> issuers;           // with their keys
  std::vector<std::string> key_files;           // of each issuer; empty: they are fetched
  std::vector<std::optional<KeyUrl>> key_urls;  // of each issuer, or none at all
  // Subjects, with their prefix: who may speak for users whom it has authenticated, and who is held
  // to no tenant.
  std::vector<std::string> gateways;
  std::vector<std::string> all_tenants;
  std::vector<std::pair<std::string, Identity>> certificates;  // by name
  absl::Duration clock_skew = TokenVerifier::kDefaultSkew;
};

// InvalidArgument says which member breaks which rule, or what is wrong with a file of keys; the
// other errors are those of reading a file.
absl::StatusOr<AuthConfig> ReadAuthConfig(const std::string& path);

// Says who the bearer of a token is. Looks at its files of keys every kReloadInterval and takes
// over what has changed; a file that cannot be used leaves the keys as they are, and is logged.
// Keys that are fetched are so again as base/key_fetcher.h says, and also when a token names one
// that is not known. Thread-safe.
class Authenticator {
 public:
  static constexpr absl::Duration kReloadInterval = absl::Seconds(10);
  // For keys that are fetched, at the start.
  static constexpr absl::Duration kAwaitKeys = absl::Seconds(10);

  // `clock` must outlive it.
  Authenticator(AuthConfig config, Clock& clock);
  ~Authenticator();
  Authenticator(const Authenticator&) = delete;
  Authenticator& operator=(const Authenticator&) = delete;

  // To be called before anybody is served: waits until the first fetch of each issuer's keys has
  // ended, for kAwaitKeys at most. Logs whose keys are missing and why; their tokens are refused
  // until the keys come.
  void AwaitKeys() const;

  // Errors are those of TokenVerifier::Verify.
  absl::StatusOr<Identity> Verify(absl::string_view token) const { return verifier_.Verify(token); }
  // Whether this subject may speak for users whom it has authenticated.
  bool IsGateway(absl::string_view subject) const { return gateways_.contains(subject); }
  // Whether this subject, whatever its own tenant is, may see and touch what every tenant has.
  bool SeesAllTenants(absl::string_view subject) const { return all_tenants_.contains(subject); }
  // Whether a client certificate may stand for somebody.
  bool knows_certificates() const { return !certificates_.empty(); }
  // For whom a certificate with these names stands. Unauthenticated (`certificate_unknown`): for
  // nobody, or for several.
  absl::StatusOr<Identity> VerifyNames(const std::vector<std::string>& names) const;

 private:
  void Watch() ABSL_LOCKS_EXCLUDED(mutex_);
  void Reload(size_t issuer);

  // Constant after construction; the verifier and the fetchers provide their own synchronization.
  const std::vector<std::string> names_;  // of the issuers
  const std::vector<std::string> key_files_;
  const absl::flat_hash_set<std::string> gateways_;
  const absl::flat_hash_set<std::string> all_tenants_;
  const absl::flat_hash_map<std::string, Identity> certificates_;
  Clock& clock_;
  TokenVerifier verifier_;

  // Of each issuer; null where the keys are in a file.
  std::vector<std::unique_ptr<KeyFetcher>> fetchers_;

  // What each file held when it was last looked at. The watching thread's alone.
  std::vector<std::optional<std::string>> last_read_;

  Mutex mutex_;
  Condition stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_AUTHENTICATOR_H_
