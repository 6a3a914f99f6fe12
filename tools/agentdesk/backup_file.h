#ifndef AGENTDESK_TOOLS_AGENTDESK_BACKUP_FILE_H_
#define AGENTDESK_TOOLS_AGENTDESK_BACKUP_FILE_H_

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentdesk::cli {

// A file that exists under its name only once it is whole and on the disk. Until then it is
// NAME.partial, readable by this user alone, and locked.
class BackupFile {
 public:
  // AlreadyExists: there is a file of that name, which is left alone. FailedPrecondition: so is
  // NAME.partial, which another process writes.
  static absl::StatusOr<std::unique_ptr<BackupFile>> Create(const std::string& path);
  // Removes what was not committed.
  ~BackupFile();
  BackupFile(const BackupFile&) = delete;
  BackupFile& operator=(const BackupFile&) = delete;

  absl::Status Append(absl::string_view bytes);
  // Gives it its name, if it has this size and this SHA-256; DataLoss if not.
  absl::Status Commit(int64_t size, absl::string_view sha256);

 private:
  struct FreeHash {
    void operator()(EVP_MD_CTX* context) const;
  };

  BackupFile(std::string path, int file);

  const std::string path_;
  const std::string partial_;
  int file_;
  int64_t size_ = 0;
  const std::unique_ptr<EVP_MD_CTX, FreeHash> hash_;
};

}  // namespace agentdesk::cli

#endif  // AGENTDESK_TOOLS_AGENTDESK_BACKUP_FILE_H_
