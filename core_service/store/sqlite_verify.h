#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_VERIFY_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_VERIFY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentdesk/v1/event.pb.h"
#include "core_service/store/event_chain.h"
#include "core_service/store/store.h"

namespace agentdesk::store {

struct VerifyOptions {
  std::string path;  // the data directory of a desk that no core runs, or a backup of one
  std::string vfs = {};
  bool since_checkpoint = false;  // the log only from the last checkpoint on, if there is one
};

// A desk that was found sound.
struct VerifiedDesk {
  std::string desk_id;
  Origin origin;
  std::unique_ptr<View> view;
};

// Reads a desk from end to end and changes nothing that it holds: SQLite's own integrity check, the
// schema, the log without holes, each event's content against its hash and the chain over all of
// them, each row against its record and against what it belongs to. Whether the rows say what the
// events tell is for who knows the rules of the desk. Where a killed core has left a write-ahead
// log in a data directory, its content is in the desk's own file when this is over.
//
// DataLoss names the first fault, NotFound says that there is no desk, FailedPrecondition that a
// process holds it, that another version wrote it, or that the file is no backup but a part of a
// desk (CheckWhole). Reads the whole file.
absl::StatusOr<VerifiedDesk> VerifySqliteStore(const VerifyOptions& options);

// One entry of a log, after those before it were found to lead to it.
struct LogEntry {
  v1::Event event;     // without content where that was erased
  v1::EventType type;  // also then
  std::string header;  // as it is hashed (store/event_chain.h)
  Digest content_hash{};
  Digest chain{};
  int64_t erased_by = 0;  // the event that erased the content; 0: none did
};

struct VerifiedLog {
  std::string desk_id;
  int64_t head = 0;
  Digest chain{};  // at the head
};

// Reads a desk's log alone, from its first entry to its last, and changes nothing that it holds:
// SQLite's integrity check, no holes, each content that was not erased against its hash, the chain
// over all entries, and what the columns beside an entry repeat of it. Each entry is shown to
// `visit` when all this held up to and with it; what `visit` refuses ends the reading. `path`, what
// becomes of a write-ahead log, and errors as VerifySqliteStore.
absl::StatusOr<VerifiedLog> VerifySqliteLog(const std::string& path,
                                            absl::FunctionRef<absl::Status(const LogEntry&)> visit);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_VERIFY_H_
