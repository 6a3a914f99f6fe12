#ifndef AGENTDESK_CORE_SERVICE_STORE_DATA_DIR_H_
#define AGENTDESK_CORE_SERVICE_STORE_DATA_DIR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace agentdesk::store {

// A data directory that this process alone holds, by a lock that the system drops when the process
// ends, however it ends. Any thread may ask it; only one, while no other does, may move it.
class DataDir {
 public:
  static constexpr char kDeskFile[] = "desk.sqlite3";

  // Makes the directory where it is missing, for this user alone. FailedPrecondition: another
  // process holds it.
  static absl::StatusOr<DataDir> Hold(const std::string& path);
  ~DataDir();
  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&&) = delete;

  // False once it was moved from.
  bool held() const { return lock_ >= 0; }
  const std::string& path() const { return path_; }
  std::string File(const char* name) const;
  // Makes an empty file that only this user may read, unless there is one.
  absl::Status MakeFile(const char* name) const;
  // Makes what was created in the directory survive a loss of power.
  absl::Status Sync() const;

 private:
  DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  int lock_;
};

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_DATA_DIR_H_
