#include "ws_gateway/connection_metrics.h"

#include <algorithm>
#include <string>

namespace agentdesk::gateway {
namespace {

// Those that this side or a well-behaved browser sends; a client may send any from 3000 to 4999.
bool IsOurs(uint16_t code) {
  return (code >= 1000 && code <= 1015) || code == 4401 || code == 4429 || code == 4430 ||
         code == 4501 || code == 4503;
}

Metrics::Reading ValueOf(const Tally& tally) {
  return [&tally] { return static_cast<double>(tally.value()); };
}

}  // namespace

ConnectionMetrics::ConnectionMetrics(Metrics& metrics)
    : metrics_(metrics),
      fanout_seconds_(metrics.AddHistogram(
          "agentdesk_fanout_seconds",
          "Time that one shard took to hand a batch of events to all its connections.",
          LatencyBounds())),
      delivery_seconds_(metrics.AddHistogram(
          "agentdesk_event_delivery_seconds",
          "Time from an event's commit to its write to the last socket of a shard that takes it at "
          "once; one observation for each batch and shard, of the batch's first event.",
          LatencyBounds())) {
  const std::array<const char*, 3> names = {"plain", "agentdesk.v1", "stream"};
  for (size_t i = 0; i < names.size(); ++i) {
    upgrades_[i] =
        &metrics.AddCounter("agentdesk_ws_upgrades_total",
                            "WebSockets and streams of events that were opened, by protocol.",
                            {{"protocol", names[i]}});
    metrics.ReadGauge("agentdesk_ws_connections",
                      "WebSockets and streams of events that are open, by protocol.",
                      {{"protocol", names[i]}}, ValueOf(open_[i]));
  }
  metrics.ReadCounter("agentdesk_ws_messages_received_total", "Messages from browsers.", {},
                      ValueOf(received_));
  metrics.ReadCounter("agentdesk_ws_messages_sent_total",
                      "Messages for browsers: events, answers and snapshots.", {}, ValueOf(sent_));
  metrics.ReadGauge("agentdesk_ws_outbox_bytes",
                    "What waits to be written to browsers, as of the last second.", {},
                    ValueOf(queued_));
}

void ConnectionMetrics::Opened(Protocol protocol) {
  const auto index = static_cast<size_t>(protocol);
  upgrades_[index]->Increment();
  open_[index].Add(1);
}

void ConnectionMetrics::Closed(Protocol protocol, uint16_t code) {
  open_[static_cast<size_t>(protocol)].Add(-1);
  const uint16_t known = IsOurs(code) ? code : 0;
  Metrics::Counter*& counter = closes_[known];
  if (counter == nullptr) {
    counter = &metrics_.AddCounter(
        "agentdesk_ws_closes_total",
        "WebSockets that ended, by close code; 4430: a browser that read too slowly.",
        {{"code", known == 0 ? "other" : std::to_string(known)}});
  }
  counter->Increment();
}

void ConnectionMetrics::FannedOut(absl::Duration took, absl::Duration since_commit) {
  fanout_seconds_.Observe(absl::ToDoubleSeconds(took));
  // The two machines' clocks may differ.
  delivery_seconds_.Observe(std::max(0.0, absl::ToDoubleSeconds(since_commit)));
}

}  // namespace agentdesk::gateway
