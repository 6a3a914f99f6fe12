#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_VERIFY_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_VERIFY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
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

// Reads a desk from end to end and changes nothing of it: SQLite's own integrity check, the schema,
// the log without holes, each event's content against its hash and the chain over all of them, each
// row against its record and against what it belongs to. Whether the rows say what the events tell
// is for who knows the rules of the desk.
//
// DataLoss names the first fault, NotFound says that there is no desk, FailedPrecondition that a
// process holds it or that another version wrote it. Reads the whole file.
absl::StatusOr<VerifiedDesk> VerifySqliteStore(const VerifyOptions& options);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_VERIFY_H_
