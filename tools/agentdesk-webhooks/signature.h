#ifndef AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_SIGNATURE_H_
#define AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_SIGNATURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentdesk::webhooks {

// The keys in the text of a secret file: one a line, `whsec_` and base64, of 24 to 64 bytes each;
// the first is the newest. Several let a receiver change its key without a gap. InvalidArgument
// says which line is wrong, and nothing of what it holds.
absl::StatusOr<std::vector<std::string>> ReadKeys(absl::string_view text);

// The value of the header `webhook-signature` as Standard Webhooks 1.0 has it: for each key `v1,`
// and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`, with spaces between.
std::string Sign(const std::vector<std::string>& keys, absl::string_view id, int64_t timestamp,
                 absl::string_view body);

}  // namespace agentdesk::webhooks

#endif  // AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_SIGNATURE_H_
