#ifndef AGENTDESK_CORE_SERVICE_BASE_COMPACT_JWS_H_
#define AGENTDESK_CORE_SERVICE_BASE_COMPACT_JWS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core_service/base/key_set.h"

namespace agentdesk {

// A signed text in three parts (JWS compact serialization, RFC 7515 section 3.1), read strictly.
// Until CheckSignature has said OK nothing in it is to be believed.
class CompactJws {
 public:
  static constexpr size_t kMaxBytes = 16 * 1024;

  // InvalidArgument for anything but three parts of strict base64url whose first is a JSON object
  // without doubled names, and for a header that says that it must not be understood as usual
  // (`crit`, `b64`). Nothing that the header points to (`jku`, `x5u`, `jwk`, ...) is ever looked
  // at.
  static absl::StatusOr<CompactJws> Parse(absl::string_view token);

  const std::string& algorithm() const { return algorithm_; }  // as the header says
  const std::string& type() const { return type_; }            // `typ`; may be empty
  const std::string& kid() const { return kid_; }              // the name of its key; may be empty
  const std::string& payload() const { return payload_; }

  // OK when a key of `keys` has signed this: of one of `algorithms`, named by the header's `kid`
  // where it has one (keys without a name fit any), and of the algorithm that the header says,
  // which chooses nothing by that. InvalidArgument says what does not fit.
  absl::Status CheckSignature(const KeySet& keys,
                              const std::vector<TokenAlgorithm>& algorithms) const;

 private:
  CompactJws() = default;
  absl::Status ReadHeader(absl::string_view json);

  std::string algorithm_;
  std::string type_;
  std::string kid_;
  std::string payload_;
  std::string signing_input_;
  std::string signature_;
};

// `text` of a stranger, to be quoted in a message: short and printable.
std::string Quoted(absl::string_view text);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_COMPACT_JWS_H_
