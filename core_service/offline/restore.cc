#include "core_service/offline/restore.h"

#include "absl/strings/str_cat.h"
#include "core_service/store/sqlite_restore.h"

namespace agentdesk::offline {

absl::StatusOr<CheckReport> RestoreDesk(const std::string& backup, const std::string& data_dir,
                                        Clock& clock, IdSource& ids) {
  absl::StatusOr<store::Restoration> restoration =
      store::Restoration::Begin(backup, data_dir, clock, ids);
  if (!restoration.ok()) return restoration.status();
  absl::StatusOr<CheckReport> report = CheckDesk(restoration->file(), /*since_checkpoint=*/false);
  if (!report.ok()) return report;
  if (report->desk_id != restoration->desk_id()) {
    return absl::DataLossError(absl::StrCat(restoration->file(),
                                            " is not what was written: it has the id ",
                                            report->desk_id, " still"));
  }
  if (absl::Status status = restoration->Commit(); !status.ok()) return status;
  return report;
}

}  // namespace agentdesk::offline
