#include "core_service/store/sqlite_store.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/store/sqlite_verify.h"
#include "tests/conformance/store_conformance.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::testing {
namespace {

using record::v1::JobRecord;
using record::v1::TicketRecord;
using ::testing::HasSubstr;

class SqliteHome final : public StoreHome {
 public:
  absl::StatusOr<std::unique_ptr<store::Store>> Open(Clock& clock, IdSource& ids) override {
    return store::OpenSqliteStore({.data_dir = dir_.path(), .readers = 3, .vfs = {}}, clock, ids);
  }
  int max_views() const override { return 3; }

 private:
  TempDir dir_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance,
                         ::testing::Values(StoreKind{
                             "Sqlite", [] { return std::make_unique<SqliteHome>(); }}),
                         KindName);

class SqliteStoreTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<store::Store>> Open() {
    return store::OpenSqliteStore({.data_dir = data_dir_, .readers = 1, .vfs = {}}, Clock::Real(),
                                  ids_);
  }
  absl::Status Verify() { return store::VerifySqliteStore({.path = data_dir_}).status(); }
  // A desk with one ticket and two events.
  void MakeDesk() {
    auto store = Value(Open());
    auto transaction = Value(store->Begin());
    TicketRecord ticket = NewTicket(ids_, "one");
    const JobRecord job = NewJob(ids_, ticket);
    ASSERT_THAT(transaction->PutTicket(ticket), IsOk());
    ASSERT_THAT(transaction->PutJob(job), IsOk());
    ASSERT_THAT(transaction->Append(TicketCreatedEvent(ticket, 1)), IsOk());
    ASSERT_THAT(transaction->Append(AgentMessageEvent(ticket, 2, "my secret")), IsOk());
    ASSERT_THAT(transaction->Append(AgentMessageEvent(ticket, 3, "bye")), IsOk());
    ASSERT_THAT(transaction->Commit(), IsOk());
  }
  // Changes the file behind the store's back.
  void Run(const std::string& sql) {
    sqlite3* file = nullptr;
    ASSERT_EQ(sqlite3_open(File().c_str(), &file), SQLITE_OK);
    char* message = nullptr;
    EXPECT_EQ(sqlite3_exec(file, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK) << message;
    sqlite3_close(file);
  }
  std::string File() const { return data_dir_ + "/desk.sqlite3"; }

  TempDir dir_;
  SeededIds ids_{1};
  const std::string data_dir_ = dir_.File("made/by/us");
};

TEST_F(SqliteStoreTest, OneProcessHoldsTheDirectory) {
  auto first = Value(Open());
  const absl::Status second = Open().status();
  EXPECT_THAT(second, HasError(absl::StatusCode::kFailedPrecondition, data_dir_));
  EXPECT_THAT(second.message(), HasSubstr(absl::StrCat("(pid ", getpid(), ")")));
  EXPECT_THAT(Verify(), HasCode(absl::StatusCode::kFailedPrecondition));
  first.reset();
  EXPECT_THAT(Open(), IsOk());
}

// What it has to make durable cannot be while another program reads the file.
TEST_F(SqliteStoreTest, ALogThatAnotherProgramReadsIsNotServed) {
  MakeDesk();
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(File().c_str(), &other), SQLITE_OK);
  for (const char* sql : {"UPDATE meta SET oldest = 2", "BEGIN", "SELECT * FROM meta"}) {
    ASSERT_EQ(sqlite3_exec(other, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sql;
  }
  EXPECT_THAT(Open(), HasError(absl::StatusCode::kUnavailable, "end the other program"));
  ASSERT_EQ(sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_THAT(Open(), IsOk());
  sqlite3_close(other);
}

TEST_F(SqliteStoreTest, OnlyItsUserMayReadIt) {
  auto store = Value(Open());
  for (const char* name : {"", "/desk.sqlite3", "/desk.sqlite3-wal", "/desk.lock"}) {
    struct stat info {};
    ASSERT_EQ(stat((data_dir_ + name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 077, 0u) << name;
  }
}

TEST_F(SqliteStoreTest, NewerVersionIsRefused) {
  MakeDesk();
  Run("PRAGMA user_version = 999");
  EXPECT_THAT(Open(), HasError(absl::StatusCode::kFailedPrecondition, "newer version"));
}

TEST_F(SqliteStoreTest, OtherDatabasesAreRefused) {
  { auto store = Value(Open()); }
  ASSERT_EQ(unlink(File().c_str()), 0);
  Run("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
  EXPECT_THAT(Open(), HasError(absl::StatusCode::kFailedPrecondition, "not a desk"));
  ASSERT_EQ(unlink(File().c_str()), 0);
  std::ofstream(File()) << std::string(8192, 'x');
  EXPECT_THAT(Open(), HasError(absl::StatusCode::kDataLoss, File()));
}

TEST_F(SqliteStoreTest, DirectoryThatCannotBeMade) {
  std::ofstream(dir_.File("made")) << "a file";
  EXPECT_FALSE(Open().ok());
  EXPECT_THAT(
      store::OpenSqliteStore({.data_dir = "", .readers = 1, .vfs = {}}, Clock::Real(), ids_),
      HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(SqliteStoreTest, SoundDeskVerifies) {
  EXPECT_THAT(Verify(), HasCode(absl::StatusCode::kNotFound));
  MakeDesk();
  EXPECT_THAT(Verify(), IsOk());
}

TEST_F(SqliteStoreTest, ChangedLogIsFound) {
  const char* const changes[] = {
      "DELETE FROM events WHERE sequence = 2",
      "DELETE FROM events WHERE sequence = 1",
      "UPDATE events SET event = CAST(replace(event, 'secret', 'SECRET') AS BLOB)"
      " WHERE sequence = 2",
      "UPDATE events SET event = CAST(replace(event, 'anonymous', 'anonymoux') AS BLOB)"
      " WHERE sequence = 2",
      "UPDATE events SET type = 7 WHERE sequence = 2",
      "UPDATE events SET content_hash = zeroblob(32) WHERE sequence = 2",
      "UPDATE events SET chain = zeroblob(32) WHERE sequence = 3",
      "UPDATE events SET erased_by = 3 WHERE sequence = 2"};
  for (const char* change : changes) {
    SCOPED_TRACE(change);
    MakeDesk();
    Run(change);
    EXPECT_THAT(Verify(), HasError(absl::StatusCode::kDataLoss, "event "));
    ASSERT_EQ(unlink(File().c_str()), 0);
  }
}

// What an erasure will do: the payload becomes empty, everything else stays.
TEST_F(SqliteStoreTest, ErasedContentKeepsTheChain) {
  MakeDesk();
  std::string encoded;
  {
    auto store = Value(Open());
    const store::EventRead read = Value(Value(store->OpenView())->ReadEvents({}));
    const store::EventBlock block = Value(store::EventBlock::Parse(*read.bytes));
    v1::Event event = block.Decode(block.entries()[1]);
    event.mutable_agent_message()->Clear();
    store::EventBlock erased;
    erased.Append(event);
    encoded = std::string(erased.bytes());
  }
  sqlite3* file = nullptr;
  ASSERT_EQ(sqlite3_open(File().c_str(), &file), SQLITE_OK);
  sqlite3_stmt* update = nullptr;
  ASSERT_EQ(
      sqlite3_prepare_v2(file, "UPDATE events SET event = ?, erased_by = 3 WHERE sequence = 2", -1,
                         &update, nullptr),
      SQLITE_OK);
  sqlite3_bind_blob(update, 1, encoded.data(), static_cast<int>(encoded.size()), SQLITE_STATIC);
  EXPECT_EQ(sqlite3_step(update), SQLITE_DONE);
  sqlite3_finalize(update);
  sqlite3_close(file);

  EXPECT_THAT(Verify(), IsOk());
  auto store = Value(Open());
  const store::EventRead read = Value(Value(store->OpenView())->ReadEvents({}));
  const store::EventBlock block = Value(store::EventBlock::Parse(*read.bytes));
  ASSERT_EQ(block.entries().size(), 3u);
  EXPECT_EQ(block.entries()[1].type, v1::EVENT_TYPE_AGENT_MESSAGE);
}

}  // namespace
}  // namespace agentdesk::testing
