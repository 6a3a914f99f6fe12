#include "core_service/store/sqlite_store.h"

#include <unistd.h>

#include <atomic>
#include <cassert>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/mutex.h"
#include "core_service/store/data_dir.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/sqlite_copy.h"
#include "core_service/store/sqlite_reads.h"
#include "core_service/store/sqlite_schema.h"
#include "core_service/store/sqlite_transaction.h"

namespace agentdesk::store {
namespace {

constexpr absl::Duration kLongestWaitForReader = absl::Seconds(1);

constexpr Sql kBeginRead = {"begin to read", "BEGIN"};
constexpr Sql kEndRead = {"end reading", "ROLLBACK"};

// The connections that read, each lent to one view at a time.
class Readers {
 public:
  explicit Readers(Clock& clock) : clock_(clock) {}

  void Add(std::unique_ptr<Connection> connection) {
    MutexLock lock(mutex_);
    free_.push_back(std::move(connection));
    freed_.NotifyOne();
  }
  absl::StatusOr<std::unique_ptr<Connection>> Take() {
    const absl::Duration deadline = clock_.Monotonic() + kLongestWaitForReader;
    MutexLock lock(mutex_);
    while (free_.empty()) {
      if (clock_.Monotonic() >= deadline) {
        return absl::ResourceExhaustedError(
            "too many reads at once: none ended within a second; try again later");
      }
      clock_.WaitUntil(freed_, mutex_, deadline);
    }
    std::unique_ptr<Connection> connection = std::move(free_.back());
    free_.pop_back();
    return connection;
  }

 private:
  Clock& clock_;
  Mutex mutex_;
  Condition freed_;
  std::vector<std::unique_ptr<Connection>> free_ ABSL_GUARDED_BY(mutex_);
};

class SqliteView final : public SqliteReads<View> {
 public:
  static absl::StatusOr<std::unique_ptr<View>> Open(Readers& readers) {
    absl::StatusOr<std::unique_ptr<Connection>> connection = readers.Take();
    if (!connection.ok()) return connection.status();
    // The first read fixes what the transaction sees.
    absl::Status begun = Statement(**connection, kBeginRead).Run();
    absl::StatusOr<LogEnd> end = begun.ok() ? ReadLogEnd(**connection) : begun;
    if (!end.ok()) {
      Return(readers, *std::move(connection));
      return end.status();
    }
    return std::unique_ptr<View>(new SqliteView(readers, *std::move(connection), *end));
  }
  ~SqliteView() override { Return(readers_, std::move(lent_)); }

 private:
  SqliteView(Readers& readers, std::unique_ptr<Connection> connection, const LogEnd& end)
      : SqliteReads<View>(*connection, end, nullptr),
        readers_(readers),
        lent_(std::move(connection)) {}

  static void Return(Readers& readers, std::unique_ptr<Connection> connection) {
    if (connection->in_transaction()) Statement(*connection, kEndRead).Run().IgnoreError();
    readers.Add(std::move(connection));
  }

  Readers& readers_;
  std::unique_ptr<Connection> lent_;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(DataDir dir, std::string vfs, Clock& clock, DeskIdentity identity,
              std::unique_ptr<Writer> writer)
      : dir_(std::move(dir)),
        vfs_(std::move(vfs)),
        identity_(std::move(identity)),
        writer_(std::move(writer)),
        readers_(clock) {}
  ~SqliteStore() override {
    assert(!writer_->busy);
    if (!writer_->failed.ok()) writer_->connection->KeepLog();
  }

  void AddReader(std::unique_ptr<Connection> connection) { readers_.Add(std::move(connection)); }

  const std::string& desk_id() const override { return identity_.desk_id; }
  const Origin& origin() const override { return identity_.origin; }
  absl::StatusOr<std::unique_ptr<Transaction>> Begin() override {
    return SqliteTransaction::Begin(*writer_);
  }
  absl::StatusOr<std::unique_ptr<View>> OpenView() override { return SqliteView::Open(readers_); }
  absl::StatusOr<std::unique_ptr<Copy>> BeginCopy() override {
    return BeginSqliteCopy(dir_, vfs_, copying_);
  }

 private:
  // Destroyed in the reverse order: readers, then the writer, which as the last connection copies
  // the write-ahead log into the file unless a write has failed, then the lock.
  DataDir dir_;
  const std::string vfs_;
  const DeskIdentity identity_;
  std::atomic<bool> copying_{false};
  const std::unique_ptr<Writer> writer_;
  Readers readers_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteOptions& options, Clock& clock,
                                                       IdSource& ids) {
  if (options.readers < 1) return absl::InvalidArgumentError("a store needs at least one reader");
  absl::StatusOr<DataDir> dir = DataDir::Hold(options.data_dir);
  if (!dir.ok()) return dir.status();
  const std::string path = dir->File(DataDir::kDeskFile);
  unlink(dir->File(kCopyFile).c_str());  // what a killed process was copying
  // SQLite gives its other files the mode of this one, and takes an empty file for a new database.
  // None of them is on the disk before it, so a log without its file is nothing that a loss of
  // power leaves.
  absl::Status made = dir->MakeFile(DataDir::kDeskFile);
  if (made.ok()) made = dir->Sync();
  if (!made.ok()) return made;
  absl::StatusOr<std::unique_ptr<Connection>> writer =
      Connection::Open(path, options.vfs, Connection::Access::kWrite);
  if (!writer.ok()) return writer.status();
  absl::StatusOr<DeskIdentity> identity = OpenSchema(**writer, ids.NewUuid(clock.Now()));
  absl::Status durable = identity.status();
  // Also for the journal that SQLite deleted when it turned the write-ahead log on: found again
  // after a loss of power, it would undo the file, and SQLite drops the log of an empty file.
  if (durable.ok()) durable = dir->Sync();
  // Nobody may be served from what the process before this one has left until it is on the disk. It
  // goes there first as it is: from a log with a hole the file could not be made whole again.
  if (durable.ok()) durable = (*writer)->RewriteLog();
  if (durable.ok()) durable = (*writer)->EmptyLog();
  if (!durable.ok()) {
    (*writer)->KeepLog();
    return durable;
  }
  absl::StatusOr<LogEnd> end = ReadLogEnd(**writer);
  if (!end.ok()) return end.status();
  const absl::StatusOr<LastKeys> keys = ReadLastKeys(**writer);
  if (!keys.ok()) return keys.status();

  auto store = std::make_unique<SqliteStore>(
      *std::move(dir), options.vfs, clock, *std::move(identity),
      std::make_unique<Writer>(*std::move(writer), options.checkpoint_pages, *end, *keys));
  for (int i = 0; i < options.readers; ++i) {
    absl::StatusOr<std::unique_ptr<Connection>> reader =
        Connection::Open(path, options.vfs, Connection::Access::kRead);
    if (!reader.ok()) return reader.status();
    store->AddReader(*std::move(reader));
  }
  return store;
}

}  // namespace agentdesk::store
