#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_RESTORE_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_RESTORE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core_service/base/clock.h"
#include "core_service/base/uuid.h"
#include "core_service/store/data_dir.h"

namespace agentdesk::store {

// A backup on its way to being a desk. Until Commit there is no desk in the directory, whatever
// happens.
class Restoration {
 public:
  // Copies a backup into a directory that has no desk (it is made where it is missing), brings it
  // to this program's schema and gives it a new desk id.
  //
  // AlreadyExists: the directory has a desk, or a file of one. NotFound: there is no such backup.
  // DataLoss, FailedPrecondition: it is no backup, or no whole one, or a newer version wrote it.
  // ResourceExhausted: the disk is full. Unavailable: it could not be written. `vfs` as in
  // SqliteOptions.
  static absl::StatusOr<Restoration> Begin(const std::string& backup, const std::string& data_dir,
                                           Clock& clock, IdSource& ids,
                                           const std::string& vfs = "");
  Restoration(Restoration&&) = default;
  ~Restoration();

  // What will be the desk: a file that can be verified.
  std::string file() const;
  const std::string& desk_id() const { return desk_id_; }
  // Makes it the directory's desk, durably.
  absl::Status Commit();

 private:
  explicit Restoration(DataDir dir) : dir_(std::move(dir)) {}

  DataDir dir_;
  std::string desk_id_;
};

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_RESTORE_H_
