#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_CHECKPOINT_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_CHECKPOINT_H_

#include <cstdint>
#include <optional>

#include "core_service/store/event_chain.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/store.h"

namespace agentdesk::store {

// Where the verification of the log may start; what is not there is so in the schema's 0002.sql.
struct StoredCheckpoint {
  int64_t sequence = 0;
  Digest chain{};
  Digest digest{};
};
// Nothing when none was stored. DataLoss when it cannot be read.
absl::StatusOr<std::optional<StoredCheckpoint>> ReadCheckpoint(Connection& connection);
// The digest that the stored states give.
absl::StatusOr<Digest> DigestOfCheckpoint(Connection& connection, const Digest& chain);
absl::StatusOr<TicketCheckpoint> FindCheckpoint(Connection& connection,
                                                absl::string_view session_id);

// Stores a checkpoint of the end of the log as `transaction` sees it, over its own connection.
absl::Status PutCheckpoint(Connection& connection, View& transaction, const Digest& chain);

absl::StatusOr<int64_t> SequenceAt(Connection& connection, absl::Time time, int64_t head);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_CHECKPOINT_H_
