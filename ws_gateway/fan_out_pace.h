#ifndef AGENTDESK_WS_GATEWAY_FAN_OUT_PACE_H_
#define AGENTDESK_WS_GATEWAY_FAN_OUT_PACE_H_

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace agentdesk::gateway {

// When events are next written to the browsers of one shard. Most of a write's price is its call,
// so events that come faster than they can be written to everybody had better reach each browser
// together: after a fan-out that joined several blocks there is a rest, twice as long as it took
// but at most kLongestRest, and what comes meanwhile is written after it in one. A block that comes
// alone never makes the next one wait.
//
// Times are on the monotonic clock. Not thread-safe.
class FanOutPace {
 public:
  // More joins little: who creates tickets has had the answers by then, and goes on.
  static constexpr absl::Duration kLongestRest = absl::Milliseconds(5);

  // A fan-out is over, in which so many blocks were joined.
  void Wrote(size_t blocks, absl::Duration began, absl::Duration ended) {
    next_ = blocks > 1 ? ended + std::min(2 * (ended - began), kLongestRest) : ended;
  }
  // The next one begins no earlier.
  absl::Duration next() const { return next_; }

 private:
  absl::Duration next_ = -absl::InfiniteDuration();
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_FAN_OUT_PACE_H_
