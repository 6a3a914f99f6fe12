#ifndef AGENTDESK_CORE_SERVICE_BASE_TIMESTAMP_H_
#define AGENTDESK_CORE_SERVICE_BASE_TIMESTAMP_H_

#include <string>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace agentdesk {

// Between absl's time and protobuf's. Everything is kept to the microsecond, so that a time is the
// same value in a row, in an event and in a browser.
google::protobuf::Timestamp ToProto(absl::Time time);
absl::Time FromProto(const google::protobuf::Timestamp& timestamp);
google::protobuf::Duration ToProto(absl::Duration duration);
absl::Duration FromProto(const google::protobuf::Duration& duration);

// UTC with microseconds and a numeric zone, as the browser protocol writes it:
// `2025-11-30T01:35:01.946551+00:00`.
std::string FormatTimestamp(const google::protobuf::Timestamp& timestamp);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_TIMESTAMP_H_
