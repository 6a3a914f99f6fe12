#include "core_service/base/thread_pool.h"

#include <utility>

namespace agentdesk {

ThreadPool::ThreadPool(int threads, size_t queue_limit) : queue_limit_(queue_limit) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

bool ThreadPool::Post(Task task, absl::string_view lane) {
  {
    MutexLock lock(mutex_);
    const auto found = lanes_.find(lane);
    const size_t before = found == lanes_.end() ? 0 : found->second.size();
    if (before + waiting_ >= 2 * queue_limit_) return false;
    if (before == 0) turns_.emplace_back(lane);
    lanes_[lane].push_back(std::move(task));
    ++waiting_;
  }
  changed_.NotifyOne();
  return true;
}

void ThreadPool::PostFirst(Task task) {
  {
    MutexLock lock(mutex_);
    first_.push_back(std::move(task));
  }
  changed_.NotifyOne();
}

ThreadPool::Task ThreadPool::TakeLocked() {
  Task task;
  if (!first_.empty()) {
    task = std::move(first_.front());
    first_.pop_front();
    return task;
  }
  std::string name = std::move(turns_.front());
  turns_.pop_front();
  const auto lane = lanes_.find(name);
  task = std::move(lane->second.front());
  lane->second.pop_front();
  if (lane->second.empty()) {
    lanes_.erase(lane);
  } else {
    turns_.push_back(std::move(name));
  }
  --waiting_;
  return task;
}

void ThreadPool::Work() {
  while (true) {
    Task task;
    {
      MutexLock lock(mutex_);
      while (first_.empty() && waiting_ == 0 && !stopping_) changed_.Wait(mutex_);
      if (first_.empty() && waiting_ == 0) return;
      task = TakeLocked();
    }
    task();
  }
}

}  // namespace agentdesk
