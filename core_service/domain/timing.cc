#include "core_service/domain/timing.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"

namespace agentdesk::domain {
namespace {

constexpr int32_t kNanosPerSecond = 1000000000;
constexpr int64_t kFirstSecond = -62135596800;  // 0001-01-01T00:00:00Z
constexpr int64_t kLastSecond = 253402300799;   // 9999-12-31T23:59:59Z

bool WellFormed(const google::protobuf::Duration& duration) {
  const bool signs_differ = (duration.seconds() < 0 && duration.nanos() > 0) ||
                            (duration.seconds() > 0 && duration.nanos() < 0);
  return !signs_differ && duration.nanos() > -kNanosPerSecond && duration.nanos() < kNanosPerSecond;
}

// `366 days` rather than `8784h`.
std::string Readable(absl::Duration duration) {
  const int64_t days = duration / absl::Hours(24);
  return days > 0 && duration == days * absl::Hours(24) ? absl::StrCat(days, " days")
                                                        : absl::FormatDuration(duration);
}

}  // namespace

absl::Status CheckTimestamp(absl::string_view field, const google::protobuf::Timestamp& timestamp) {
  if (timestamp.seconds() < kFirstSecond || timestamp.seconds() > kLastSecond ||
      timestamp.nanos() < 0 || timestamp.nanos() >= kNanosPerSecond) {
    return InvalidField(field, "must be a time in the years 1 to 9999, with nanos 0 to 999999999");
  }
  return absl::OkStatus();
}

absl::Status CheckDuration(absl::string_view field, const google::protobuf::Duration& duration,
                           absl::Duration min, absl::Duration max) {
  if (!WellFormed(duration)) {
    return InvalidField(field, "must have nanos of the same sign and of less than a second");
  }
  const absl::Duration value = FromProto(duration);
  if (value < min || value > max) {
    return InvalidField(field, absl::StrCat("must be ", Readable(min), " to ", Readable(max),
                                            ", is ", absl::FormatDuration(value)));
  }
  return absl::OkStatus();
}

}  // namespace agentdesk::domain
