#include "tests/support/fake_clock.h"

namespace agentdesk::testing {

absl::Time FakeClock::Now() {
  MutexLock lock(mutex_);
  return now_;
}

absl::Duration FakeClock::Monotonic() {
  MutexLock lock(mutex_);
  return monotonic_;
}

void FakeClock::WaitUntil(Condition& condition, Mutex& mutex, absl::Duration deadline) {
  {
    MutexLock lock(mutex_);
    // Time may have moved since the caller looked: then there is nobody left to wake it.
    if (monotonic_ >= deadline) return;
    waiting_.insert({&condition, &mutex});
  }
  condition.Wait(mutex);
  MutexLock lock(mutex_);
  waiting_.erase(waiting_.find({&condition, &mutex}));
}

void FakeClock::Advance(absl::Duration step) {
  std::multiset<std::pair<Condition*, Mutex*>> waiting;
  {
    MutexLock lock(mutex_);
    now_ += step;
    monotonic_ += step;
    waiting = waiting_;
  }
  for (const auto& [condition, mutex] : waiting) {
    // Whoever registered holds its mutex until it really waits.
    MutexLock lock(*mutex);
    condition->NotifyAll();
  }
}

void FakeClock::JumpWall(absl::Duration step) {
  MutexLock lock(mutex_);
  now_ += step;
}

}  // namespace agentdesk::testing
