#ifndef AGENTDESK_TOOLS_SIGNING_KEY_H_
#define AGENTDESK_TOOLS_SIGNING_KEY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core_service/base/verification_key.h"

namespace agentdesk::tools {

// A key that signs tokens, for trials and tests: the servers only ever check. Its name is its
// thumbprint (RFC 7638), so it need not be kept beside the key.
class SigningKey {
 public:
  // A new random key; RSA keys get 2048 bits.
  static absl::StatusOr<SigningKey> Generate(TokenAlgorithm algorithm);
  // Reads what PrivateText wrote. InvalidArgument for anything else.
  static absl::StatusOr<SigningKey> Parse(absl::string_view text);

  TokenAlgorithm algorithm() const { return algorithm_; }
  std::string Kid() const;
  // PKCS #8 in PEM; for HS256, whose secret both sides share, the same as KeySetText.
  std::string PrivateText() const;
  // A JWK Set with what checks this key's signatures.
  std::string KeySetText() const;

  // The signature of a JWS over `message`.
  std::string Sign(absl::string_view message) const;
  // A token with that header and those claims, both JSON.
  std::string SignToken(absl::string_view header, absl::string_view claims) const;
  // The same with the header that verifiers expect.
  std::string SignToken(absl::string_view claims) const;

 private:
  SigningKey(TokenAlgorithm algorithm, PublicKey key, std::string secret);
  // The members of the JWK that its thumbprint covers, in their order.
  std::string RequiredMembers() const;

  TokenAlgorithm algorithm_;
  PublicKey key_;       // with its private part; null for HS256
  std::string secret_;  // HS256
};

}  // namespace agentdesk::tools

#endif  // AGENTDESK_TOOLS_SIGNING_KEY_H_
