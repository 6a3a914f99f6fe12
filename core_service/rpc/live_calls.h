#ifndef AGENTDESK_CORE_SERVICE_RPC_LIVE_CALLS_H_
#define AGENTDESK_CORE_SERVICE_RPC_LIVE_CALLS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/mutex.h"
#include "core_service/rpc/call_observer.h"

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
  // How far it has come, where it follows the log.
  virtual std::optional<int64_t> position() { return std::nullopt; }
};

// The calls under way: those that last, with the one thread that gives all of them the time, and
// how many others; and how all of them end. Calls into a LiveCall with no lock held; it may call
// Add and Remove under its own lock. Thread-safe.
class LiveCalls {
 public:
  static constexpr absl::Duration kTick = absl::Seconds(5);

  // Both must outlive it.
  LiveCalls(Clock& clock, CallObserver& observer);
  // There must be no calls left.
  ~LiveCalls();
  LiveCalls(const LiveCalls&) = delete;
  LiveCalls& operator=(const LiveCalls&) = delete;

  // False while draining: then the call was not taken in.
  [[nodiscard]] bool Add(std::shared_ptr<LiveCall> call) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const LiveCall* call) ABSL_LOCKS_EXCLUDED(mutex_);

  // Counts in a call that does not last, until its answer has been written; false while draining:
  // then it was not counted.
  [[nodiscard]] bool BeginShort() ABSL_LOCKS_EXCLUDED(mutex_);
  void EndShort() ABSL_LOCKS_EXCLUDED(mutex_);

  // Counts a stream, from before Add until its last word has been written.
  void BeginStream() { ++streams_; }
  void EndStream() ABSL_LOCKS_EXCLUDED(mutex_);

  // Drains every call that lasts, takes in no more of any kind, and waits until those that were
  // counted have ended, `timeout` at most.
  void Drain(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);
  // After that: waits until the streams have ended too, `timeout` at most.
  void AwaitStreams(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  // How many calls follow the log, and how far the last of them has come (INT64_MAX: there is
  // none).
  struct Followers {
    int64_t count = 0;
    int64_t last = INT64_MAX;
  };
  Followers followers() ABSL_LOCKS_EXCLUDED(mutex_);

  CallObserver& observer() { return observer_; }
  absl::Duration Now() { return clock_.Monotonic(); }

 private:
  void AwaitZero(const std::atomic<int64_t>& count, absl::Duration timeout)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void EndOne(std::atomic<int64_t>& count) ABSL_LOCKS_EXCLUDED(mutex_);
  void Tick(absl::Duration next) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<std::shared_ptr<LiveCall>> CallsLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  CallObserver& observer_;
  Mutex mutex_;
  Condition changed_;
  absl::flat_hash_map<const LiveCall*, std::shared_ptr<LiveCall>> calls_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Changed with no lock held, but the change of draining_ and the last decrement while draining
  // are told under it.
  std::atomic<bool> draining_{false};
  std::atomic<int64_t> short_calls_{0};
  std::atomic<int64_t> streams_{0};
  std::thread ticker_;
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_LIVE_CALLS_H_
