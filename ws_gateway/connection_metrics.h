#ifndef AGENTDESK_WS_GATEWAY_CONNECTION_METRICS_H_
#define AGENTDESK_WS_GATEWAY_CONNECTION_METRICS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "core_service/base/metrics.h"
#include "ws_gateway/event_json.h"

namespace agentdesk::gateway {

// What the browsers of one shard do, counted by its thread alone. A message costs an addition, and
// what is observed is observed once for a batch, however many browsers get it.
class ConnectionMetrics {
 public:
  // `metrics` must outlive it, and it the last text of them.
  explicit ConnectionMetrics(Metrics& metrics);

  void Opened(Protocol protocol);
  void Closed(Protocol protocol, uint16_t code);
  void Received() { received_.Add(1); }
  void Sent(int64_t messages) { sent_.Add(messages); }
  // All connections have been handed a batch that holds events.
  void FannedOut(absl::Duration took, absl::Duration since_commit);
  // What waits in all outboxes.
  void Queued(size_t bytes) { queued_.Add(static_cast<int64_t>(bytes) - queued_.value()); }

 private:
  Metrics& metrics_;
  Metrics::Histogram& fanout_seconds_;
  Metrics::Histogram& delivery_seconds_;
  std::array<Metrics::Counter*, 3> upgrades_{};              // by protocol
  absl::flat_hash_map<uint16_t, Metrics::Counter*> closes_;  // by code
  std::array<Tally, 3> open_;                                // by protocol
  Tally received_;
  Tally sent_;
  Tally queued_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_CONNECTION_METRICS_H_
