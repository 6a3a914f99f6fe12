#ifndef AGENTDESK_TESTS_SUPPORT_FAKE_CLOCK_H_
#define AGENTDESK_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/mutex.h"

namespace agentdesk::testing {

// A clock that moves only when a test says so. Whoever waits for a time is woken when it has come.
class FakeClock final : public Clock {
 public:
  absl::Time Now() override;
  absl::Duration Monotonic() override;
  void WaitUntil(Condition& condition, Mutex& mutex, absl::Duration deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // Both clocks go on by `step`, and everyone who waits looks again.
  void Advance(absl::Duration step) ABSL_LOCKS_EXCLUDED(mutex_);
  // The wall clock alone jumps.
  void JumpWall(absl::Duration step) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::FromUnixSeconds(1764466501);
  absl::Duration monotonic_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(1000);
  std::multiset<std::pair<Condition*, Mutex*>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_FAKE_CLOCK_H_
