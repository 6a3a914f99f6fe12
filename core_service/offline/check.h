#ifndef AGENTDESK_CORE_SERVICE_OFFLINE_CHECK_H_
#define AGENTDESK_CORE_SERVICE_OFFLINE_CHECK_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core_service/store/store.h"

// What is done to a desk that no core runs.
namespace agentdesk::offline {

// What a check found sound.
struct CheckReport {
  std::string desk_id;
  store::Origin origin;
  int64_t head = 0;
  int64_t oldest = 1;        // the first position that Subscribe serves
  int64_t checked_from = 1;  // the first event that was looked at
  int64_t checkpoint = 0;    // the position of the last checkpoint; 0: none
  int64_t tickets = 0;       // whose state was compared with their events
};

// Checks a desk from end to end and changes nothing that it holds: the file, the log without holes
// and its chain (store/sqlite_verify.h), and that the state of every ticket is what its events
// tell, as of the last checkpoint and now. `since_checkpoint`: only what happened after it.
//
// `path` is the data directory of a desk that no core runs, or a backup. Errors as
// VerifySqliteStore.
absl::StatusOr<CheckReport> CheckDesk(const std::string& path, bool since_checkpoint);

// The second half of it, on any store.
absl::StatusOr<int64_t> CheckState(store::View& view, bool since_checkpoint);

}  // namespace agentdesk::offline

#endif  // AGENTDESK_CORE_SERVICE_OFFLINE_CHECK_H_
