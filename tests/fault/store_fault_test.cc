#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core_service/store/sqlite_store.h"
#include "core_service/store/sqlite_verify.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"
#include "tests/support/store_workload.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::testing {
namespace {

constexpr int kCommits = 25;

// A log that is copied into the file every few commits.
absl::StatusOr<std::unique_ptr<store::Store>> Open(const std::string& data_dir,
                                                   const std::string& vfs, IdSource& ids) {
  return store::OpenSqliteStore(
      {.data_dir = data_dir, .readers = 2, .vfs = vfs, .checkpoint_pages = 40}, Clock::Real(), ids);
}

// How many seeds to try: AGENTDESK_TEST_SEEDS, or few enough for every build.
uint64_t Seeds() {
  uint64_t seeds = 40;
  const char* text = std::getenv("AGENTDESK_TEST_SEEDS");
  if (text != nullptr && !absl::SimpleAtoi(text, &seeds)) {
    ADD_FAILURE() << "AGENTDESK_TEST_SEEDS is not a number: " << text;
  }
  return seeds;
}

// Opens what is left, on a sound disk; it must hold what was acknowledged and work.
void ExpectSound(const std::string& data_dir, StoreWorkload& workload, uint64_t seed) {
  SeededIds ids(seed + 1000);
  FaultVfs sound;
  {
    auto store = Open(data_dir, sound.name(), ids);
    ASSERT_THAT(store, IsOk());
    EXPECT_THAT(workload.Check(**store), IsOk());
    EXPECT_THAT(workload.Run(**store, 2), IsOk());
    EXPECT_THAT(workload.Check(**store), IsOk());
  }
  EXPECT_THAT(store::VerifySqliteStore({.path = data_dir, .vfs = sound.name()}), IsOk());
}

TEST(StorePowerLoss, WhatWasAcknowledgedIsThereAndNothingIsHalf) {
  int64_t operations = 0;
  for (uint64_t seed = 0; seed <= Seeds(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    TempDir before;
    TempDir after;
    StoreWorkload workload(seed);
    SeededIds ids(seed);
    FaultVfs vfs;
    // The first run goes to its end and shows how long the others may last.
    if (seed > 0) {
      vfs.CutPowerAt(1 + static_cast<int64_t>(random() % static_cast<uint64_t>(operations)));
    }
    if (auto store = Open(before.path(), vfs.name(), ids); store.ok()) {
      const absl::Status status = workload.Run(**store, kCommits);
      EXPECT_TRUE(status.ok() || vfs.power_is_cut()) << status;
    } else {
      EXPECT_TRUE(vfs.power_is_cut()) << store.status();
    }
    if (seed == 0) {
      operations = vfs.Count(FaultVfs::Operation::kWrite) + vfs.Count(FaultVfs::Operation::kSync);
    }
    vfs.WriteDiskAfterLoss(after.path(), seed);
    ExpectSound(after.path(), workload, seed);
    if (HasFailure()) return;
  }
}

// A process that is killed leaves to the next one what it has written and not synced. Whoever is
// served from that takes it for stored, so it must be.
TEST(StorePowerLoss, WhatARestartedStoreServesIsThere) {
  int64_t killed_at = 1;
  for (;; ++killed_at) {
    SCOPED_TRACE(absl::StrCat("killed at operation ", killed_at));
    TempDir before;
    TempDir after;
    StoreWorkload workload(3);
    SeededIds ids(3);
    FaultVfs vfs;
    vfs.CutPowerAt(killed_at);
    if (auto store = Open(before.path(), vfs.name(), ids); store.ok()) {
      (void)workload.Run(**store, 5);
    }
    if (!vfs.power_is_cut()) break;
    vfs.StartAgain();
    auto store = Open(before.path(), vfs.name(), ids);
    ASSERT_THAT(store, IsOk());
    ASSERT_THAT(workload.Check(**store), IsOk());
    const auto seed = static_cast<uint64_t>(killed_at);
    vfs.WriteDiskAfterLoss(after.path(), seed);
    ExpectSound(after.path(), workload, seed);
    if (HasFailure()) return;
  }
  EXPECT_GT(killed_at, 100) << "too few operations for this to mean anything";
}

// The pages of a sync that failed are not written by a later one. What comes after them in the log
// would be lost with them.
TEST(StorePowerLoss, ASyncThatFailedLeavesNoHole) {
  int64_t failed_at = 1;
  for (;; ++failed_at) {
    SCOPED_TRACE(absl::StrCat("sync ", failed_at));
    TempDir before;
    TempDir after;
    StoreWorkload workload(5);
    SeededIds ids(5);
    FaultVfs vfs;
    vfs.FailAt(FaultVfs::Operation::kSync, failed_at, FaultVfs::Failure::kIoError, /*sticky=*/true);
    if (auto store = Open(before.path(), vfs.name(), ids); store.ok()) {
      (void)workload.Run(**store, kCommits);
    }
    if (!vfs.failed()) break;
    vfs.StartAgain();
    auto store = Open(before.path(), vfs.name(), ids);
    ASSERT_THAT(store, IsOk());
    ASSERT_THAT(workload.Check(**store), IsOk());
    ASSERT_THAT(workload.Run(**store, 3), IsOk());
    const auto seed = static_cast<uint64_t>(failed_at);
    vfs.WriteDiskAfterLoss(after.path(), seed);
    ExpectSound(after.path(), workload, seed);
    if (HasFailure()) return;
  }
  EXPECT_GT(failed_at, kCommits);
}

// The store that met the failure does not copy its log as it closes: SQLite would take for written
// what that sync was to cover, and delete the log.
TEST(StorePowerLoss, AStoreThatHasFailedLeavesItsLog) {
  int64_t failed_at = 1;
  for (;; ++failed_at) {
    SCOPED_TRACE(absl::StrCat("sync ", failed_at));
    TempDir before;
    TempDir after;
    StoreWorkload workload(1);
    SeededIds ids(1);
    FaultVfs vfs;
    vfs.FailAt(FaultVfs::Operation::kSync, failed_at, FaultVfs::Failure::kIoError,
               /*sticky=*/false);
    if (auto store = Open(before.path(), vfs.name(), ids); store.ok()) {
      (void)workload.Run(**store, kCommits);
    }
    if (!vfs.failed()) break;
    vfs.WriteDiskAfterLoss(after.path(), 1);
    ExpectSound(after.path(), workload, 1);
    if (HasFailure()) return;
  }
  EXPECT_GT(failed_at, kCommits);
}

// Nor is anything lost when the power fails while `take_up` is at what is left after that.
void CutAfterASyncThatFailed(
    absl::FunctionRef<void(const std::string& dir, FaultVfs& vfs, StoreWorkload& workload)>
        take_up) {
  int cut = 0;
  for (uint64_t seed = 1; seed <= Seeds(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    TempDir before;
    TempDir after;
    StoreWorkload workload(seed);
    SeededIds ids(seed);
    FaultVfs vfs;
    {
      auto store = Open(before.path(), vfs.name(), ids);
      ASSERT_THAT(store, IsOk());
      vfs.FailAt(FaultVfs::Operation::kSync, 1 + static_cast<int64_t>(random() % 15),
                 FaultVfs::Failure::kIoError, /*sticky=*/true);
      ASSERT_FALSE(workload.Run(**store, kCommits).ok());
    }
    vfs.StartAgain();
    vfs.CutPowerAt(1 + static_cast<int64_t>(random() % 40));
    take_up(before.path(), vfs, workload);
    cut += vfs.power_is_cut() ? 1 : 0;
    vfs.WriteDiskAfterLoss(after.path(), seed);
    ExpectSound(after.path(), workload, seed);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(cut, 10) << "too few were cut for this to mean anything";
}

TEST(StorePowerLoss, AStartAfterASyncThatFailedIsCut) {
  CutAfterASyncThatFailed([](const std::string& dir, FaultVfs& vfs, StoreWorkload& workload) {
    SeededIds ids(1);
    const auto store = Open(dir, vfs.name(), ids);
    if (store.ok()) {
      EXPECT_THAT(workload.Check(**store), IsOk());
    }
  });
}

TEST(StorePowerLoss, ACheckAfterASyncThatFailedIsCut) {
  CutAfterASyncThatFailed([](const std::string& dir, FaultVfs& vfs, StoreWorkload&) {
    store::VerifySqliteStore({.path = dir, .vfs = vfs.name()}).status().IgnoreError();
  });
}

// The failure of one operation: the answer says so, nothing is half done, nothing more is written.
// Whether there were so many operations.
bool FailOne(FaultVfs::Operation operation, int64_t n, FaultVfs::Failure failure, bool sticky) {
  SCOPED_TRACE(absl::StrCat("operation ", static_cast<int>(operation), ", number ", n, ", failure ",
                            static_cast<int>(failure), sticky ? ", and all after it" : ""));
  const absl::StatusCode reported = failure == FaultVfs::Failure::kNoSpace
                                        ? absl::StatusCode::kResourceExhausted
                                        : absl::StatusCode::kUnavailable;
  TempDir dir;
  StoreWorkload workload(7);
  SeededIds ids(7);
  FaultVfs vfs;
  vfs.FailAt(operation, n, failure, sticky);
  {
    auto store = Open(dir.path(), vfs.name(), ids);
    if (!store.ok()) {
      EXPECT_THAT(store, HasCode(reported));
    } else {
      const absl::Status status = workload.Run(**store, kCommits);
      if (!status.ok()) {
        EXPECT_TRUE(vfs.failed());
        EXPECT_THAT(status, HasCode(reported));
        EXPECT_THAT(status.message(), ::testing::HasSubstr("desk.sqlite3"));
        EXPECT_THAT((*store)->Begin(),
                    HasError(absl::StatusCode::kFailedPrecondition, std::string(status.message())));
        // Nobody may see what was not acknowledged.
        auto view = (*store)->OpenView();
        if (view.ok()) {
          EXPECT_EQ((*view)->head(), workload.acknowledged());
        }
      }
    }
  }
  ExpectSound(dir.path(), workload, 7);
  return vfs.failed();
}

void FailEach(FaultVfs::Operation operation) {
  for (int64_t n = 1; n <= 200 && !::testing::Test::HasFailure(); ++n) {
    if (!FailOne(operation, n, FaultVfs::Failure::kIoError, n % 2 == 0)) break;
    FailOne(operation, n, FaultVfs::Failure::kNoSpace, n % 2 == 1);
  }
}

TEST(StoreFailure, NthWrite) { FailEach(FaultVfs::Operation::kWrite); }
TEST(StoreFailure, NthSync) { FailEach(FaultVfs::Operation::kSync); }
TEST(StoreFailure, NthOpen) { FailEach(FaultVfs::Operation::kOpen); }

}  // namespace
}  // namespace agentdesk::testing
