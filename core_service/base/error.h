#ifndef AGENTDESK_CORE_SERVICE_BASE_ERROR_H_
#define AGENTDESK_CORE_SERVICE_BASE_ERROR_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace agentdesk {

// What an absl::Status carries for programs besides its code and text. The same reasons appear in
// gRPC's ErrorInfo, in HTTP's `error.code` and in the socket's `error.code`.
struct ErrorDetail {
  std::string reason;                                         // such as `request_id_reused`
  std::string field;                                          // the field at fault; may be empty
  std::optional<absl::Duration> retry_after;                  // when a repeat may succeed
  std::vector<std::pair<std::string, std::string>> metadata;  // more, by name
};

// InvalidArgument that names the field and the rule; reason `invalid_argument`.
absl::Status InvalidField(absl::string_view field, absl::string_view rule);
// Any error with a reason, and perhaps more.
absl::Status ErrorWithReason(absl::StatusCode code, absl::string_view reason,
                             absl::string_view message);
// ResourceExhausted with reason `overloaded`: a repeat in a fifth of a second may succeed.
absl::Status Overloaded(absl::string_view message);
absl::Status WithDetail(absl::Status status, const ErrorDetail& detail);
// The detail of `status`; where it has none, a reason made from its code (`not_found`, ...).
ErrorDetail DetailOf(const absl::Status& status);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_ERROR_H_
