#include "core_service/base/error.h"
#include "tools/agentdesk-worker/lease_calls.h"

namespace agentdesk::worker {

bool IsLeaseLost(const absl::Status& status) {
  const std::string reason = DetailOf(status).reason;
  if (absl::IsNotFound(status)) return reason != "unknown_question";
  return absl::IsFailedPrecondition(status) && reason == "lease_lost";
}

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    // The token ran out before its file got a fresh one.
    case absl::StatusCode::kUnauthenticated:
      return true;
    case absl::StatusCode::kResourceExhausted:
      // Who has too many questions open must be told: only the agent can withdraw one, and while it
      // waits for the answer to this one it does not.
      return DetailOf(status).retry_after.has_value() &&
             DetailOf(status).reason != "too_many_open_questions";
    default:
      return false;
  }
}

}  // namespace agentdesk::worker
