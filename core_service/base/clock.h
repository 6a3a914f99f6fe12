#ifndef AGENTDESK_CORE_SERVICE_BASE_CLOCK_H_
#define AGENTDESK_CORE_SERVICE_BASE_CLOCK_H_

#include <chrono>

#include "absl/time/time.h"
#include "core_service/base/mutex.h"

namespace agentdesk {

// Where time comes from, passed in so that tests are exact. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time; may jump.
  virtual absl::Time Now() = 0;
  // Time since an arbitrary start; never jumps, never goes back. Deadlines count on it.
  virtual absl::Duration Monotonic() = 0;
  // Waits on `condition` until it is notified or Monotonic() reaches `deadline`
  // (absl::InfiniteDuration(): no deadline). May return early: wait in a loop.
  virtual void WaitUntil(Condition& condition, Mutex& mutex, absl::Duration deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) = 0;

  // The machine's clocks. Never destroyed.
  static Clock& Real();
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_CLOCK_H_
