#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/store/data_dir.h"
#include "core_service/store/event_chain.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/sqlite_store.h"

namespace agentdesk::store {
namespace {

constexpr Sql kIntegrity = {"check the file", "PRAGMA integrity_check(1)"};
constexpr Sql kLog = {"read the log",
                      "SELECT sequence, type, event, content_hash, chain, erased_by FROM events"
                      " ORDER BY sequence"};

absl::string_view Bytes(const Digest& digest) {
  return absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size());
}

absl::Status Fault(int64_t sequence, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("event ", sequence, " ", what, "; the log was changed or is damaged"));
}

absl::Status VerifyFile(Connection& connection) {
  Statement check(connection, kIntegrity);
  absl::StatusOr<bool> row = check.Next();
  if (!row.ok()) return row.status();
  if (*row && check.Bytes(0) == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the desk's file is damaged: ", check.Bytes(0)));
}

absl::Status VerifyLog(Connection& connection) {
  Statement log(connection, kLog);
  Digest chain{};
  for (int64_t expected = 1;; ++expected) {
    absl::StatusOr<bool> row = log.Next();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    const int64_t sequence = log.Int(0);
    if (sequence != expected) return Fault(expected, "is missing");
    absl::StatusOr<EventParts> parts = SplitEvent(log.Bytes(2));
    if (!parts.ok()) return Fault(sequence, "cannot be read");
    if (static_cast<int64_t>(parts->type) != log.Int(1)) return Fault(sequence, "has another type");

    const absl::string_view stored_hash = log.Bytes(3);
    Digest content_hash{};
    if (stored_hash.size() != content_hash.size()) return Fault(sequence, "has no content hash");
    std::copy(stored_hash.begin(), stored_hash.end(), content_hash.begin());
    const bool erased = !log.IsNull(5);
    if (erased ? !parts->payload.empty() : ContentHash(parts->payload) != content_hash) {
      return Fault(sequence, "does not have the content that its hash was made of");
    }
    chain = ChainValue(chain, parts->header, parts->type, content_hash);
    if (log.Bytes(4) != Bytes(chain))
      return Fault(sequence, "does not follow from those before it");
  }
}

}  // namespace

absl::Status VerifySqliteStore(const SqliteOptions& options) {
  const std::string file = absl::StrCat(options.data_dir, "/", DataDir::kDeskFile);
  if (access(file.c_str(), F_OK) != 0) {
    return absl::NotFoundError(absl::StrCat("there is no desk: ", file));
  }
  absl::StatusOr<DataDir> dir = DataDir::Hold(options.data_dir);
  if (!dir.ok()) return dir.status();
  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(file, options.vfs, Connection::Access::kWrite);
  if (!connection.ok()) return connection.status();
  if (absl::Status status = VerifyFile(**connection); !status.ok()) return status;
  return VerifyLog(**connection);
}

}  // namespace agentdesk::store
