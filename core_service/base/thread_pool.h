#ifndef AGENTDESK_CORE_SERVICE_BASE_THREAD_POOL_H_
#define AGENTDESK_CORE_SERVICE_BASE_THREAD_POOL_H_

#include <cstddef>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "core_service/base/mutex.h"

namespace agentdesk {

// Threads for work that may block. What was given in one lane is taken in its order, and the lanes
// take turns: who gives much keeps up only what is in the same lane. Thread-safe.
class ThreadPool {
 public:
  using Task = absl::AnyInvocable<void()>;

  // At most `queue_limit` tasks wait in a lane and twice as many in all; the more there are in all,
  // the fewer of one lane, so that others find room.
  ThreadPool(int threads, size_t queue_limit);
  // Runs what waits, then joins.
  ~ThreadPool();

  // False when too much waits already: then `task` is not run.
  [[nodiscard]] bool Post(Task task, absl::string_view lane = "") ABSL_LOCKS_EXCLUDED(mutex_);
  // Is never refused, and comes before all that waits: for a short look at whether the threads go
  // on at all.
  void PostFirst(Task task) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);
  Task TakeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t queue_limit_;
  Mutex mutex_;
  Condition changed_;
  std::deque<Task> first_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::deque<Task>> lanes_ ABSL_GUARDED_BY(mutex_);  // none empty
  std::deque<std::string> turns_ ABSL_GUARDED_BY(mutex_);  // each lane once
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;             // in all lanes
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_THREAD_POOL_H_
