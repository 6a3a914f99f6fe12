#include "core_service/store/sqlite_copy.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/sqlite_reads.h"

namespace agentdesk::store {
namespace {

constexpr int kPagesAtOnce = 256;
constexpr size_t kBytesAtOnce = 256 * 1024;
// What must stay free besides: the write-ahead log grows while the copy is made.
constexpr int64_t kReserve = 64 * 1024 * 1024;

constexpr Sql kBeginRead = {"begin to copy", "BEGIN"};
constexpr Sql kSize = {"read the size of the desk",
                       "SELECT c.page_count * s.page_size"
                       " FROM pragma_page_count c, pragma_page_size s"};

// Nobody else sees the copy, and after a crash it is made again.
constexpr char kQuickSettings[] =
    "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048;";

absl::Status CheckRoom(const std::string& path, int64_t size) {
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) return absl::OkStatus();
  const auto available = static_cast<int64_t>(info.f_bavail * info.f_frsize);
  if (available >= size + kReserve) return absl::OkStatus();
  return ErrorWithReason(
      absl::StatusCode::kResourceExhausted, "disk_full",
      absl::StrCat("a copy of the desk needs ", (size + kReserve) >> 20, " MiB in ", path,
                   ", where ", available >> 20, " MiB are free; free some space and try again"));
}

class SqliteCopy final : public Copy {
 public:
  SqliteCopy(std::string path, std::atomic<bool>& under_way)
      : path_(std::move(path)), under_way_(under_way) {}
  ~SqliteCopy() override {
    if (backup_ != nullptr) sqlite3_backup_finish(backup_);
    target_.reset();
    source_.reset();
    if (file_ >= 0) close(file_);
    unlink(path_.c_str());
    under_way_ = false;
  }

  absl::Status Begin(const DataDir& dir, const std::string& vfs) {
    absl::StatusOr<std::unique_ptr<Connection>> source =
        Connection::Open(dir.File(DataDir::kDeskFile), vfs, Connection::Access::kRead);
    if (!source.ok()) return source.status();
    source_ = *std::move(source);
    // As long as this transaction is open, every page is read as of its first read.
    absl::Status status = Statement(*source_, kBeginRead).Run();
    const absl::StatusOr<LogEnd> end = status.ok() ? ReadLogEnd(*source_) : status;
    if (!end.ok()) return end.status();
    head_ = end->head;
    {
      Statement size(*source_, kSize);
      if (absl::StatusOr<bool> row = size.Next(); !row.ok()) return row.status();
      if (status = CheckRoom(dir.path(), size.Int(0)); !status.ok()) return status;
    }
    // SQLite would make it readable for others.
    if (status = dir.MakeFile(kCopyFile); !status.ok()) return status;
    absl::StatusOr<std::unique_ptr<Connection>> target =
        Connection::Open(path_, vfs, Connection::Access::kWrite);
    if (!target.ok()) return target.status();
    target_ = *std::move(target);
    if (status = target_->Execute("set up a copy", kQuickSettings); !status.ok()) return status;
    backup_ = sqlite3_backup_init(target_->handle(), "main", source_->handle(), "main");
    if (backup_ == nullptr) {
      return target_->Error(sqlite3_errcode(target_->handle()), "begin a copy");
    }
    return absl::OkStatus();
  }

  int64_t head() const override { return head_; }
  bool done() const override { return done_; }

  absl::StatusOr<std::string> Next() override {
    if (backup_ != nullptr) {
      if (absl::Status status = CopyPages(); !status.ok()) return status;
      return std::string();
    }
    std::string bytes(kBytesAtOnce, '\0');
    const ssize_t size = pread(file_, bytes.data(), bytes.size(), read_);
    if (size < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
    bytes.resize(static_cast<size_t>(size));
    read_ += size;
    done_ = size == 0;
    return bytes;
  }

 private:
  absl::Status CopyPages() {
    errno = 0;
    const int code = sqlite3_backup_step(backup_, kPagesAtOnce);
    if (code == SQLITE_OK) return absl::OkStatus();
    sqlite3_backup_finish(std::exchange(backup_, nullptr));
    if (code != SQLITE_DONE) {
      done_ = true;
      return target_->Error(code, "copy the desk");
    }
    target_.reset();
    source_.reset();
    file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (file_ < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path_));
    unlink(path_.c_str());
    return absl::OkStatus();
  }

  const std::string path_;
  std::atomic<bool>& under_way_;
  std::unique_ptr<Connection> source_;  // until all pages are copied
  std::unique_ptr<Connection> target_;
  sqlite3_backup* backup_ = nullptr;
  int64_t head_ = 0;
  int file_ = -1;
  off_t read_ = 0;
  bool done_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Copy>> BeginSqliteCopy(const DataDir& dir, const std::string& vfs,
                                                      std::atomic<bool>& under_way) {
  if (under_way.exchange(true)) {
    return ErrorWithReason(absl::StatusCode::kResourceExhausted, "backup_under_way",
                           "another backup is under way; wait for its end");
  }
  auto copy = std::make_unique<SqliteCopy>(dir.File(kCopyFile), under_way);
  if (absl::Status status = copy->Begin(dir, vfs); !status.ok()) return status;
  return copy;
}

}  // namespace agentdesk::store
