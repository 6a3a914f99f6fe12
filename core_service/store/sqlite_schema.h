#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_SCHEMA_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_SCHEMA_H_

#include "absl/status/statusor.h"
#include "core_service/base/uuid.h"
#include "core_service/store/sqlite_connection.h"

namespace agentdesk::store {

// Brings the file behind `writer` to this program's schema, each step in a transaction of its own:
// the steps are schema/*.sql, the file's user_version says how many it has had. An empty file
// becomes the desk `new_desk_id`. Returns the id of the desk that the file holds.
//
// FailedPrecondition: the file was written by a newer version, or is a database of something else.
absl::StatusOr<Uuid> OpenSchema(Connection& writer, const Uuid& new_desk_id);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_SCHEMA_H_
