#include "core_service/rpc/live_calls.h"

#include <utility>

namespace agentdesk::rpc {

LiveCalls::LiveCalls(Clock& clock) : clock_(clock), ticker_([this] { Tick(); }) {}

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
  calls_.emplace(key, std::move(call));
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

void LiveCalls::Drain() {
  std::vector<std::shared_ptr<LiveCall>> calls;
  {
    MutexLock lock(mutex_);
    draining_ = true;
    calls = CallsLocked();
  }
  for (const std::shared_ptr<LiveCall>& call : calls) call->Drain();
}

void LiveCalls::Tick() {
  absl::Duration next = clock_.Monotonic() + kTick;
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

std::vector<std::shared_ptr<LiveCall>> LiveCalls::CallsLocked() {
  std::vector<std::shared_ptr<LiveCall>> calls;
  calls.reserve(calls_.size());
  for (const auto& [key, call] : calls_) calls.push_back(call);
  return calls;
}

}  // namespace agentdesk::rpc
