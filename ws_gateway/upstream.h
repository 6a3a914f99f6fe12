#ifndef AGENTDESK_WS_GATEWAY_UPSTREAM_H_
#define AGENTDESK_WS_GATEWAY_UPSTREAM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core_service/base/metrics.h"
#include "core_service/base/mutex.h"
#include "core_service/client/event_stream.h"
#include "ws_gateway/core_link.h"
#include "ws_gateway/gateway_state.h"
#include "ws_gateway/shard.h"

namespace agentdesk::gateway {

// The gateway's one subscription to the core: live when the gateway starts, and from then on
// without a gap, across the loss of connections and of the core. Each batch is encoded once and
// published once to each shard; no more than a few are read ahead of the slowest shard, so that a
// gateway that cannot keep up is a slower cursor in the core.
class Upstream final : private client::EventStream::Consumer {
 public:
  // Begins at once. All must outlive it.
  Upstream(CoreLink& link, std::vector<Shard*> shards, GatewayState& state, Metrics& metrics);
  // Ends the stream.
  ~Upstream() override;

 private:
  // Counts the batches that some shard has not taken. Shared with what the shards have, which may
  // outlive the stream.
  class Flow {
   public:
    void SetStream(client::EventStream* stream) ABSL_LOCKS_EXCLUDED(mutex_);
    void OnBatch() ABSL_LOCKS_EXCLUDED(mutex_);
    void OnTaken() ABSL_LOCKS_EXCLUDED(mutex_);

   private:
    Mutex mutex_;
    client::EventStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
    int on_their_way_ ABSL_GUARDED_BY(mutex_) = 0;
    bool next_is_due_ ABSL_GUARDED_BY(mutex_) = false;
  };

  // On the completion thread.
  void OnBatch(std::unique_ptr<v1::SubscribeResponse> batch) override;
  void OnInterrupted(const absl::Status& status) override;
  std::optional<client::StreamStart> OnRefused(const absl::Status& status) override;

  // What is said of an error in the log.
  std::string Words(const absl::Status& status) const;

  CoreLink& link_;
  const std::vector<Shard*> shards_;
  GatewayState& state_;
  Metrics& metrics_;
  Metrics::Gauge& sequence_;
  Metrics::Counter& reconnects_;
  // Touched by the consumer's calls alone.
  std::optional<client::Position> position_;  // none before the first batch and after a gap
  bool away_ = false;                         // the core, and that has been logged
  std::string refused_;  // why the core refuses the stream, as was logged; empty: it does not

  const std::shared_ptr<Flow> flow_ = std::make_shared<Flow>();
  std::unique_ptr<client::EventStream> stream_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_UPSTREAM_H_
