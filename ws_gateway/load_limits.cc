#include "ws_gateway/load_limits.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace agentdesk::gateway {
namespace {

std::string UserKey(const std::string& user) { return absl::StrCat("user ", user); }
std::string AddressKey(const std::string& address) { return absl::StrCat("address ", address); }

}  // namespace

std::string RetryIn(absl::string_view what, absl::Duration wait) {
  return absl::StrCat(what, ", retry in ", absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1))),
                      " s");
}

std::optional<LoadLimits::Place> LoadLimits::EnterUser(const std::string& user) {
  const Use fresh{.places = 0,
                  .messages = TokenBucket(static_cast<double>(options_.user_messages_per_second)),
                  .bytes = TokenBucket(static_cast<double>(options_.user_bytes_per_second))};
  return Enter(UserKey(user), options_.connections_per_user, fresh, refused_.users);
}

std::optional<LoadLimits::Place> LoadLimits::EnterAddress(const std::string& address) {
  const Use fresh{.places = 0, .messages = TokenBucket(0), .bytes = TokenBucket(0)};
  return Enter(AddressKey(address), options_.connections_per_address, fresh, refused_.addresses);
}

bool LoadLimits::IsFull(const std::string& key, int64_t limit) const {
  const auto found = uses_.find(key);
  return limit > 0 && found != uses_.end() && found->second.places >= limit;
}

bool LoadLimits::HasRoom(const std::string& user, const std::string& address) {
  MutexLock lock(mutex_);
  return !IsFull(UserKey(user), options_.connections_per_user) &&
         !IsFull(AddressKey(address), options_.connections_per_address);
}

std::optional<LoadLimits::Place> LoadLimits::Enter(std::string key, int64_t limit, const Use& fresh,
                                                   std::atomic<int64_t>& refused) {
  {
    const absl::Duration now = clock_.Monotonic();
    MutexLock lock(mutex_);
    if (uses_.size() >= forget_at_) {
      // Each is looked at once for as many that came: a constant price for each.
      absl::erase_if(uses_, [now](const auto& entry) { return entry.second.IsAtRest(now); });
      forget_at_ = std::max(kFewUses, 2 * uses_.size());
    }
    if (!IsFull(key, limit)) {
      ++uses_.try_emplace(key, fresh).first->second.places;
      return Place(*this, std::move(key));
    }
  }
  ++refused;
  return std::nullopt;
}

void LoadLimits::Leave(const std::string& key) {
  MutexLock lock(mutex_);
  const auto found = uses_.find(key);
  --found->second.places;
  if (found->second.IsAtRest(clock_.Monotonic())) uses_.erase(found);
}

absl::Duration LoadLimits::TakeMessage(const std::string& user, size_t bytes) {
  if (options_.user_messages_per_second == 0 && options_.user_bytes_per_second == 0) {
    return absl::ZeroDuration();
  }
  const absl::Duration now = clock_.Monotonic();
  MutexLock lock(mutex_);
  Use& use = uses_.find(UserKey(user))->second;
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
