#ifndef AGENTDESK_CORE_SERVICE_BASE_KEY_SET_H_
#define AGENTDESK_CORE_SERVICE_BASE_KEY_SET_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core_service/base/verification_key.h"

namespace agentdesk {

// The keys of one issuer. Immutable; thread-safe.
class KeySet {
 public:
  static constexpr size_t kMaxBytes = 1024 * 1024;
  static constexpr size_t kMaxKeys = 100;

  // Reads public keys in PEM, or JSON: a JWK Set or a single JWK (RFC 7517). InvalidArgument names
  // the key at fault and the rule. As RFC 7517 section 5 asks, keys of a JWK Set that are for
  // something else (another type, curve or algorithm, encryption) are left out; but a key that is
  // malformed or weak, two keys of one name, secrets beside public keys, and a set without any
  // usable key are errors. PEM keys have no name.
  static absl::StatusOr<KeySet> Parse(absl::string_view text);
  // Reads a JWK Set that was fetched from an issuer. One key that is of no use must not take all
  // others away, so those that Parse would refuse are left out with a remark, and so are secrets,
  // which nobody publishes. InvalidArgument: it is no JWK Set, or no key is left.
  static absl::StatusOr<KeySet> ParseFetched(absl::string_view text);

  const std::vector<VerificationKey>& keys() const { return keys_; }
  // Whether one of them may have signed what names its key so (empty: it names none).
  bool MayBeOf(absl::string_view kid) const;
  // What an operator should know: keys that were left out and why, private parts in the file.
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  KeySet(std::vector<VerificationKey> keys, std::vector<std::string> remarks)
      : keys_(std::move(keys)), remarks_(std::move(remarks)) {}

  std::vector<VerificationKey> keys_;
  std::vector<std::string> remarks_;
};

// The text of a file of keys. NotFound, PermissionDenied or Unknown when it cannot be read,
// InvalidArgument when it is larger than KeySet::kMaxBytes.
absl::StatusOr<std::string> ReadKeyFile(const std::string& path);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_KEY_SET_H_
