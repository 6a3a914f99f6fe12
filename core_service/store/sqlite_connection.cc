#include "core_service/store/sqlite_connection.h"

#include <sys/stat.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/store/row_queue.h"

namespace agentdesk::store {
namespace {

// Checkpoints are made by Checkpoint(), since SQLite keeps the errors of its automatic ones to
// itself.
constexpr char kWriterSettings[] =
    "PRAGMA synchronous = FULL;"
    "PRAGMA wal_autocheckpoint = 0;"
    "PRAGMA journal_size_limit = 67108864;"
    "PRAGMA cache_size = -65536;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA trusted_schema = OFF;";

// SQLite up to 3.51.2 can corrupt a file when a connection resets the write-ahead log while another
// one checkpoints it, so readers never checkpoint.
constexpr char kReaderSettings[] =
    "PRAGMA query_only = 1;"
    "PRAGMA wal_autocheckpoint = 0;"
    "PRAGMA cache_size = -8192;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA trusted_schema = OFF;";

// Nothing of ours holds a lock that another connection of ours needs. A reader may, however, take
// the writer's lock for microseconds while it repairs its view of the log's index.
constexpr int kBusyTimeoutMs = 100;

// A write-ahead log starts again from its beginning only when it has been copied and nobody reads
// it. Where views follow each other so closely that this never happens by itself, the writer waits
// for those under way once the log is so many times longer than it should be.
constexpr int kLongestLog = 4;

const char kDiskFull[] = "free space on its disk, then start again";
const char kUnreadable[] = "check the disk and the system's log, then start again";
const char kDamaged[] = "the file is damaged: restore a backup";
const char kForbidden[] = "let this user read and write the directory and what is in it";
const char kHeld[] = "end the other program that uses the file";

// How SQLite is told that nobody changes a file, so that it takes no locks and looks for no log.
std::string FrozenUri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("/._-", c)) {
      uri.push_back(c);
    } else {
      absl::StrAppend(&uri, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return absl::StrCat(uri, "?immutable=1");
}

// SQLite takes a file without pages for a new database, and deletes the log beside it: all of a
// desk may be in there.
absl::Status CheckLogHasItsFile(const std::string& file) {
  struct stat info {};
  if (stat(file.c_str(), &info) == 0 && info.st_size > 0) return absl::OkStatus();
  const std::string log = file + "-wal";
  if (stat(log.c_str(), &info) != 0 || info.st_size == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(file, " is missing or empty, but the log that goes with it is there: ", log,
                   ". Put the file back beside it; to begin anew, move both away together"));
}

bool Names(const Sql& sql, const RowQueue& queue) {
  return absl::StrContains(sql.text, queue.table());
}

}  // namespace

absl::Status CheckWhole(const std::string& file) {
  for (const char* suffix : {"-wal", "-journal"}) {
    const std::string log = file + suffix;
    struct stat info {};
    if (stat(log.c_str(), &info) != 0) {
      if (errno == ENOENT) continue;
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", log));
    }
    if (info.st_size == 0) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        file, " is not whole: its last changes may be only in ", log,
        ", which a core left that was killed or still runs; take a backup from the core, or, "
        "while none runs, let `agentdesk admin check` of the directory put the two together"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path,
                                                             const std::string& vfs,
                                                             Access access) {
  // Counting what it allocates would take a lock of all connections for each allocation.
  [[maybe_unused]] static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  auto connection = std::unique_ptr<Connection>(new Connection(path));
  const bool writes = access == Access::kWrite;
  const bool frozen = access == Access::kFrozen;
  if (frozen) {
    if (absl::Status whole = CheckWhole(path); !whole.ok()) return whole;
  }
  if (writes) {
    if (absl::Status whole = CheckLogHasItsFile(path); !whole.ok()) return whole;
  }
  const int flags = (frozen ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI : SQLITE_OPEN_READWRITE) |
                    (writes ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX |
                    SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  const std::string name = frozen ? FrozenUri(path) : path;
  errno = 0;
  const int code = sqlite3_open_v2(name.c_str(), &connection->handle_, flags,
                                   vfs.empty() ? nullptr : vfs.c_str());
  if (code != SQLITE_OK) return connection->Error(code, "open the desk");
  sqlite3_busy_timeout(connection->handle_, kBusyTimeoutMs);
  sqlite3_db_config(connection->handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (!writes) connection->KeepLog();
  if (absl::Status status =
          connection->Execute("set up a connection", writes ? kWriterSettings : kReaderSettings);
      !status.ok()) {
    return status;
  }
  // After the settings: wal_autocheckpoint is a hook of the same kind and removes this one.
  if (writes) {
    sqlite3_wal_hook(
        connection->handle_,
        [](void* context, sqlite3*, const char*, int wal_pages) {
          static_cast<Connection*>(context)->wal_pages_ = wal_pages;
          return SQLITE_OK;
        },
        connection.get());
  }
  return connection;
}

Connection::~Connection() {
  for (const auto& [sql, prepared] : prepared_) sqlite3_finalize(prepared->statement);
  sqlite3_close(handle_);
}

absl::Status Connection::Checkpoint(int pages) {
  if (wal_pages_ < copied_at_pages_) copied_at_pages_ = 0;  // the log has started again
  if (wal_pages_ - copied_at_pages_ < pages) return absl::OkStatus();
  copied_at_pages_ = wal_pages_;
  const bool wait = wal_pages_ >= kLongestLog * pages;
  errno = 0;
  const int code = sqlite3_wal_checkpoint_v2(
      handle_, nullptr, wait ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, nullptr,
      nullptr);
  const bool done = code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY;
  return done ? absl::OkStatus() : Error(code, "copy the write-ahead log");
}

absl::Status Connection::RewriteLog() {
  constexpr sqlite3_int64 kBytesAtOnce = 64 * 1024;  // SQLite's own layer takes less than 128 KiB
  sqlite3_file* log = nullptr;
  errno = 0;
  int code = sqlite3_file_control(handle_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  sqlite3_int64 size = 0;
  if (code == SQLITE_OK && log->pMethods != nullptr) code = log->pMethods->xFileSize(log, &size);
  std::string bytes(static_cast<size_t>(std::min(size, kBytesAtOnce)), '\0');
  for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += kBytesAtOnce) {
    const auto part = static_cast<int>(std::min(size - at, kBytesAtOnce));
    code = log->pMethods->xRead(log, bytes.data(), part, at);
    if (code == SQLITE_OK) code = log->pMethods->xWrite(log, bytes.data(), part, at);
  }
  if (code == SQLITE_OK && size > 0) code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, "write the write-ahead log again");
}

absl::Status Connection::EmptyLog() {
  errno = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, "copy the write-ahead log");
}

void Connection::KeepLog() {
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

absl::Status Connection::Execute(const char* purpose, const char* script) {
  errno = 0;
  const int code = sqlite3_exec(handle_, script, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, purpose);
}

void Connection::Add(RowQueue& queue) {
  queues_.push_back(&queue);
  for (const auto& [sql, prepared] : prepared_) {
    if (Names(*sql, queue)) prepared->queues.push_back(&queue);
  }
}

absl::StatusOr<sqlite3_stmt*> Connection::Prepared(const Sql& sql) {
  std::unique_ptr<PreparedSql>& entry = prepared_[&sql];
  if (entry == nullptr) {
    entry = std::make_unique<PreparedSql>();
    for (RowQueue* queue : queues_) {
      if (Names(sql, *queue)) entry->queues.push_back(queue);
    }
  }
  PreparedSql& prepared = *entry;  // writing rows may move the entry
  for (RowQueue* queue : prepared.queues) {
    if (queue->empty()) continue;
    if (absl::Status status = queue->Write(); !status.ok()) return status;
  }
  if (prepared.statement == nullptr) {
    const int code = sqlite3_prepare_v3(handle_, sql.text, -1, SQLITE_PREPARE_PERSISTENT,
                                        &prepared.statement, nullptr);
    if (code != SQLITE_OK) return Error(code, sql.purpose);
  }
  return prepared.statement;
}

absl::Status Connection::Error(int code, const char* purpose) const {
  const int kind = code & 0xff;
  // SQLite remembers the system's error, though not where a commit failed: then errno still has it.
  const bool of_system = kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN;
  int system_error = of_system && handle_ != nullptr ? sqlite3_system_errno(handle_) : 0;
  if (of_system && system_error == 0) system_error = errno;
  absl::StatusCode meaning = absl::StatusCode::kInternal;
  const char* remedy = "please report this as a fault of AgentDesk";
  switch (kind) {
    case SQLITE_FULL:
      meaning = absl::StatusCode::kResourceExhausted;
      remedy = kDiskFull;
      break;
    case SQLITE_NOMEM:
      meaning = absl::StatusCode::kResourceExhausted;
      remedy = "give the process more memory, then start again";
      break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      meaning = absl::StatusCode::kUnavailable;
      remedy = kUnreadable;
      if (system_error == ENOSPC || system_error == EDQUOT) {
        meaning = absl::StatusCode::kResourceExhausted;
        remedy = kDiskFull;
      } else if (system_error == EACCES || system_error == EPERM || system_error == EROFS) {
        meaning = absl::StatusCode::kPermissionDenied;
        remedy = kForbidden;
      }
      break;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      meaning = absl::StatusCode::kPermissionDenied;
      remedy = kForbidden;
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      meaning = absl::StatusCode::kDataLoss;
      remedy = kDamaged;
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      meaning = absl::StatusCode::kUnavailable;
      remedy = kHeld;
      break;
    default:
      break;
  }
  std::string cause = handle_ != nullptr && sqlite3_errcode(handle_) != SQLITE_OK
                          ? sqlite3_errmsg(handle_)
                          : sqlite3_errstr(code);
  if (system_error != 0) absl::StrAppend(&cause, ", ", std::strerror(system_error));
  return absl::Status(meaning, absl::StrCat("cannot ", purpose, " in ", path_, ": ", cause,
                                            " (SQLite ", code, "); ", remedy));
}

void Statement::Prepare() {
  absl::StatusOr<sqlite3_stmt*> handle = connection_.Prepared(sql_);
  if (handle.ok()) {
    handle_ = *handle;
    assert(!sqlite3_stmt_busy(handle_));
  } else {
    status_ = handle.status();
  }
}

Statement::~Statement() {
  if (handle_ != nullptr) sqlite3_reset(handle_);
}

// Binding fails only when there is no such parameter or no memory. With no statement SQLite answers
// misuse, and the first error stays.
void Statement::Bind(int64_t value) {
  if (!status_.ok()) return;
  const int code = sqlite3_bind_int64(handle_, ++bound_, value);
  if (code != SQLITE_OK) status_ = connection_.Error(code, sql_.purpose);
}

void Statement::Bind(absl::string_view text) {
  if (!status_.ok()) return;
  // A null pointer would bind NULL.
  const int code = sqlite3_bind_text(handle_, ++bound_, text.empty() ? "" : text.data(),
                                     static_cast<int>(text.size()), SQLITE_STATIC);
  if (code != SQLITE_OK) status_ = connection_.Error(code, sql_.purpose);
}

void Statement::Bind(const std::optional<std::string>& text) {
  if (text.has_value()) return Bind(*text);
  if (!status_.ok()) return;
  // What the last use of the statement has bound would stay.
  const int code = sqlite3_bind_null(handle_, ++bound_);
  if (code != SQLITE_OK) status_ = connection_.Error(code, sql_.purpose);
}

void Statement::Bind(Blob blob) {
  if (!status_.ok()) return;
  const int code = sqlite3_bind_blob(handle_, ++bound_, blob.bytes.empty() ? "" : blob.bytes.data(),
                                     static_cast<int>(blob.bytes.size()), SQLITE_STATIC);
  if (code != SQLITE_OK) status_ = connection_.Error(code, sql_.purpose);
}

void Statement::Bind(const Uuid& id) {
  assert(ids_bound_ < ids_.size());
  std::array<char, 16>& bytes = ids_[ids_bound_++];
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(id.high >> (56 - 8 * i));
    bytes[i + 8] = static_cast<char>(id.low >> (56 - 8 * i));
  }
  Bind(Blob{absl::string_view(bytes.data(), bytes.size())});
}

absl::StatusOr<bool> Statement::Next() {
  if (!status_.ok()) return status_;
  errno = 0;
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  status_ = connection_.Error(code, sql_.purpose);
  return status_;
}

absl::Status Statement::Run() {
  while (true) {
    absl::StatusOr<bool> row = Next();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
  }
}

absl::string_view Statement::Bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  return absl::string_view(bytes, static_cast<size_t>(sqlite3_column_bytes(handle_, column)));
}

}  // namespace agentdesk::store
