#ifndef AGENTDESK_CORE_SERVICE_DESK_LOG_RANGE_H_
#define AGENTDESK_CORE_SERVICE_DESK_LOG_RANGE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace agentdesk::desk {

// The positions that a desk can speak of. The errors are OutOfRange and carry it, so that whoever
// asked can start again from there; `field` is the one that holds the position.
struct LogRange {
  std::string desk_id;
  int64_t oldest = 1;  // the first that Subscribe serves
  int64_t head = 0;

  // `other_desk` where `of_desk` is given and is not this one; `ahead`.
  absl::Status CheckReached(absl::string_view field, absl::string_view of_desk,
                            int64_t position) const;
  // `compacted`: Subscribe no longer serves what follows `position`.
  absl::Status CheckServed(absl::string_view field, int64_t position) const;

 private:
  absl::Status OutOfRange(absl::string_view reason, absl::string_view what) const;
};

}  // namespace agentdesk::desk

#endif  // AGENTDESK_CORE_SERVICE_DESK_LOG_RANGE_H_
