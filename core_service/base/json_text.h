#ifndef AGENTDESK_CORE_SERVICE_BASE_JSON_TEXT_H_
#define AGENTDESK_CORE_SERVICE_BASE_JSON_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace agentdesk {

// `text`, which must be UTF-8, as a string of JSON (RFC 8259 section 7) with its quotes, in one
// line.
std::string JsonText(absl::string_view text);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_JSON_TEXT_H_
