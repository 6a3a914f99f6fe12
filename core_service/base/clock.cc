#include "core_service/base/clock.h"

namespace agentdesk {
namespace {

class RealClock final : public Clock {
 public:
  absl::Time Now() override { return absl::FromChrono(std::chrono::system_clock::now()); }
  absl::Duration Monotonic() override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
  void WaitUntil(Condition& condition, Mutex& mutex, absl::Duration deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    // A year ahead is as good as never, and keeps the arithmetic of time_point from overflowing.
    if (deadline >= Monotonic() + absl::Hours(24 * 365)) {
      condition.Wait(mutex);
      return;
    }
    condition.WaitUntil(mutex,
                        std::chrono::steady_clock::time_point(absl::ToChronoNanoseconds(deadline)));
  }
};

}  // namespace

Clock& Clock::Real() {
  static RealClock* const clock = new RealClock;
  return *clock;
}

}  // namespace agentdesk
