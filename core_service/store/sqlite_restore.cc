#include "core_service/store/sqlite_restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/sqlite_reads.h"
#include "core_service/store/sqlite_schema.h"

namespace agentdesk::store {
namespace {

constexpr char kPartFile[] = "restore.partial";
constexpr size_t kBytesAtOnce = 1024 * 1024;

absl::Status SystemError(absl::string_view doing, absl::string_view path) {
  if (errno == ENOSPC || errno == EDQUOT) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot ", doing, " ", path, ": the disk is full"));
  }
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", doing, " ", path));
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int number() const { return number_; }

 private:
  const int number_;
};

absl::Status CopyFile(const std::string& from, const std::string& to) {
  const Descriptor in(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.number() < 0) return SystemError("open", from);
  const Descriptor out(open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (out.number() < 0) return SystemError("make", to);
  std::vector<char> bytes(kBytesAtOnce);
  while (true) {
    const ssize_t size = read(in.number(), bytes.data(), bytes.size());
    if (size < 0) return SystemError("read", from);
    if (size == 0) break;
    for (ssize_t done = 0; done < size;) {
      const ssize_t written =
          write(out.number(), bytes.data() + done, static_cast<size_t>(size - done));
      if (written < 0) return SystemError("write", to);
      done += written;
    }
  }
  return fsync(out.number()) == 0 ? absl::OkStatus() : SystemError("make durable", to);
}

// AlreadyExists where a desk is in the directory, or anything that SQLite keeps beside one: the new
// desk would take up the log of a desk whose file alone was moved away.
absl::Status CheckNoDesk(const DataDir& dir) {
  std::vector<std::string> found;
  for (const char* suffix : kDatabaseFiles) {
    const std::string name = absl::StrCat(DataDir::kDeskFile, suffix);
    const std::string file = dir.File(name.c_str());
    struct stat info {};
    if (lstat(file.c_str(), &info) == 0) {
      found.push_back(name);
    } else if (errno != ENOENT) {
      return SystemError("look for", file);
    }
  }
  if (found.empty()) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(
      dir.path(), " has a desk already, or the rest of one: ", absl::StrJoin(found, ", "),
      "; restore into another directory, or move all of them away together"));
}

// Removes a file and what SQLite keeps beside it, where they exist.
absl::Status RemoveDatabase(const std::string& file) {
  for (const char* suffix : kDatabaseFiles) {
    const std::string name = file + suffix;
    if (unlink(name.c_str()) != 0 && errno != ENOENT) return SystemError("remove", name);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> MakeAnotherDesk(const std::string& file, const std::string& vfs,
                                            const Uuid& new_desk_id) {
  absl::StatusOr<std::unique_ptr<Connection>> writer =
      Connection::Open(file, vfs, Connection::Access::kWrite);
  if (!writer.ok()) return writer.status();
  const absl::StatusOr<DeskIdentity> before = OpenSchema(**writer, new_desk_id);
  if (!before.ok()) return before.status();
  if (before->desk_id == new_desk_id.ToString()) {
    return absl::DataLossError(absl::StrCat(file, " was empty: the backup holds no desk"));
  }
  const absl::StatusOr<LogEnd> end = ReadLogEnd(**writer);
  if (!end.ok()) return end.status();
  absl::Status status = SetIdentity(**writer, new_desk_id, end->head);
  // Closing would do it too, but keep to itself that it could not; the file would be the old desk.
  if (status.ok()) status = (*writer)->EmptyLog();
  if (!status.ok()) return status;
  return new_desk_id.ToString();
}

}  // namespace

absl::StatusOr<Restoration> Restoration::Begin(const std::string& backup,
                                               const std::string& data_dir, Clock& clock,
                                               IdSource& ids, const std::string& vfs) {
  struct stat info {};
  if (stat(backup.c_str(), &info) != 0) return SystemError("read the backup", backup);
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(backup, " is not a backup: it is no file"));
  }
  if (absl::Status status = CheckWhole(backup); !status.ok()) return status;
  absl::StatusOr<DataDir> dir = DataDir::Hold(data_dir);
  if (!dir.ok()) return dir.status();
  Restoration restoration(*std::move(dir));
  const std::string file = restoration.file();
  absl::Status status = CheckNoDesk(restoration.dir_);
  if (status.ok()) status = RemoveDatabase(file);  // what a killed process was restoring
  if (status.ok()) status = CopyFile(backup, file);
  if (!status.ok()) return status;
  absl::StatusOr<std::string> desk_id = MakeAnotherDesk(file, vfs, ids.NewUuid(clock.Now()));
  if (!desk_id.ok()) return desk_id.status();
  restoration.desk_id_ = *std::move(desk_id);
  return restoration;
}

Restoration::~Restoration() {
  if (dir_.held()) RemoveDatabase(file()).IgnoreError();
}

std::string Restoration::file() const { return dir_.File(kPartFile); }

absl::Status Restoration::Commit() {
  const std::string desk = dir_.File(DataDir::kDeskFile);
  if (std::rename(file().c_str(), desk.c_str()) != 0) return SystemError("make", desk);
  return dir_.Sync();
}

}  // namespace agentdesk::store
