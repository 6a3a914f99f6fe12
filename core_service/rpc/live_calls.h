#ifndef AGENTDESK_CORE_SERVICE_RPC_LIVE_CALLS_H_
#define AGENTDESK_CORE_SERVICE_RPC_LIVE_CALLS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/mutex.h"

namespace agentdesk::rpc {

// A call that lasts. Both methods may come on any thread and may still come after the call has
// finished; they must not block.
class LiveCall {
 public:
  virtual ~LiveCall() = default;
  // Comes every kTick or so; `now` is monotonic.
  virtual void OnTick(absl::Duration now) = 0;
  // The server goes down: finish soon.
  virtual void Drain() = 0;
};

// The calls under way: those that last, with the one thread that gives all of them the time, and
// how many others. Calls into a LiveCall with no lock held; it may call Add and Remove under its
// own lock. Thread-safe.
class LiveCalls {
 public:
  static constexpr absl::Duration kTick = absl::Seconds(5);

  // `clock` must outlive it.
  explicit LiveCalls(Clock& clock);
  // There must be no calls left.
  ~LiveCalls();
  LiveCalls(const LiveCalls&) = delete;
  LiveCalls& operator=(const LiveCalls&) = delete;

  // False while draining: then the call was not taken in.
  [[nodiscard]] bool Add(std::shared_ptr<LiveCall> call) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const LiveCall* call) ABSL_LOCKS_EXCLUDED(mutex_);

  // Counts in a call that does not last; false while draining: then it was not counted.
  [[nodiscard]] bool BeginShort() ABSL_LOCKS_EXCLUDED(mutex_);
  void EndShort() ABSL_LOCKS_EXCLUDED(mutex_);

  // Drains every call that lasts, takes in no more of any kind, and waits until those that were
  // counted have ended, `timeout` at most.
  void Drain(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Duration Now() { return clock_.Monotonic(); }

 private:
  void Tick(absl::Duration next) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<std::shared_ptr<LiveCall>> CallsLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  Mutex mutex_;
  Condition changed_;
  absl::flat_hash_map<const LiveCall*, std::shared_ptr<LiveCall>> calls_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Changed with no lock held, but the change of draining_ and the last decrement while draining
  // are told under it.
  std::atomic<bool> draining_{false};
  std::atomic<int64_t> short_calls_{0};
  std::thread ticker_;
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_LIVE_CALLS_H_
