#ifndef AGENTDESK_CORE_SERVICE_DESK_TIMERS_H_
#define AGENTDESK_CORE_SERVICE_DESK_TIMERS_H_

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/mutex.h"

namespace agentdesk::desk {

// When the desk has to act by itself, on the monotonic clock: one time for each lease, delayed job
// and question deadline. Set by the writer; read by anyone. Thread-safe.
class Timers {
 public:
  enum class Kind {
    kLease,      // id: the job whose lease runs out
    kClaimable,  // id: the job that may be claimed from then on
    kDeadline,   // id: the question that expires
  };
  struct Due {
    Kind kind;
    std::string id;
  };

  // Replaces the time set before for the same kind and id.
  void Set(Kind kind, absl::string_view id, absl::Duration at) ABSL_LOCKS_EXCLUDED(mutex_);
  void Clear(Kind kind, absl::string_view id) ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<absl::Duration> Find(Kind kind, absl::string_view id) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes out the earliest that is due at `now`.
  std::optional<Due> TakeDue(absl::Duration now) ABSL_LOCKS_EXCLUDED(mutex_);
  size_t Count(Kind kind) const ABSL_LOCKS_EXCLUDED(mutex_);
  // When the earliest is due; infinite when nothing is set.
  absl::Duration next() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Key = std::pair<Kind, std::string>;

  mutable Mutex mutex_;
  absl::btree_set<std::pair<absl::Duration, Key>> by_time_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Key, absl::Duration> by_key_ ABSL_GUARDED_BY(mutex_);
  std::array<size_t, 3> counts_ ABSL_GUARDED_BY(mutex_){};  // by kind
};

}  // namespace agentdesk::desk

#endif  // AGENTDESK_CORE_SERVICE_DESK_TIMERS_H_
