#ifndef AGENTDESK_WS_GATEWAY_TRACE_CONTEXT_H_
#define AGENTDESK_WS_GATEWAY_TRACE_CONTEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace agentdesk::gateway {

// The `traceparent` header as it came (W3C Trace Context), or empty where it is missing or not
// valid.
std::string ValidTraceParent(absl::string_view header);

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_TRACE_CONTEXT_H_
