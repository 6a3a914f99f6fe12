#ifndef AGENTDESK_CORE_SERVICE_DESK_OPEN_TICKETS_H_
#define AGENTDESK_CORE_SERVICE_DESK_OPEN_TICKETS_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "core_service/domain/change.h"
#include "core_service/domain/ticket.h"

namespace agentdesk::desk {

// How many tickets each tenant has that have not ended: told once at the start of all that there
// are, and kept current from then on by the writer alone, as it applies changes. So whether there
// is room for one more is decided in the order of the log.
class OpenTickets {
 public:
  // 0: any number.
  explicit OpenTickets(int64_t max_of_tenant) : max_(max_of_tenant) {}

  // One that there is at the start.
  void Add(const std::string& tenant) { ++open_[tenant]; }
  void Applied(const domain::Change& change) {
    if (!change.job.has_value()) return;
    const v1::Job& job = change.job->job();
    const bool was = domain::IsLive(change.job_was);
    const bool is = domain::IsLive(job.status());
    if (was == is) return;
    const auto count = open_.try_emplace(job.tenant(), 0).first;
    count->second += is ? 1 : -1;
    if (count->second == 0) open_.erase(count);
  }
  // See domain::CheckRoomForTicket.
  absl::Status CheckRoom(const std::string& tenant) const {
    const auto found = open_.find(tenant);
    return domain::CheckRoomForTicket(found == open_.end() ? 0 : found->second, max_);
  }

 private:
  const int64_t max_;
  absl::flat_hash_map<std::string, int64_t> open_;  // by tenant; none is 0
};

}  // namespace agentdesk::desk

#endif  // AGENTDESK_CORE_SERVICE_DESK_OPEN_TICKETS_H_
