#ifndef AGENTDESK_CORE_SERVICE_EVENTS_EVENT_LOG_H_
#define AGENTDESK_CORE_SERVICE_EVENTS_EVENT_LOG_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "core_service/base/mutex.h"
#include "core_service/store/event_block.h"

namespace agentdesk::events {

// Told once that there is something after the position it waited at. Called by the thread that
// calls EventLog::Wake, with no lock held; must not block.
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void OnEvents() = 0;
};

// The end of the log in memory: what was committed last, as encoded, and who waits for more. Older
// events are in the store; a reader that is behind the tail reads there.
//
// A waiter is registered under the lock that appends, in the same critical section that found
// nothing to read. That is the whole proof that no event is skipped and no wake-up lost.
// Thread-safe.
class EventLog {
 public:
  struct Limits {
    int64_t max_events = 65536;
    size_t max_bytes = 64 * 1024 * 1024;
  };

  // The log's state at start. `oldest` is the first position that may be subscribed to.
  EventLog(Limits limits, int64_t head, int64_t oldest);
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Says, before a commit, how far the log will reach: from then on a reader of the store may have
  // seen that position, and reached() knows it. Called by the writer.
  void Expect(int64_t head) ABSL_LOCKS_EXCLUDED(mutex_);

  // Makes committed events visible, whose sequences follow head(), and takes out everyone who
  // waited: call their OnEvents without delay, from any thread, by Wake(). Called by one thread,
  // the writer.
  std::vector<std::shared_ptr<Waiter>> Append(std::shared_ptr<const store::EventBlock> block)
      ABSL_LOCKS_EXCLUDED(mutex_);
  static void Wake(const std::vector<std::shared_ptr<Waiter>>& waiters);

  // Moves the first position that may be subscribed to. Called by the writer before the commit that
  // does: from then on a reader of the store may refuse what is before it.
  void SetOldest(int64_t oldest) ABSL_LOCKS_EXCLUDED(mutex_);

  int64_t head() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The last position that anybody can have seen: head(), or a little more during a commit.
  int64_t reached() const ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t oldest() const ABSL_LOCKS_EXCLUDED(mutex_);
  // How much of the log is in memory.
  struct Tail {
    int64_t events = 0;
    size_t bytes = 0;
  };
  Tail tail() const ABSL_LOCKS_EXCLUDED(mutex_);

  // What ReadOrWait found after a position.
  enum class Found {
    kEvents,     // at least one event: `blocks` hold them, starting within the first block
    kWaiting,    // nothing yet: the waiter is registered
    kInStore,    // the tail begins later: read from the store
    kCompacted,  // before oldest(): the position cannot be served any more
  };
  struct Read {
    Found found = Found::kWaiting;
    std::vector<std::shared_ptr<const store::EventBlock>> blocks;
  };
  // A position past head() is waited for: see reached(). Reads the blocks that follow `after`,
  // until they hold `max_events` or `max_bytes`, or registers `waiter`, which is kept until it is
  // woken or Forget is called.
  Read ReadOrWait(int64_t after, int64_t max_events, size_t max_bytes,
                  const std::shared_ptr<Waiter>& waiter) ABSL_LOCKS_EXCLUDED(mutex_);
  void Forget(const std::shared_ptr<Waiter>& waiter) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const Limits limits_;

  mutable Mutex mutex_;
  int64_t head_ ABSL_GUARDED_BY(mutex_);
  int64_t expected_ ABSL_GUARDED_BY(mutex_);  // at least head_
  int64_t oldest_ ABSL_GUARDED_BY(mutex_);
  // Without holes, the last one ending at head_; empty at start.
  std::deque<std::shared_ptr<const store::EventBlock>> tail_ ABSL_GUARDED_BY(mutex_);
  int64_t tail_events_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t tail_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<std::shared_ptr<Waiter>> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace agentdesk::events

#endif  // AGENTDESK_CORE_SERVICE_EVENTS_EVENT_LOG_H_
