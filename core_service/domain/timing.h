#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_TIMING_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_TIMING_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace agentdesk::domain {

// The rules for one field of time: InvalidArgument that names `field` and the rule it breaks.

// A time that protobuf allows: years 1 to 9999.
absl::Status CheckTimestamp(absl::string_view field, const google::protobuf::Timestamp& timestamp);
// A duration that protobuf allows, `min` to `max`.
absl::Status CheckDuration(absl::string_view field, const google::protobuf::Duration& duration,
                           absl::Duration min, absl::Duration max);

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_TIMING_H_
