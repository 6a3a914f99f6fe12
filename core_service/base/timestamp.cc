#include "core_service/base/timestamp.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace agentdesk {

google::protobuf::Timestamp ToProto(absl::Time time) {
  const int64_t us = absl::ToUnixMicros(time);
  int64_t seconds = us / 1000000;
  int64_t rest = us % 1000000;
  if (rest < 0) {
    --seconds;
    rest += 1000000;
  }
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(static_cast<int32_t>(rest * 1000));
  return timestamp;
}

absl::Time FromProto(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  absl::Duration rest;
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return proto;
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

std::string FormatTimestamp(const google::protobuf::Timestamp& timestamp) {
  // Nearly all timestamps of a moment are of one second, and the calendar is what takes long.
  struct Second {
    int64_t seconds = INT64_MIN;
    std::string text;
  };
  thread_local Second last;
  if (last.seconds != timestamp.seconds()) {
    last.text = absl::FormatTime("%E4Y-%m-%dT%H:%M:%S", absl::FromUnixSeconds(timestamp.seconds()),
                                 absl::UTCTimeZone());
    last.seconds = timestamp.seconds();
  }
  return absl::StrCat(last.text, ".", absl::Dec(timestamp.nanos() / 1000, absl::kZeroPad6),
                      "+00:00");
}

}  // namespace agentdesk
