#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_COPY_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_COPY_H_

#include <atomic>
#include <memory>
#include <string>

#include "core_service/store/data_dir.h"
#include "core_service/store/store.h"

namespace agentdesk::store {

// Where a copy is made before it is read: a file without a name as soon as it is whole, so that a
// reader that is slow, or gone, costs disk and nothing else.
inline constexpr char kCopyFile[] = "backup.partial";

// Begins a copy of the desk in `dir`. `under_way` tells whether another copy exists; it and `dir`
// must outlive this one. Errors as Store::BeginCopy.
absl::StatusOr<std::unique_ptr<Copy>> BeginSqliteCopy(const DataDir& dir, const std::string& vfs,
                                                      std::atomic<bool>& under_way);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_COPY_H_
