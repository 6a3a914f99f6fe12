#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_SCHEMA_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_SCHEMA_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core_service/base/uuid.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/store.h"

namespace agentdesk::store {

// Which desk a file holds, and where it came from.
struct DeskIdentity {
  std::string desk_id;
  Origin origin;
};

// Brings the file behind `writer` to this program's schema, each step in a transaction of its own:
// the steps are schema/*.sql, the file's user_version says how many it has had. An empty file
// becomes the desk `new_desk_id`.
//
// FailedPrecondition: the file was written by a newer version, or is a database of something else.
absl::StatusOr<DeskIdentity> OpenSchema(Connection& writer, const Uuid& new_desk_id);

// DataLoss where the file's tables and indexes are not those of this program's schema.
// FailedPrecondition as above, and where they are those of an older one.
absl::Status VerifySchema(Connection& connection);

// Of a file with this program's schema.
absl::StatusOr<DeskIdentity> ReadIdentity(Connection& connection);
// Makes it another desk, restored from the one that it was, whose last event is `head`.
absl::Status SetIdentity(Connection& writer, const Uuid& desk_id, int64_t head);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_SCHEMA_H_
