#include "core_service/store/sqlite_schema.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

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
constexpr Sql kReadDesk = {"read the desk's id",
                           "SELECT desk_id, restores, restored_from, restored_sequence FROM meta"};
constexpr Sql kSetIdentity = {"give the desk its new id",
                              "UPDATE meta SET restored_from = desk_id, desk_id = ?,"
                              " restores = restores + 1, restored_sequence = ?"};
constexpr Sql kObjects = {"read the schema",
                          "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"
                          " WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name"};

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

// The version of the file's schema; 0: it is empty.
absl::StatusOr<int64_t> ReadVersion(Connection& connection) {
  Statement read(connection, kReadVersion);
  if (absl::StatusOr<bool> row = read.Next(); !row.ok()) return row.status();
  const int64_t version = read.Int(0);
  const bool empty = version == 0 && read.Int(1) == 0 && read.Int(2) == 0;
  if (!empty && read.Int(1) != kApplicationId) {
    return absl::FailedPreconditionError(
        "the file is an SQLite database, but not a desk; choose another");
  }
  if (version > kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the desk was written by a newer version of AgentDesk (schema ", version,
                     ", this one knows ", kVersion, "); run that version"));
  }
  return version;
}

// Tables and indexes with the text that made them.
absl::StatusOr<std::vector<std::string>> ReadObjects(Connection& connection) {
  std::vector<std::string> objects;
  Statement read(connection, kObjects);
  while (true) {
    absl::StatusOr<bool> row = read.Next();
    if (!row.ok()) return row.status();
    if (!*row) return objects;
    objects.push_back(absl::StrCat(read.Bytes(0), " ", read.Bytes(1), " of ", read.Bytes(2), ": ",
                                   read.Bytes(3)));
  }
}

}  // namespace

absl::StatusOr<DeskIdentity> OpenSchema(Connection& writer, const Uuid& new_desk_id) {
  const absl::StatusOr<int64_t> version = ReadVersion(writer);
  if (!version.ok()) return version.status();
  if (absl::Status status = UseWriteAheadLog(writer); !status.ok()) return status;
  for (int64_t step = *version; step < kVersion; ++step) {
    if (absl::Status status = Migrate(writer, step, new_desk_id); !status.ok()) return status;
  }
  return ReadIdentity(writer);
}

absl::Status VerifySchema(Connection& connection) {
  const absl::StatusOr<int64_t> version = ReadVersion(connection);
  if (!version.ok()) return version.status();
  if (*version == 0) return absl::DataLossError("the desk's file is empty; restore a backup");
  if (*version < kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the desk was written by an older version of AgentDesk (schema ", *version,
                     ", this one has ", kVersion,
                     "): check it with that version, or start this core on it once, which brings "
                     "it forward"));
  }
  const absl::StatusOr<std::unique_ptr<Connection>> sound =
      Connection::Open(":memory:", "", Connection::Access::kWrite);
  if (!sound.ok()) return sound.status();
  for (const char* migration : kMigrations) {
    if (absl::Status status = (*sound)->Execute("build the schema", migration); !status.ok()) {
      return status;
    }
  }
  const absl::StatusOr<std::vector<std::string>> wanted = ReadObjects(**sound);
  if (!wanted.ok()) return wanted.status();
  const absl::StatusOr<std::vector<std::string>> found = ReadObjects(connection);
  if (!found.ok()) return found.status();
  if (*found == *wanted) return absl::OkStatus();
  const auto [missing, instead] =
      std::mismatch(wanted->begin(), wanted->end(), found->begin(), found->end());
  return absl::DataLossError(absl::StrCat(
      "the schema was changed: ", missing == wanted->end() ? absl::StrCat("it has ", *instead)
                                                           : absl::StrCat("no ", *missing)));
}

absl::StatusOr<DeskIdentity> ReadIdentity(Connection& connection) {
  Statement read(connection, kReadDesk);
  absl::StatusOr<bool> row = read.Next();
  if (!row.ok()) return row.status();
  if (!*row || read.Bytes(0).size() != 16) {
    return absl::DataLossError("the desk's file has lost its id; restore a backup");
  }
  DeskIdentity identity;
  identity.desk_id = Uuid::FromBytes(read.Bytes(0)).ToString();
  identity.origin.restores = read.Int(1);
  if (read.Bytes(2).size() == 16) {
    identity.origin.restored_from = Uuid::FromBytes(read.Bytes(2)).ToString();
  }
  identity.origin.restored_sequence = read.Int(3);
  return identity;
}

absl::Status SetIdentity(Connection& writer, const Uuid& desk_id, int64_t head) {
  return Statement(writer, kSetIdentity, desk_id, head).Run();
}

}  // namespace agentdesk::store
