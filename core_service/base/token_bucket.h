#ifndef AGENTDESK_CORE_SERVICE_BASE_TOKEN_BUCKET_H_
#define AGENTDESK_CORE_SERVICE_BASE_TOKEN_BUCKET_H_

#include <algorithm>

#include "absl/time/time.h"

namespace agentdesk {

// Lets through so much a second on average, and at first or after a pause as much as a few seconds'
// worth at once. What is let through may be larger than what is left: it is paid back by waiting.
//
// Not thread-safe. Times are monotonic.
class TokenBucket {
 public:
  static constexpr double kBurstSeconds = 4;

  // 0: there is no limit.
  explicit TokenBucket(double per_second)
      : per_second_(per_second), left_(per_second * kBurstSeconds) {}

  // How long to wait before something is let through; zero: nothing, it may be spent.
  absl::Duration Wait(absl::Duration now) {
    if (per_second_ <= 0) return absl::ZeroDuration();
    left_ = LeftAt(now);
    filled_at_ = now;
    return left_ >= 1 ? absl::ZeroDuration() : absl::Seconds((1 - left_) / per_second_);
  }
  void Spend(double amount) { left_ -= amount; }
  // Whether it is as good as a new one.
  bool IsFull(absl::Duration now) const {
    return per_second_ <= 0 || LeftAt(now) >= per_second_ * kBurstSeconds;
  }

 private:
  double LeftAt(absl::Duration now) const {
    const double seconds = absl::ToDoubleSeconds(now - filled_at_);
    return std::min(left_ + std::max(seconds, 0.0) * per_second_, per_second_ * kBurstSeconds);
  }

  const double per_second_;
  double left_;
  absl::Duration filled_at_ = absl::ZeroDuration();
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_TOKEN_BUCKET_H_
