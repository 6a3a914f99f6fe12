#ifndef AGENTDESK_CORE_SERVICE_STORE_PAGE_POSITION_H_
#define AGENTDESK_CORE_SERVICE_STORE_PAGE_POSITION_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core_service/store/store.h"

namespace agentdesk::store {

// Where a page starts: after the last row of the page before. As text it is `k` and the row's key,
// or for questions `q`, the deadline, a dot and the key. Reading it answers InvalidArgument for
// anything that was not written here, and for a page of no rows.
std::string KeyToken(int64_t key);
// `start` for the first page.
absl::StatusOr<int64_t> KeyAfter(const PageRequest& page, int64_t start);

struct DeadlinePosition {
  int64_t expires_us = INT64_MIN;
  int64_t key = 0;
};

std::string DeadlineToken(const DeadlinePosition& position);
absl::StatusOr<DeadlinePosition> DeadlineAfter(const PageRequest& page);

}  // namespace agentdesk::store

#endif  // AGENTDESK_CORE_SERVICE_STORE_PAGE_POSITION_H_
