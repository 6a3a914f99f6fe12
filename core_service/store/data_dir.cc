#include "core_service/store/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace agentdesk::store {
namespace {

constexpr char kLockName[] = "desk.lock";
constexpr char kForbidden[] = "let this user read and write the directory and what is in it";

absl::Status SystemError(absl::string_view doing, absl::string_view path) {
  const int error = errno;
  absl::Status status = absl::ErrnoToStatus(error, absl::StrCat("cannot ", doing, " ", path));
  if (error == EIO) return absl::UnavailableError(status.message());
  if (error != EACCES && error != EPERM) return status;
  return absl::Status(status.code(), absl::StrCat(status.message(), "; ", kForbidden));
}

std::string Parent(const std::string& path) {
  const size_t slash = path.find_last_not_of('/') == std::string::npos
                           ? std::string::npos
                           : path.rfind('/', path.find_last_not_of('/'));
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status SyncDirectory(const std::string& path) {
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return SystemError("open the directory", path);
  const bool synced = fsync(directory) == 0;
  absl::Status status = synced ? absl::OkStatus() : SystemError("make durable the directory", path);
  close(directory);
  return status;
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return SyncDirectory(Parent(path));
  if (errno == EEXIST) return absl::OkStatus();
  if (errno != ENOENT || Parent(path) == path) return SystemError("make the directory", path);
  if (absl::Status status = MakeDirectory(Parent(path)); !status.ok()) return status;
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return SystemError("make the directory", path);
  }
  return SyncDirectory(Parent(path));
}

}  // namespace

absl::StatusOr<DataDir> DataDir::Hold(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("the data directory is not set");
  if (absl::Status status = MakeDirectory(path); !status.ok()) return status;
  const std::string file = absl::StrCat(path, "/", kLockName);
  const int lock = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return SystemError("open", file);
  DataDir dir(path, lock);
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return SystemError("lock", file);
    char text[20];
    const ssize_t size = pread(lock, text, sizeof(text), 0);
    int pid = 0;
    const bool known =
        size > 0 && absl::SimpleAtoi(absl::string_view(text, static_cast<size_t>(size)), &pid);
    return absl::FailedPreconditionError(absl::StrCat(
        "another process holds ", path, known ? absl::StrCat(" (pid ", pid, ")") : ""));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock, 0) != 0 ||
      pwrite(lock, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return SystemError("write", file);
  }
  return dir;
}

DataDir::DataDir(DataDir&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataDir::~DataDir() {
  if (lock_ >= 0) close(lock_);
}

std::string DataDir::File(const char* name) const { return absl::StrCat(path_, "/", name); }

absl::Status DataDir::MakeFile(const char* name) const {
  const int file = open(File(name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return SystemError("open", File(name));
  close(file);
  return absl::OkStatus();
}

absl::Status DataDir::Sync() const { return SyncDirectory(path_); }

}  // namespace agentdesk::store
