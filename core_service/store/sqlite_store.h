#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_STORE_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_STORE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core_service/base/clock.h"
#include "core_service/base/uuid.h"
#include "core_service/store/store.h"

namespace agentdesk::store {

struct SqliteOptions {
  std::string data_dir;  // made when it is missing; holds desk.sqlite3 and a lock file
  int readers = 4;       // connections that read
  std::string vfs;       // SQLite's file layer; empty: the system's. Tests put faults in here.
  // How many pages of 4 KiB the write-ahead log grows by before it is copied into the file. More of
  // them mean fewer copies of pages that change often, and a longer log to read after a crash.
  int checkpoint_pages = 4096;
};

// Opens the desk in a directory, making it (with a new desk id) or migrating it forward as needed.
//
// All that is in it then is on the disk, also what a process that was killed, or had failed, had
// written and not made durable.
//
// FailedPrecondition: another process holds the directory, or the file was written by a newer
// version; the text says which. PermissionDenied, Unavailable, DataLoss: what the file system or
// SQLite said, such as that another program reads the file.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteOptions& options, Clock& clock,
                                                       IdSource& ids);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_STORE_H_
