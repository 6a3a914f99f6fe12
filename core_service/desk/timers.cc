#include "core_service/desk/timers.h"

namespace agentdesk::desk {

void Timers::Set(Kind kind, absl::string_view id, absl::Duration at) {
  MutexLock lock(mutex_);
  const Key key(kind, std::string(id));
  const auto [entry, added] = by_key_.try_emplace(key, at);
  if (added) {
    ++counts_[static_cast<size_t>(kind)];
  } else {
    by_time_.erase({entry->second, key});
    entry->second = at;
  }
  by_time_.insert({at, key});
}

void Timers::Clear(Kind kind, absl::string_view id) {
  MutexLock lock(mutex_);
  const auto entry = by_key_.find(Key(kind, std::string(id)));
  if (entry == by_key_.end()) return;
  by_time_.erase({entry->second, entry->first});
  by_key_.erase(entry);
  --counts_[static_cast<size_t>(kind)];
}

std::optional<absl::Duration> Timers::Find(Kind kind, absl::string_view id) const {
  MutexLock lock(mutex_);
  const auto entry = by_key_.find(Key(kind, std::string(id)));
  if (entry == by_key_.end()) return std::nullopt;
  return entry->second;
}

std::optional<Timers::Due> Timers::TakeDue(absl::Duration now) {
  MutexLock lock(mutex_);
  if (by_time_.empty() || by_time_.begin()->first > now) return std::nullopt;
  const Key key = by_time_.begin()->second;
  by_time_.erase(by_time_.begin());
  by_key_.erase(key);
  --counts_[static_cast<size_t>(key.first)];
  return Due{key.first, key.second};
}

size_t Timers::Count(Kind kind) const {
  MutexLock lock(mutex_);
  return counts_[static_cast<size_t>(kind)];
}

absl::Duration Timers::next() const {
  MutexLock lock(mutex_);
  return by_time_.empty() ? absl::InfiniteDuration() : by_time_.begin()->first;
}

}  // namespace agentdesk::desk
