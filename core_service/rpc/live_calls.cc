#include "core_service/rpc/live_calls.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace agentdesk::rpc {

LiveCalls::LiveCalls(Clock& clock, CallObserver& observer)
    : clock_(clock),
      observer_(observer),
      ticker_([this, first = clock.Monotonic() + kTick] { Tick(first); }) {}

LiveCalls::~LiveCalls() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  ticker_.join();
}

bool LiveCalls::Add(std::shared_ptr<LiveCall> call) {
  MutexLock lock(mutex_);
  if (draining_) return false;
  const LiveCall* key = call.get();
  calls_[key] = std::move(call);
  return true;
}

void LiveCalls::Remove(const LiveCall* call) {
  std::shared_ptr<LiveCall> last;  // let go with no lock held
  MutexLock lock(mutex_);
  const auto entry = calls_.find(call);
  if (entry == calls_.end()) return;
  last = std::move(entry->second);
  calls_.erase(entry);
}

bool LiveCalls::BeginShort() {
  // Counted before the look: a call that Drain does not see counted sees that it drains.
  ++short_calls_;
  if (!draining_) return true;
  EndShort();
  return false;
}

void LiveCalls::EndShort() { EndOne(short_calls_); }

void LiveCalls::EndStream() { EndOne(streams_); }

void LiveCalls::EndOne(std::atomic<int64_t>& count) {
  if (--count > 0 || !draining_) return;
  MutexLock lock(mutex_);
  changed_.NotifyAll();
}

void LiveCalls::AwaitZero(const std::atomic<int64_t>& count, absl::Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(timeout);
  MutexLock lock(mutex_);
  while (count > 0 && std::chrono::steady_clock::now() < deadline) {
    changed_.WaitUntil(mutex_, deadline);
  }
}

void LiveCalls::AwaitStreams(absl::Duration timeout) { AwaitZero(streams_, timeout); }

void LiveCalls::Drain(absl::Duration timeout) {
  std::vector<std::shared_ptr<LiveCall>> calls;
  {
    MutexLock lock(mutex_);
    draining_ = true;
    calls = CallsLocked();
  }
  for (const std::shared_ptr<LiveCall>& call : calls) call->Drain();
  AwaitZero(short_calls_, timeout);
}

void LiveCalls::Tick(absl::Duration next) {
  while (true) {
    std::vector<std::shared_ptr<LiveCall>> calls;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && clock_.Monotonic() < next) clock_.WaitUntil(changed_, mutex_, next);
      if (stopping_) return;
      calls = CallsLocked();
    }
    const absl::Duration now = clock_.Monotonic();
    for (const std::shared_ptr<LiveCall>& call : calls) call->OnTick(now);
    next = now + kTick;
  }
}

LiveCalls::Followers LiveCalls::followers() {
  std::vector<std::shared_ptr<LiveCall>> calls;
  {
    MutexLock lock(mutex_);
    calls = CallsLocked();
  }
  Followers followers;
  for (const std::shared_ptr<LiveCall>& call : calls) {
    const std::optional<int64_t> position = call->position();
    if (!position.has_value()) continue;
    ++followers.count;
    followers.last = std::min(followers.last, *position);
  }
  return followers;
}

std::vector<std::shared_ptr<LiveCall>> LiveCalls::CallsLocked() {
  std::vector<std::shared_ptr<LiveCall>> calls;
  calls.reserve(calls_.size());
  for (const auto& [key, call] : calls_) calls.push_back(call);
  return calls;
}

}  // namespace agentdesk::rpc
