#include "ws_gateway/load_limits.h"

#include "absl/strings/str_cat.h"

namespace agentdesk::gateway {
namespace {

std::string UserKey(const std::string& user) { return absl::StrCat("user ", user); }
std::string AddressKey(const std::string& address) { return absl::StrCat("address ", address); }

}  // namespace

std::optional<LoadLimits::Place> LoadLimits::EnterUser(const std::string& user) {
  return Enter(UserKey(user), options_.connections_per_user, refused_.users);
}

std::optional<LoadLimits::Place> LoadLimits::EnterAddress(const std::string& address) {
  return Enter(AddressKey(address), options_.connections_per_address, refused_.addresses);
}

bool LoadLimits::IsFull(const std::string& key, int64_t limit) const {
  const auto found = places_.find(key);
  return limit > 0 && found != places_.end() && found->second >= limit;
}

bool LoadLimits::HasRoom(const std::string& user, const std::string& address) {
  MutexLock lock(mutex_);
  return !IsFull(UserKey(user), options_.connections_per_user) &&
         !IsFull(AddressKey(address), options_.connections_per_address);
}

std::optional<LoadLimits::Place> LoadLimits::Enter(std::string key, int64_t limit,
                                                   std::atomic<int64_t>& refused) {
  {
    MutexLock lock(mutex_);
    if (!IsFull(key, limit)) {
      ++places_[key];
      return Place(*this, std::move(key));
    }
  }
  ++refused;
  return std::nullopt;
}

void LoadLimits::Leave(const std::string& key) {
  MutexLock lock(mutex_);
  const auto found = places_.find(key);
  if (--found->second == 0) places_.erase(found);
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
