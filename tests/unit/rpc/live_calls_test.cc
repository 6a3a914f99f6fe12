#include "core_service/rpc/live_calls.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "core_service/base/mutex.h"
#include "tests/support/fake_clock.h"

namespace agentdesk::rpc {
namespace {

class FakeCall final : public LiveCall {
 public:
  void OnTick(absl::Duration now) override {
    {
      MutexLock lock(mutex_);
      last_tick_ = now;
    }
    ticked_.NotifyAll();
  }
  void Drain() override { ++drains; }

  void AwaitTickAt(absl::Duration time) {
    MutexLock lock(mutex_);
    while (last_tick_ < time) ticked_.Wait(mutex_);
  }

  std::atomic<int> drains{0};

 private:
  Mutex mutex_;
  Condition ticked_;
  absl::Duration last_tick_ ABSL_GUARDED_BY(mutex_);
};

TEST(LiveCallsTest, GivesTheTime) {
  testing::FakeClock clock;
  Metrics metrics;
  CallObserver observer(clock, IdSource::Real(), metrics, nullptr);
  LiveCalls calls(clock, observer);
  const auto call = std::make_shared<FakeCall>();
  ASSERT_TRUE(calls.Add(call));
  for (int i = 0; i < 3; ++i) {
    clock.Advance(LiveCalls::kTick);
    call->AwaitTickAt(clock.Monotonic());
  }
  calls.Remove(call.get());
}

TEST(LiveCallsTest, DrainsWhatIsThereAndTakesInNoMore) {
  Metrics metrics;
  CallObserver observer(Clock::Real(), IdSource::Real(), metrics, nullptr);
  LiveCalls calls(Clock::Real(), observer);
  const auto there = std::make_shared<FakeCall>();
  const auto gone = std::make_shared<FakeCall>();
  const auto late = std::make_shared<FakeCall>();
  ASSERT_TRUE(calls.Add(there));
  ASSERT_TRUE(calls.Add(gone));
  calls.Remove(gone.get());
  calls.Drain(absl::Hours(1));
  EXPECT_EQ(there->drains, 1);
  EXPECT_EQ(gone->drains, 0);
  EXPECT_FALSE(calls.Add(late));
  EXPECT_FALSE(calls.BeginShort());
}

TEST(LiveCallsTest, DrainWaitsForShortCalls) {
  Metrics metrics;
  CallObserver observer(Clock::Real(), IdSource::Real(), metrics, nullptr);
  LiveCalls calls(Clock::Real(), observer);
  ASSERT_TRUE(calls.BeginShort());
  std::atomic<bool> drained{false};
  std::thread drain([&] {
    calls.Drain(absl::Hours(1));
    drained = true;
  });
  while (calls.BeginShort()) calls.EndShort();
  EXPECT_FALSE(drained);
  calls.EndShort();
  drain.join();
}

TEST(LiveCallsTest, DrainGivesUpInTime) {
  Metrics metrics;
  CallObserver observer(Clock::Real(), IdSource::Real(), metrics, nullptr);
  LiveCalls calls(Clock::Real(), observer);
  ASSERT_TRUE(calls.BeginShort());
  calls.Drain(absl::Milliseconds(1));
  calls.EndShort();
}

}  // namespace
}  // namespace agentdesk::rpc
