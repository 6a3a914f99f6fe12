#ifndef AGENTDESK_CORE_SERVICE_BASE_BASE64URL_H_
#define AGENTDESK_CORE_SERVICE_BASE_BASE64URL_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace agentdesk {

// base64url without padding (RFC 4648 section 5, RFC 7515 section 2), read strictly: no `=`, no
// white space, no other alphabet, and the bits that the last character does not need are zero, so
// that every value has exactly one text. Nothing for any other text.
std::optional<std::string> DecodeBase64Url(absl::string_view text);
std::string EncodeBase64Url(absl::string_view bytes);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_BASE64URL_H_
