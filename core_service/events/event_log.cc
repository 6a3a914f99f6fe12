#include "core_service/events/event_log.h"

#include <algorithm>
#include <utility>

namespace agentdesk::events {

EventLog::EventLog(Limits limits, int64_t head, int64_t oldest)
    : limits_(limits), head_(head), expected_(head), oldest_(oldest) {}

void EventLog::Expect(int64_t head) {
  MutexLock lock(mutex_);
  expected_ = std::max(expected_, head);
}

std::vector<std::shared_ptr<Waiter>> EventLog::Append(
    std::shared_ptr<const store::EventBlock> block) {
  std::vector<std::shared_ptr<Waiter>> woken;
  if (block->empty()) return woken;
  MutexLock lock(mutex_);
  head_ = block->entries().back().sequence;
  tail_events_ += static_cast<int64_t>(block->entries().size());
  tail_bytes_ += block->bytes().size();
  tail_.push_back(std::move(block));
  while (tail_.size() > 1 &&
         (tail_events_ > limits_.max_events || tail_bytes_ > limits_.max_bytes)) {
    tail_events_ -= static_cast<int64_t>(tail_.front()->entries().size());
    tail_bytes_ -= tail_.front()->bytes().size();
    tail_.pop_front();
  }
  woken.assign(waiters_.begin(), waiters_.end());
  waiters_.clear();
  return woken;
}

void EventLog::Wake(const std::vector<std::shared_ptr<Waiter>>& waiters) {
  for (const std::shared_ptr<Waiter>& waiter : waiters) waiter->OnEvents();
}

void EventLog::SetOldest(int64_t oldest) {
  MutexLock lock(mutex_);
  oldest_ = std::max(oldest_, oldest);
}

int64_t EventLog::head() const {
  MutexLock lock(mutex_);
  return head_;
}

int64_t EventLog::reached() const {
  MutexLock lock(mutex_);
  return std::max(head_, expected_);
}

int64_t EventLog::oldest() const {
  MutexLock lock(mutex_);
  return oldest_;
}

EventLog::Tail EventLog::tail() const {
  MutexLock lock(mutex_);
  return {tail_events_, tail_bytes_};
}

EventLog::Read EventLog::ReadOrWait(int64_t after, int64_t max_events, size_t max_bytes,
                                    const std::shared_ptr<Waiter>& waiter) {
  MutexLock lock(mutex_);
  Read read;
  if (after + 1 < oldest_) {
    read.found = Found::kCompacted;
    return read;
  }
  if (after >= head_) {
    waiters_.insert(waiter);
    read.found = Found::kWaiting;
    return read;
  }
  if (tail_.empty() || after + 1 < tail_.front()->entries().front().sequence) {
    read.found = Found::kInStore;
    return read;
  }
  read.found = Found::kEvents;
  auto block = std::partition_point(tail_.begin(), tail_.end(), [after](const auto& candidate) {
    return candidate->entries().back().sequence <= after;
  });
  int64_t events = 0;
  size_t bytes = 0;
  for (; block != tail_.end() && events < max_events && bytes < max_bytes; ++block) {
    events += static_cast<int64_t>((*block)->entries().size());
    bytes += (*block)->bytes().size();
    read.blocks.push_back(*block);
  }
  return read;
}

void EventLog::Forget(const std::shared_ptr<Waiter>& waiter) {
  MutexLock lock(mutex_);
  waiters_.erase(waiter);
}

}  // namespace agentdesk::events
