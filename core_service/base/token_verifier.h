#ifndef AGENTDESK_CORE_SERVICE_BASE_TOKEN_VERIFIER_H_
#define AGENTDESK_CORE_SERVICE_BASE_TOKEN_VERIFIER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/compact_jws.h"
#include "core_service/base/identity.h"
#include "core_service/base/key_set.h"
#include "core_service/base/mutex.h"

namespace agentdesk {

// Somebody whose tokens are believed.
struct TrustedIssuer {
  std::string issuer;                  // `iss`, compared byte for byte
  std::vector<std::string> audiences;  // `aud` must name one of them
  std::vector<TokenAlgorithm> algorithms;
  // Put before each `sub`. A subject that then begins with a longer one is that other issuer's, and
  // refused, so that the subjects of issuers with different prefixes differ.
  std::string subject_prefix;
  std::string tenant_claim = "tenant";
  std::shared_ptr<const KeySet> keys;
};

// Reasons in the details of what Verify returns.
inline constexpr absl::string_view kTokenInvalid = "token_invalid";
inline constexpr absl::string_view kTokenExpired = "token_expired";
inline constexpr absl::string_view kTokenNotYetValid = "token_not_yet_valid";

// Verifies bearer tokens: JSON Web Tokens (RFC 7519) by the rules of RFC 8725. Thread-safe.
class TokenVerifier {
 public:
  // How far the clock of an issuer may be off: counted in the token's favour.
  static constexpr absl::Duration kDefaultSkew = absl::Seconds(30);

  // Told of the place in the list of an issuer of whose keys a token names one that is not there,
  // on the thread that verifies; must not block. Whoever sends tokens can have it called.
  using OnUnknownKey = absl::AnyInvocable<void(size_t issuer) const>;

  // `issuers` must differ in `issuer`; the keys of one may be null, as long as they are not known.
  // `clock` must outlive this.
  TokenVerifier(std::vector<TrustedIssuer> issuers, absl::Duration skew, Clock& clock,
                OnUnknownKey on_unknown_key = nullptr);

  // Whom the token proves its bearer to be. A token has
  //   iss   one of the issuers, one of whose keys has signed it
  //   aud   one of its audiences, or several with one of them among them
  //   exp   a time that has not come; nbf (optional) one that has; iat (optional) any
  //   sub   1 to 200 characters, none of them a control character; with its prefix not such as
  //         another issuer's would be
  //   typ   in its header, if at all, `JWT` or `at+jwt` in any case
  // and may have `scope` (names with spaces between, RFC 8693 section 4.2) or `scp`, `groups`,
  // `roles` and the issuer's tenant claim. Unauthenticated, with one of the reasons above, says
  // what is wrong; it quotes names of the token, never the token.
  absl::StatusOr<Identity> Verify(absl::string_view token) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Replaces the keys of the issuer at that place in the list.
  void SetKeys(size_t issuer, std::shared_ptr<const KeySet> keys) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::shared_ptr<const KeySet> KeysOf(size_t issuer) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Constant after construction, but for the keys.
  const std::vector<TrustedIssuer> issuers_;
  const absl::Duration skew_;
  Clock& clock_;
  const OnUnknownKey on_unknown_key_;  // may be null

  mutable Mutex mutex_;
  std::vector<std::shared_ptr<const KeySet>> keys_ ABSL_GUARDED_BY(mutex_);  // as in issuers_
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_TOKEN_VERIFIER_H_
