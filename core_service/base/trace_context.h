#ifndef AGENTDESK_CORE_SERVICE_BASE_TRACE_CONTEXT_H_
#define AGENTDESK_CORE_SERVICE_BASE_TRACE_CONTEXT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/uuid.h"

namespace agentdesk {

// Which trace something is part of, and by which of its spans it was caused: what the header
// `traceparent` says (W3C Trace Context, https://www.w3.org/TR/trace-context/).
struct TraceContext {
  std::string trace_id;  // 32 lower-case hex digits
  std::string span_id;   // 16
  bool sampled = true;   // somebody may want to see its spans

  // Nothing where the header is missing or malformed: that is to be ignored.
  static std::optional<TraceContext> Parse(absl::string_view header);
  // The first span of a new trace.
  static TraceContext New(IdSource& ids, absl::Time now);
  // The next span of this trace.
  TraceContext Child(IdSource& ids, absl::Time now) const;

  std::string ToHeader() const;
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_TRACE_CONTEXT_H_
