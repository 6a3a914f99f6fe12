#include "core_service/desk/log_range.h"

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"

namespace agentdesk::desk {

absl::Status LogRange::OutOfRange(absl::string_view reason, absl::string_view what) const {
  return WithDetail(
      absl::OutOfRangeError(absl::StrCat(what, ", this desk is ", desk_id, " and serves ", oldest,
                                         " to ", head, "; take a snapshot or start from there")),
      {.reason = std::string(reason),
       .field = {},
       .retry_after = std::nullopt,
       .metadata = {{"desk_id", desk_id},
                    {"available_from", absl::StrCat(oldest)},
                    {"head", absl::StrCat(head)}}});
}

absl::Status LogRange::CheckReached(absl::string_view field, absl::string_view of_desk,
                                    int64_t position) const {
  if (!of_desk.empty() && of_desk != desk_id) {
    return OutOfRange("other_desk",
                      absl::StrCat("desk_id: the position belongs to desk ", of_desk));
  }
  if (position > head) {
    return OutOfRange("ahead", absl::StrCat(field, ": the log is behind position ", position));
  }
  return absl::OkStatus();
}

absl::Status LogRange::CheckServed(absl::string_view field, int64_t position) const {
  if (position + 1 >= oldest) return absl::OkStatus();
  return OutOfRange("compacted",
                    absl::StrCat(field, ": the log no longer reaches back to ", position));
}

}  // namespace agentdesk::desk
