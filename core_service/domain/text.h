#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_TEXT_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_TEXT_H_

#include <cstddef>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace agentdesk::domain {

// How many characters (code points) `text` has; none when it is not valid UTF-8 (RFC 3629).
std::optional<size_t> CountCharacters(absl::string_view text);

// The rules for one field of text: InvalidArgument that names `field` and the rule it breaks. All
// want valid UTF-8.
absl::Status CheckCharacters(absl::string_view field, absl::string_view text, int min, int max);
absl::Status CheckBytes(absl::string_view field, absl::string_view text, size_t min, size_t max);
// 1 to 64 of `a-z 0-9 . _ -`.
absl::Status CheckQueue(absl::string_view field, absl::string_view name);
// At most 128 of printable ASCII; may be empty.
absl::Status CheckRequestId(absl::string_view request_id);
// Empty, or a JSON value (RFC 8259) within kMaxJsonBytes and kMaxJsonDepth.
absl::Status CheckJson(absl::string_view field, absl::string_view text);
// A UUID in any case, with or without dashes.
absl::Status CheckUuid(absl::string_view field, absl::string_view text);

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_TEXT_H_
