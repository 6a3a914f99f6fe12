#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core_service/base/error.h"
#include "core_service/base/thread_pool.h"
#include "core_service/base/timestamp.h"
#include "core_service/base/uuid.h"

namespace agentdesk {
namespace {

TEST(UuidTest, ReadsEveryFormAndWritesOne) {
  const auto uuid = Uuid::Parse("2BBAB0827928816f88e2f42f69157F7B");
  ASSERT_TRUE(uuid.has_value());
  EXPECT_EQ(uuid->ToString(), "2bbab082-7928-816f-88e2-f42f69157f7b");
  EXPECT_EQ(Uuid::Parse(uuid->ToString()), uuid);
  EXPECT_EQ(Uuid::FromBytes(uuid->ToBytes()), *uuid);
  for (const char* bad :
       {"", "x", "2bbab082-7928-816f-88e2-f42f69157f7", "2bbab0827928-816f-88e2-f42f69157f7b-",
        "2bbab082x7928x816fx88e2xf42f69157f7b", "2bbab082-7928-816f-88e2-f42f69157f7g",
        "gbbab0827928816f88e2f42f69157f7b"}) {
    EXPECT_FALSE(Uuid::Parse(bad).has_value()) << bad;
  }
}

TEST(UuidTest, NewOnesAreOfVersionSevenAndSortByTime) {
  const absl::Time now = absl::FromUnixSeconds(1764466501);
  const std::string earlier = IdSource::Real().NewUuid(now).ToString();
  const std::string later = IdSource::Real().NewUuid(now + absl::Milliseconds(1)).ToString();
  EXPECT_LT(earlier, later);
  EXPECT_EQ(earlier[14], '7');
  EXPECT_NE(std::string("89ab").find(earlier[19]), std::string::npos);
}

TEST(TimestampTest, WritesEachSecondAsItIs) {
  for (const auto& [us, text] : std::vector<std::pair<int64_t, std::string>>{
           {1764466501000000, "2025-11-30T01:35:01.000000+00:00"},
           {1764466501000007, "2025-11-30T01:35:01.000007+00:00"},
           {1764466502999999, "2025-11-30T01:35:02.999999+00:00"},
           {1764466501000007, "2025-11-30T01:35:01.000007+00:00"},
           {-1, "1969-12-31T23:59:59.999999+00:00"},
           {-62135596800000000, "0001-01-01T00:00:00.000000+00:00"}}) {
    EXPECT_EQ(FormatTimestamp(ToProto(absl::FromUnixMicros(us))), text);
  }
}

TEST(TimestampTest, KeepsMicroseconds) {
  const absl::Time time = absl::FromUnixMicros(1764466501946551);
  EXPECT_EQ(FromProto(ToProto(time)), time);
  EXPECT_EQ(FormatTimestamp(ToProto(time)), "2025-11-30T01:35:01.946551+00:00");
  EXPECT_EQ(FromProto(ToProto(absl::Milliseconds(-1500))), absl::Milliseconds(-1500));
  EXPECT_EQ(FromProto(ToProto(absl::FromUnixMicros(-1))), absl::FromUnixMicros(-1));
}

TEST(ErrorTest, CarriesItsDetail) {
  const absl::Status status = InvalidField("ticket_name", "must have 1 to 500 characters");
  EXPECT_EQ(status.message(), "ticket_name: must have 1 to 500 characters");
  EXPECT_EQ(DetailOf(status).field, "ticket_name");
  EXPECT_EQ(DetailOf(status).reason, "invalid_argument");
  EXPECT_EQ(DetailOf(Overloaded("wait")).retry_after, absl::Milliseconds(200));
  EXPECT_EQ(DetailOf(absl::NotFoundError("")).reason, "not_found");
}

TEST(ThreadPoolTest, RunsWhatItTookBeforeItEnds) {
  Mutex mutex;
  int ran = 0;
  {
    ThreadPool pool(2, 100);
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(pool.Post([&] {
        MutexLock lock(mutex);
        ++ran;
      }));
    }
  }
  EXPECT_EQ(ran, 50);
}

TEST(ThreadPoolTest, RefusesWhatIsTooMuch) {
  ThreadPool pool(1, 0);
  EXPECT_FALSE(pool.Post([] {}));
}

// One thread, held until the test has posted what it wants.
class HeldPool {
 public:
  explicit HeldPool(size_t queue_limit) : pool_(std::make_unique<ThreadPool>(1, queue_limit)) {
    std::promise<void> held;
    EXPECT_TRUE(pool_->Post([this, &held] {
      held.set_value();
      release_.get_future().wait();
    }));
    held.get_future().wait();
  }
  // Whether there was room for a task in this lane, which is then known by the lane's name.
  bool Post(const std::string& lane) {
    return pool_->Post([this, lane] { order_ += lane; }, lane);
  }
  void PostFirst(const std::string& name) {
    pool_->PostFirst([this, name] { order_ += name; });
  }
  // The tasks in the order in which they ran.
  std::string Order() {
    release_.set_value();
    pool_ = nullptr;
    return order_;
  }

 private:
  std::promise<void> release_;
  std::string order_;  // of the one thread
  std::unique_ptr<ThreadPool> pool_;
};

TEST(ThreadPoolTest, LanesTakeTurns) {
  HeldPool pool(100);
  for (const char* lane : {"a", "a", "a", "a", "b", "c", "b"}) EXPECT_TRUE(pool.Post(lane));
  EXPECT_EQ(pool.Order(), "abcabaa");
}

TEST(ThreadPoolTest, WhatComesFirstWaitsForNothingAndIsNeverRefused) {
  HeldPool pool(2);
  EXPECT_TRUE(pool.Post("a"));
  EXPECT_TRUE(pool.Post("a"));
  EXPECT_FALSE(pool.Post("a"));
  pool.PostFirst("1");
  pool.PostFirst("2");
  EXPECT_EQ(pool.Order(), "12aa");
}

TEST(ThreadPoolTest, ALaneThatIsFullLeavesRoomForOthers) {
  HeldPool pool(6);
  int taken = 0;
  while (pool.Post("a")) ++taken;
  EXPECT_EQ(taken, 6);
  for (const char* lane : {"b", "b", "b", "c", "d"}) EXPECT_TRUE(pool.Post(lane)) << lane;
  EXPECT_FALSE(pool.Post("b"));
  EXPECT_EQ(pool.Order(), "abcdababaaa");
}

}  // namespace
}  // namespace agentdesk
