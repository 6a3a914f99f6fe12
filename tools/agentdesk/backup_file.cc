#include "tools/agentdesk/backup_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"

namespace agentdesk::cli {
namespace {

absl::Status SystemError(absl::string_view doing, absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", doing, " ", path));
}

absl::Status SyncParent(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string parent = ".";
  if (slash != std::string::npos) parent = slash == 0 ? "/" : path.substr(0, slash);
  const int directory = open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return SystemError("open", parent);
  absl::Status status =
      fsync(directory) == 0 ? absl::OkStatus() : SystemError("make durable", parent);
  close(directory);
  return status;
}

absl::Status RefuseExisting(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(path, " exists; choose another name"));
}

// Whether the file still has this name: it may have got its final one, or have been removed.
bool IsNameOf(const std::string& path, int file) {
  struct stat named;
  struct stat opened;
  return stat(path.c_str(), &named) == 0 && fstat(file, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

}  // namespace

void BackupFile::FreeHash::operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }

absl::StatusOr<std::unique_ptr<BackupFile>> BackupFile::Create(const std::string& path) {
  if (absl::Status status = RefuseExisting(path); !status.ok()) return status;
  const std::string partial = absl::StrCat(path, ".partial");
  // What there is may be another's who is at it: whoever has the lock may empty it.
  const int file = open(partial.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return SystemError("make", partial);
  const bool locked = flock(file, LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno != EWOULDBLOCK) {
    absl::Status status = SystemError("lock", partial);
    close(file);
    return status;
  }
  if (!locked || !IsNameOf(partial, file)) {
    close(file);
    return absl::FailedPreconditionError(
        absl::StrCat("another backup is being written to ", path, "; choose another name"));
  }
  auto backup = absl::WrapUnique(new BackupFile(path, file));
  // Another may have ended since this was looked at.
  if (absl::Status status = RefuseExisting(path); !status.ok()) return status;
  if (ftruncate(file, 0) != 0) return SystemError("empty", partial);
  return backup;
}

BackupFile::BackupFile(std::string path, int file)
    : path_(std::move(path)),
      partial_(absl::StrCat(path_, ".partial")),
      file_(file),
      hash_(EVP_MD_CTX_new()) {
  EVP_DigestInit_ex(hash_.get(), EVP_sha256(), nullptr);
}

BackupFile::~BackupFile() {
  if (file_ < 0) return;
  unlink(partial_.c_str());  // while the lock is held: a moment later it may be another's
  close(file_);
}

absl::Status BackupFile::Append(absl::string_view bytes) {
  EVP_DigestUpdate(hash_.get(), bytes.data(), bytes.size());
  size_ += static_cast<int64_t>(bytes.size());
  while (!bytes.empty()) {
    const ssize_t written = write(file_, bytes.data(), bytes.size());
    if (written < 0) return SystemError("write", partial_);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status BackupFile::Commit(int64_t size, absl::string_view sha256) {
  std::string digest(32, '\0');
  EVP_DigestFinal_ex(hash_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr);
  if (size != size_ || digest != sha256) {
    return absl::DataLossError(
        absl::StrCat("what arrived is not what was sent (", size_, " of ", size, " bytes)"));
  }
  if (fsync(file_) != 0) return SystemError("make durable", partial_);
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) return SystemError("make", path_);
  close(std::exchange(file_, -1));
  return SyncParent(path_);
}

}  // namespace agentdesk::cli
