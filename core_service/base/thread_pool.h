#ifndef AGENTDESK_CORE_SERVICE_BASE_THREAD_POOL_H_
#define AGENTDESK_CORE_SERVICE_BASE_THREAD_POOL_H_

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "core_service/base/mutex.h"

namespace agentdesk {

// Threads for work that may block, taken in the order in which it was given. Thread-safe.
class ThreadPool {
 public:
  using Task = absl::AnyInvocable<void()>;

  // At most `queue_limit` tasks wait at a time.
  ThreadPool(int threads, size_t queue_limit);
  // Runs what waits, then joins.
  ~ThreadPool();

  // False when too much waits already: then `task` is not run.
  [[nodiscard]] bool Post(Task task) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);

  const size_t queue_limit_;
  Mutex mutex_;
  Condition changed_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_THREAD_POOL_H_
