#include "core_service/store/row_queue.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::testing {
namespace {

using store::Blob;
using store::Connection;
using store::RowQueue;
using store::Sql;
using store::Statement;

constexpr Sql kBegin = {"begin", "BEGIN"};
constexpr Sql kRollback = {"undo", "ROLLBACK"};
constexpr Sql kSum = {"look", "SELECT count(*), sum(number), max(bytes) FROM rows"};
constexpr Sql kChange = {"change", "UPDATE rows SET number = -number"};
constexpr Sql kElsewhere = {"look elsewhere", "SELECT count(*) FROM sqlite_schema"};

class RowQueueTest : public ::testing::Test {
 protected:
  RowQueueTest() {
    connection_ = Value(Connection::Open(dir_.File("rows"), "", Connection::Access::kWrite));
    EXPECT_THAT(connection_->Execute("make a table",
                                     "CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT,"
                                     " bytes BLOB) STRICT"),
                IsOk());
    // Also what was prepared before there was a queue.
    EXPECT_EQ(Count(), 0);
    queue_ = std::make_unique<RowQueue>(
        *connection_, RowQueue::Table{"add a row", "rows", "number, text, bytes"});
    EXPECT_THAT(Statement(*connection_, kBegin).Run(), IsOk());
  }

  absl::Status Add(int number, const std::string& bytes = "b") {
    return queue_->Add(number, "t", Blob{bytes});
  }
  int64_t Look(int column) {
    Statement look(*connection_, kSum);
    EXPECT_TRUE(Value(look.Next()));
    return look.Int(column);
  }
  int64_t Count() { return Look(0); }

  TempDir dir_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<RowQueue> queue_;
};

TEST_F(RowQueueTest, WhateverNamesTheTableFindsEveryRow) {
  int number = 0;
  for (const int more : {1, 3, 4, 5, 15, 16, 17, 63}) {
    for (int i = 0; i < more; ++i) EXPECT_THAT(Add(++number), IsOk());
    EXPECT_EQ(Count(), number);
    EXPECT_EQ(Look(1), number * (number + 1) / 2);
  }
  EXPECT_THAT(Add(1000), IsOk());
  EXPECT_THAT(Statement(*connection_, kChange).Run(), IsOk());
  EXPECT_EQ(Look(1), -1000 - number * (number + 1) / 2);
}

TEST_F(RowQueueTest, WhatDoesNotNameTheTableDoesNotWriteThem) {
  EXPECT_THAT(Add(1), IsOk());
  EXPECT_TRUE(Value(Statement(*connection_, kElsewhere).Next()));
  EXPECT_FALSE(queue_->empty());
}

TEST_F(RowQueueTest, EmptyTextsAndBlobsAreNotNull) {
  EXPECT_THAT(queue_->Add(1, "", Blob{}), IsOk());
  Statement look(*connection_, kSum);
  EXPECT_TRUE(Value(look.Next()));
  EXPECT_FALSE(look.IsNull(2));
}

TEST_F(RowQueueTest, LargeRowsDoNotWaitForMany) {
  EXPECT_THAT(Add(1, std::string(100'000, 'x')), IsOk());
  EXPECT_TRUE(queue_->empty());
  EXPECT_EQ(Count(), 1);
}

TEST_F(RowQueueTest, WhatIsForgottenIsNeverWritten) {
  EXPECT_THAT(Add(1), IsOk());
  queue_->Discard();
  EXPECT_THAT(Statement(*connection_, kRollback).Run(), IsOk());
  EXPECT_EQ(Count(), 0);
  EXPECT_THAT(Add(1), IsOk());
  EXPECT_EQ(Count(), 1);
}

TEST_F(RowQueueTest, AFailureIsToldToWhoComesFirstAndStays) {
  EXPECT_THAT(Add(1), IsOk());
  EXPECT_THAT(Add(1), IsOk());
  EXPECT_THAT(Statement(*connection_, kSum).Next(),
              HasError(absl::StatusCode::kInternal, "add a row"));
  EXPECT_THAT(Add(2), IsOk());
  EXPECT_THAT(queue_->Write(), HasError(absl::StatusCode::kInternal, "add a row"));
  EXPECT_TRUE(queue_->empty());
  EXPECT_THAT(queue_->failure(), HasError(absl::StatusCode::kInternal, "add a row"));
}

}  // namespace
}  // namespace agentdesk::testing
