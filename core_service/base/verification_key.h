#ifndef AGENTDESK_CORE_SERVICE_BASE_VERIFICATION_KEY_H_
#define AGENTDESK_CORE_SERVICE_BASE_VERIFICATION_KEY_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace agentdesk {

// How tokens may be signed (RFC 7518 section 3, RFC 8037). There is no `none`.
enum class TokenAlgorithm { kRs256, kEs256, kEdDsa, kHs256 };

// `RS256`, `ES256`, `EdDSA`, `HS256`; read exactly so, in no other case.
absl::string_view AlgorithmName(TokenAlgorithm algorithm);
std::optional<TokenAlgorithm> ParseAlgorithm(absl::string_view name);

struct FreePublicKey {
  void operator()(evp_pkey_st* key) const;
};
using PublicKey = std::unique_ptr<evp_pkey_st, FreePublicKey>;

// A key that checks signatures of one algorithm, which is fixed by the key and never by what is
// checked. Immutable; thread-safe.
class VerificationKey {
 public:
  // `kid` is the key's name; empty: it has none. InvalidArgument says why a key is not sound or not
  // strong enough: RSA keys have 2048 to 8192 bits and an odd exponent over 1 of at most 64 bits,
  // EC keys a point of the curve P-256, secrets 32 to 4096 bytes. Unimplemented: a key of another
  // kind.
  static absl::StatusOr<VerificationKey> FromPublicKey(PublicKey key, std::string kid);
  static absl::StatusOr<VerificationKey> FromSecret(std::string secret, std::string kid);

  TokenAlgorithm algorithm() const { return algorithm_; }
  const std::string& kid() const { return kid_; }

  // Whether `signature`, in the form of RFC 7518 section 3, is this key's over `message`.
  bool Verify(absl::string_view message, absl::string_view signature) const;

 private:
  VerificationKey(TokenAlgorithm algorithm, PublicKey key, std::string secret, std::string kid);

  TokenAlgorithm algorithm_;
  PublicKey key_;       // null for HS256
  std::string secret_;  // HS256
  std::string kid_;
};

// Public keys from the numbers of a JWK, big-endian. Null where they make none; whether the key is
// good is for VerificationKey to say.
PublicKey RsaPublicKey(absl::string_view modulus, absl::string_view exponent);
PublicKey P256PublicKey(absl::string_view x, absl::string_view y);
PublicKey Ed25519PublicKey(absl::string_view x);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_VERIFICATION_KEY_H_
