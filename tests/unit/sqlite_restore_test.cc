#include "core_service/store/sqlite_restore.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core_service/store/sqlite_store.h"
#include "core_service/store/sqlite_verify.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::testing {
namespace {

using record::v1::JobRecord;
using record::v1::TicketRecord;
using ::testing::HasSubstr;

class SqliteRestoreTest : public ::testing::Test {
 protected:
  // A desk with so many events, whose end is still in the log beside its file while this is open.
  std::unique_ptr<store::Store> NewDesk(const std::string& data_dir, int events) {
    auto store = Value(store::OpenSqliteStore({.data_dir = data_dir, .readers = 1, .vfs = {}},
                                              Clock::Real(), ids_));
    auto transaction = Value(store->Begin());
    TicketRecord ticket = NewTicket(ids_, "one");
    const JobRecord job = NewJob(ids_, ticket);
    EXPECT_THAT(transaction->PutTicket(ticket), IsOk());
    EXPECT_THAT(transaction->PutJob(job), IsOk());
    EXPECT_THAT(transaction->Append(TicketCreatedEvent(ticket, 1)), IsOk());
    for (int sequence = 2; sequence <= events; ++sequence) {
      EXPECT_THAT(transaction->Append(AgentMessageEvent(ticket, sequence, "hello")), IsOk());
    }
    EXPECT_THAT(transaction->Commit(), IsOk());
    return store;
  }
  // What a core that is killed leaves of a desk with so many events.
  void LeaveKilled(const std::string& file, int events) {
    TempDir dir;
    const auto running = NewDesk(dir.path(), events);
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::filesystem::copy_file(dir.File("desk.sqlite3") + suffix, file + suffix);
    }
  }
  absl::StatusOr<store::Restoration> Restore(const std::string& backup) {
    return store::Restoration::Begin(backup, target_, Clock::Real(), ids_);
  }
  void ExpectEvents(const std::string& path, int64_t events) {
    const auto desk = store::VerifySqliteStore({.path = path});
    ASSERT_THAT(desk, IsOk());
    EXPECT_EQ(desk->view->head(), events);
  }

  TempDir dir_;
  SeededIds ids_{1};
  const std::string target_ = dir_.File("target");
};

TEST_F(SqliteRestoreTest, ADirectoryThatHasTheRestOfADeskIsRefused) {
  const std::string backup = dir_.File("backup/desk.sqlite3");
  NewDesk(dir_.File("backup"), 3).reset();
  std::filesystem::create_directory(target_);
  for (const char* name :
       {"desk.sqlite3", "desk.sqlite3-wal", "desk.sqlite3-shm", "desk.sqlite3-journal"}) {
    SCOPED_TRACE(name);
    const std::string left = absl::StrCat(target_, "/", name);
    std::ofstream(left) << "x";
    const absl::Status refused = Restore(backup).status();
    EXPECT_THAT(refused, HasError(absl::StatusCode::kAlreadyExists, absl::StrCat(": ", name, ";")));
    EXPECT_TRUE(std::filesystem::remove(left));
  }
  EXPECT_THAT(Restore(backup), IsOk());
}

// Its log would be recovered onto the new desk at the next start.
TEST_F(SqliteRestoreTest, TheLogOfADeskThatWasMovedAwayIsNotTakenUp) {
  NewDesk(dir_.File("backup"), 3).reset();
  std::filesystem::create_directory(target_);
  LeaveKilled(target_ + "/desk.sqlite3", 9);
  std::filesystem::rename(target_ + "/desk.sqlite3", dir_.File("away"));
  const absl::Status refused = Restore(dir_.File("backup/desk.sqlite3")).status();
  EXPECT_THAT(refused,
              HasError(absl::StatusCode::kAlreadyExists, ": desk.sqlite3-wal, desk.sqlite3-shm;"));
  EXPECT_TRUE(std::filesystem::exists(target_ + "/desk.sqlite3-wal")) << "it is still of use";
}

TEST_F(SqliteRestoreTest, WhatAKilledRestoreLeftIsNotTakenUp) {
  NewDesk(dir_.File("backup"), 3).reset();
  std::filesystem::create_directory(target_);
  LeaveKilled(target_ + "/restore.partial", 9);
  auto restoration = Restore(dir_.File("backup/desk.sqlite3"));
  ASSERT_THAT(restoration, IsOk());
  ExpectEvents(restoration->file(), 3);
  EXPECT_THAT(restoration->Commit(), IsOk());
}

TEST_F(SqliteRestoreTest, AFileWhoseEndIsInALogBesideItIsNoBackup) {
  const std::string killed = dir_.File("killed");
  std::filesystem::create_directory(killed);
  const std::string file = killed + "/desk.sqlite3";
  LeaveKilled(file, 5);
  for (const absl::Status& refused :
       {Restore(file).status(), store::VerifySqliteStore({.path = file}).status()}) {
    EXPECT_THAT(refused, HasError(absl::StatusCode::kFailedPrecondition, file + "-wal"));
    EXPECT_THAT(refused.message(), HasSubstr("agentdesk admin check"));
  }
  // As it says.
  ExpectEvents(killed, 5);
  auto restoration = Restore(file);
  ASSERT_THAT(restoration, IsOk());
  ExpectEvents(restoration->file(), 5);

  std::filesystem::rename(file, dir_.File("undone"));
  std::ofstream(dir_.File("undone-journal")) << "x";
  EXPECT_THAT(store::VerifySqliteStore({.path = dir_.File("undone")}),
              HasError(absl::StatusCode::kFailedPrecondition, "undone-journal"));
}

// SQLite would take the file for a new database and delete the log.
TEST_F(SqliteRestoreTest, ALogWhoseFileIsMissingOrEmptyIsKept) {
  const std::string killed = dir_.File("killed");
  std::filesystem::create_directory(killed);
  const std::string file = killed + "/desk.sqlite3";
  LeaveKilled(file, 5);
  std::filesystem::rename(file, dir_.File("away"));
  for (const bool empty : {false, true}) {
    SCOPED_TRACE(empty);
    if (empty) std::ofstream(file, std::ios::trunc).flush();
    const auto opened =
        store::OpenSqliteStore({.data_dir = killed, .readers = 1, .vfs = {}}, Clock::Real(), ids_);
    EXPECT_THAT(opened, HasError(absl::StatusCode::kFailedPrecondition, file + "-wal"));
    EXPECT_THAT(store::VerifySqliteStore({.path = killed}),
                HasError(absl::StatusCode::kFailedPrecondition, file + "-wal"));
  }
  std::filesystem::rename(dir_.File("away"), file);
  ExpectEvents(killed, 5);
}

// The desk that comes of it is the new one, whole, or there is none.
TEST_F(SqliteRestoreTest, ADiskThatFailsMakesNoDeskWithTheOldId) {
  const std::string backup = dir_.File("backup/desk.sqlite3");
  NewDesk(dir_.File("backup"), 3).reset();
  for (const auto operation : {FaultVfs::Operation::kWrite, FaultVfs::Operation::kSync}) {
    int refused = 0;
    for (int n = 1;; ++n) {
      SCOPED_TRACE(absl::StrCat("operation ", static_cast<int>(operation), ", number ", n));
      FaultVfs vfs;
      vfs.FailAt(operation, n, FaultVfs::Failure::kIoError, /*sticky=*/true);
      auto restoration =
          store::Restoration::Begin(backup, target_, Clock::Real(), ids_, vfs.name());
      if (restoration.ok()) {
        const auto desk = store::VerifySqliteStore({.path = restoration->file()});
        ASSERT_THAT(desk, IsOk());
        EXPECT_EQ(desk->desk_id, restoration->desk_id());
      } else {
        EXPECT_THAT(restoration, HasCode(absl::StatusCode::kUnavailable));
        ++refused;
      }
      if (!vfs.failed()) break;
    }
    EXPECT_GT(refused, 1);
  }
}

}  // namespace
}  // namespace agentdesk::testing
