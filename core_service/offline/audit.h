#ifndef AGENTDESK_CORE_SERVICE_OFFLINE_AUDIT_H_
#define AGENTDESK_CORE_SERVICE_OFFLINE_AUDIT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core_service/store/sqlite_verify.h"

namespace agentdesk::offline {

// What was noted of a log earlier, outside of the desk: the chain value after one of its entries.
// Whoever rewrites a log with all its hashes cannot make it lead to the same value.
struct ChainAnchor {
  int64_t sequence = 0;
  std::string chain;  // 32 bytes

  // Reads `SEQUENCE:HEX`, as the report of an audit shows it. InvalidArgument says what is wrong.
  static absl::StatusOr<ChainAnchor> Parse(absl::string_view text);
};

// Proves a desk's log, and shows each entry to `visit` once it is proved (VerifySqliteLog). `path`
// is the data directory of a desk that no core runs, or a backup. DataLoss names the first entry
// that is wrong, also where it is not the one that `anchor` says; other errors as
// VerifySqliteStore.
absl::StatusOr<store::VerifiedLog> AuditLog(
    const std::string& path, const std::optional<ChainAnchor>& anchor,
    absl::FunctionRef<absl::Status(const store::LogEntry&)> visit);

}  // namespace agentdesk::offline

#endif  // AGENTDESK_CORE_SERVICE_OFFLINE_AUDIT_H_
