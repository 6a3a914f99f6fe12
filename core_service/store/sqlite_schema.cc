#include "core_service/store/sqlite_schema.h"

#include <cstdint>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace agentdesk::store {
namespace {

// Made by CMake from schema/*.sql, in the order of their names.
constexpr const char* kMigrations[] = {
#include "core_service/store/sqlite_migrations.inc"
};
constexpr int64_t kVersion = std::size(kMigrations);

// `ADsk`: how `file` and we recognise a desk.
constexpr int64_t kApplicationId = 0x4144736b;

constexpr Sql kReadVersion = {
    "read the version",
    "SELECT v.user_version, a.application_id, (SELECT count(*) FROM sqlite_schema)"
    "  FROM pragma_user_version v, pragma_application_id a"};
constexpr Sql kUseWal = {"turn the write-ahead log on", "PRAGMA journal_mode = WAL"};
constexpr Sql kInsertDesk = {"create the desk",
                             "INSERT INTO meta (meta_key, desk_id, oldest) VALUES (1, ?, 1)"};
constexpr Sql kReadDesk = {"read the desk's id", "SELECT desk_id FROM meta"};

absl::Status UseWriteAheadLog(Connection& writer) {
  Statement statement(writer, kUseWal);
  absl::StatusOr<bool> row = statement.Next();
  if (!row.ok()) return row.status();
  if (!*row || statement.Bytes(0) != "wal") {
    return absl::FailedPreconditionError(
        "the data directory's file system cannot hold SQLite's write-ahead log (is it a network "
        "file system?); use a local disk");
  }
  return statement.Run();
}

absl::Status Migrate(Connection& writer, int64_t step, const Uuid& new_desk_id) {
  if (absl::Status status = writer.Execute("begin a migration", "BEGIN IMMEDIATE"); !status.ok()) {
    return status;
  }
  absl::Status status = writer.Execute("migrate the desk", kMigrations[step]);
  if (status.ok() && step == 0) status = Statement(writer, kInsertDesk, new_desk_id).Run();
  if (status.ok()) {
    status =
        writer.Execute("set the version", absl::StrCat("PRAGMA application_id = ", kApplicationId,
                                                       "; PRAGMA user_version = ", step + 1)
                                              .c_str());
  }
  if (status.ok()) status = writer.Execute("commit a migration", "COMMIT");
  if (!status.ok() && writer.in_transaction()) {
    writer.Execute("undo a migration", "ROLLBACK").IgnoreError();
  }
  return status;
}

}  // namespace

absl::StatusOr<Uuid> OpenSchema(Connection& writer, const Uuid& new_desk_id) {
  int64_t version = 0;
  {
    Statement read(writer, kReadVersion);
    if (absl::StatusOr<bool> row = read.Next(); !row.ok()) return row.status();
    version = read.Int(0);
    const bool empty = version == 0 && read.Int(1) == 0 && read.Int(2) == 0;
    if (!empty && read.Int(1) != kApplicationId) {
      return absl::FailedPreconditionError(
          "the file is an SQLite database, but not a desk; choose another data directory");
    }
  }
  if (version > kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the desk was written by a newer version of AgentDesk (schema ", version,
                     ", this one knows ", kVersion, "); run that version"));
  }
  if (absl::Status status = UseWriteAheadLog(writer); !status.ok()) return status;
  for (int64_t step = version; step < kVersion; ++step) {
    if (absl::Status status = Migrate(writer, step, new_desk_id); !status.ok()) return status;
  }
  Statement read(writer, kReadDesk);
  absl::StatusOr<bool> row = read.Next();
  if (!row.ok()) return row.status();
  if (!*row || read.Bytes(0).size() != 16) {
    return absl::DataLossError("the desk's file has lost its id; restore a backup");
  }
  return Uuid::FromBytes(read.Bytes(0));
}

}  // namespace agentdesk::store
