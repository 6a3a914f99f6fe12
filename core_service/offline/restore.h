#ifndef AGENTDESK_CORE_SERVICE_OFFLINE_RESTORE_H_
#define AGENTDESK_CORE_SERVICE_OFFLINE_RESTORE_H_

#include <string>

#include "absl/status/statusor.h"
#include "core_service/base/clock.h"
#include "core_service/base/uuid.h"
#include "core_service/offline/check.h"

namespace agentdesk::offline {

// Restores a backup into a directory that has no desk, and reports on the new one. It is another
// desk, with an id of its own, so that a position in the old log is refused in words: what was
// committed after the backup was taken is not in it. The backup is checked from end to end before
// there is a desk; where that fails, there is none.
//
// Errors as Restoration::Begin and CheckDesk.
absl::StatusOr<CheckReport> RestoreDesk(const std::string& backup, const std::string& data_dir,
                                        Clock& clock, IdSource& ids);

}  // namespace agentdesk::offline

#endif  // AGENTDESK_CORE_SERVICE_OFFLINE_RESTORE_H_
