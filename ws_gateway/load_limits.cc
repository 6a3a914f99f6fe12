#include "ws_gateway/load_limits.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace agentdesk::gateway {
std::string RetryIn(absl::string_view what, absl::Duration wait) {
  return absl::StrCat(what, ", retry in ", absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1))),
                      " s");
}

bool LoadLimits::IsFull(const std::string& key) const {
  if (options_.connections_per_user == 0) return false;
  const auto found = users_.find(key);
  return found != users_.end() && found->second.places >= options_.connections_per_user;
}

bool LoadLimits::HasRoom(const Identity& user) {
  MutexLock lock(mutex_);
  return !IsFull(IdentityKey(user));
}

std::optional<LoadLimits::Place> LoadLimits::Enter(const Identity& user) {
  std::string key = IdentityKey(user);
  const Use fresh{.places = 0,
                  .messages = TokenBucket(static_cast<double>(options_.user_messages_per_second)),
                  .bytes = TokenBucket(static_cast<double>(options_.user_bytes_per_second))};
  const absl::Duration now = clock_.Monotonic();
  MutexLock lock(mutex_);
  if (users_.size() >= forget_at_) {
    // Each is looked at once for as many that came: a constant price for each.
    absl::erase_if(users_, [now](const auto& entry) { return entry.second.IsAtRest(now); });
    forget_at_ = std::max(kFewUses, 2 * users_.size());
  }
  if (IsFull(key)) {
    ++refused_.user_connections;
    return std::nullopt;
  }
  ++users_.try_emplace(key, fresh).first->second.places;
  return Place(*this, std::move(key));
}

void LoadLimits::Leave(const std::string& key) {
  MutexLock lock(mutex_);
  const auto found = users_.find(key);
  --found->second.places;
  if (found->second.IsAtRest(clock_.Monotonic())) users_.erase(found);
}

absl::Duration LoadLimits::TakeMessage(const Place& place, size_t bytes) {
  if (options_.user_messages_per_second == 0 && options_.user_bytes_per_second == 0) {
    return absl::ZeroDuration();
  }
  const absl::Duration now = clock_.Monotonic();
  MutexLock lock(mutex_);
  Use& use = users_.find(place.key_)->second;
  const absl::Duration wait = std::max(use.messages.Wait(now), use.bytes.Wait(now));
  if (wait == absl::ZeroDuration()) {
    use.messages.Spend(1);
    use.bytes.Spend(static_cast<double>(bytes));
  }
  return wait;
}

absl::Duration LoadLimits::TakeHandshake() {
  absl::Duration wait;
  {
    MutexLock lock(mutex_);
    wait = handshakes_.Wait(clock_.Monotonic());
    if (wait == absl::ZeroDuration()) handshakes_.Spend(1);
  }
  if (wait > absl::ZeroDuration()) ++refused_.handshakes;
  return wait;
}

}  // namespace agentdesk::gateway
