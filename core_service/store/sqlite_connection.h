#ifndef AGENTDESK_CORE_SERVICE_STORE_SQLITE_CONNECTION_H_
#define AGENTDESK_CORE_SERVICE_STORE_SQLITE_CONNECTION_H_

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core_service/base/uuid.h"

namespace agentdesk::store {

class RowQueue;

// One SQL statement of the program's own text, and what it does in words for errors: `read a
// ticket`. Defined once, as a constant: its address names the prepared statement in each
// connection.
struct Sql {
  const char* purpose;
  const char* text;
};

// The files of a database, by what SQLite adds to the first one's name for the others.
inline constexpr const char* kDatabaseFiles[] = {"", "-wal", "-shm", "-journal"};

// FailedPrecondition where a log beside `file` may hold what the file itself lacks, since the
// program that wrote it was killed or still runs. A copy of the file alone would lose that.
absl::Status CheckWhole(const std::string& file);

// A connection to the desk's file. Used by one thread at a time.
class Connection {
 public:
  enum class Access {
    kWrite,  // the one that writes and checkpoints
    kRead,   // reads only, and never touches the write-ahead log's end
    kFrozen  // reads a whole file that nobody changes, such as a backup; leaves nothing beside it
  };

  // `vfs` may be empty: the system's. With kFrozen, errors as CheckWhole; with kWrite,
  // FailedPrecondition where there is the write-ahead log of a file that is missing or empty.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path,
                                                          const std::string& vfs, Access access);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Copies the write-ahead log into the file where the log has grown by `pages` since this last
  // did. Reads that are under way may keep some of it back until a later time; a log of many times
  // that length makes this wait for them, a tenth of a second at most.
  absl::Status Checkpoint(int pages);
  // Makes durable what another process has left in the write-ahead log. That it can be read proves
  // nothing: the process may have been killed before it synced it, and what a sync has failed for
  // is passed over by the next one, unless it is written again.
  absl::Status RewriteLog();
  // Copies all of the write-ahead log into the file, durably, and empties it. Unavailable while
  // another connection reads.
  absl::Status EmptyLog();

  // Closing will leave the write-ahead log as it is, for the next process, instead of copying it:
  // after a write or a sync has failed, SQLite does not know what of the file is still to be
  // synced.
  void KeepLog();

  // Runs statements whose rows are of no interest.
  absl::Status Execute(const char* purpose, const char* script);
  // Whether a transaction is open; SQLite ends one by itself after some errors.
  bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }
  int64_t last_key() const { return sqlite3_last_insert_rowid(handle_); }
  int changes() const { return sqlite3_changes(handle_); }
  // From now on the rows of `queue` are written before a statement that names its table runs.
  void Add(RowQueue& queue);
  // For SQLite's own interfaces that have no SQL.
  sqlite3* handle() { return handle_; }

  // What SQLite's result `code` means for the caller: ResourceExhausted when the disk is full,
  // DataLoss when the file is damaged, Unavailable when it could not be read or written. The text
  // says what was being done, in which file, and what to do.
  absl::Status Error(int code, const char* purpose) const;

 private:
  friend class Statement;
  explicit Connection(std::string path) : path_(std::move(path)) {}
  struct PreparedSql {
    sqlite3_stmt* statement = nullptr;
    std::vector<RowQueue*> queues;  // of tables that it names
  };

  // Ready to run: what is queued for the tables that it names is written.
  absl::StatusOr<sqlite3_stmt*> Prepared(const Sql& sql);

  const std::string path_;
  sqlite3* handle_ = nullptr;
  int wal_pages_ = 0;        // in the write-ahead log, as of the last commit
  int copied_at_pages_ = 0;  // its length when it was last copied
  absl::flat_hash_map<const Sql*, std::unique_ptr<PreparedSql>> prepared_;
  std::vector<RowQueue*> queues_;
};

// A text of bytes that is bound as a blob.
struct Blob {
  absl::string_view bytes;
};

// One use of a prepared statement: binds at construction or one value after the other, is ready for
// the next use when destroyed.
// A failure to prepare or bind is what Next() or Run() answers. Texts and blobs that are bound must
// stay where they are until then; ids and numbers are copied. Not two at once of the same Sql on
// one connection.
class Statement {
 public:
  template <typename... Values>
  Statement(Connection& connection, const Sql& sql, const Values&... values)
      : connection_(connection), sql_(sql) {
    Prepare();
    (Bind(values), ...);
  }
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Whether there is a row; then the columns can be read.
  absl::StatusOr<bool> Next();
  // Runs to the end; rows are ignored.
  absl::Status Run();

  // Binds the next parameter.
  void Bind(int64_t value);
  void Bind(int value) { Bind(int64_t{value}); }
  void Bind(bool value) { Bind(int64_t{value}); }
  void Bind(absl::string_view text);
  void Bind(const std::string& text) { Bind(absl::string_view(text)); }
  // Nothing is NULL.
  void Bind(const std::optional<std::string>& text);
  void Bind(Blob blob);
  void Bind(const Uuid& id);

  int64_t Int(int column) const { return sqlite3_column_int64(handle_, column); }
  bool IsNull(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
  // Valid until the next call of Next().
  absl::string_view Bytes(int column) const;

 private:
  void Prepare();

  Connection& connection_;
  const Sql& sql_;
  sqlite3_stmt* handle_ = nullptr;
  absl::Status status_;
  int bound_ = 0;
  std::array<std::array<char, 16>, 3> ids_;  // where bound ids stay
  size_t ids_bound_ = 0;
};

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_SQLITE_CONNECTION_H_
