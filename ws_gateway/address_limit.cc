#include "ws_gateway/address_limit.h"

namespace agentdesk::gateway {

std::optional<AddressLimit::Place> AddressLimit::Enter(const std::string& address) {
  MutexLock lock(mutex_);
  Entry& entry = *uses_.try_emplace(address).first;
  if (entry.second.open >= max_ + RoomForRefusals(max_)) return std::nullopt;
  ++entry.second.open;
  return Place(*this, entry);
}

bool AddressLimit::Admit(Entry& entry) {
  MutexLock lock(mutex_);
  if (entry.second.admitted >= max_) return false;
  ++entry.second.admitted;
  return true;
}

void AddressLimit::Leave(Entry& entry, bool admitted) {
  MutexLock lock(mutex_);
  if (admitted) --entry.second.admitted;
  if (--entry.second.open == 0) uses_.erase(uses_.find(entry.first));
}

}  // namespace agentdesk::gateway
