#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_EVENTS_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_EVENTS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/store.h"

namespace agentdesk::store {

// View::ReadEvents over a connection with an open transaction whose log ends at `head`.
absl::StatusOr<EventRead> ReadEvents(Connection& connection, const EventQuery& query, int64_t head);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_EVENTS_H_
