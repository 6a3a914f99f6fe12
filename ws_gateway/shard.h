#ifndef AGENTDESK_WS_GATEWAY_SHARD_H_
#define AGENTDESK_WS_GATEWAY_SHARD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/authenticator.h"
#include "core_service/base/clock.h"
#include "core_service/base/metrics.h"
#include "core_service/base/mutex.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/commands.h"
#include "ws_gateway/connection_metrics.h"
#include "ws_gateway/fan_out_pace.h"
#include "ws_gateway/hub.h"
#include "ws_gateway/load_limits.h"
#include "ws_gateway/origin.h"
#include "ws_gateway/outbox_memory.h"
#include "ws_gateway/recent_events.h"
#include "ws_gateway/request_handler.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {

struct ShardOptions {
  TransportOptions transport;
  RecentEvents::Limits recent;
  OriginList origins;
  const Authenticator* authenticator = nullptr;  // null: authentication is off; outlives the shard
  // Where the outboxes of all shards are added up; null: they have no limit together. Outlives it.
  OutboxMemory* outbox_memory = nullptr;
  size_t index = 0;  // among the shards
  // With other processes, which take what comes while this one drains.
  bool shares_port = false;
};

// One thread, with its sockets, its hub and its share of the browsers.
//
// Post, Publish, ReportGap and Drain are thread-safe, hub() is for the shard's own thread, and the
// rest is for the thread that owns the shard.
class Shard final : private TransportHandler {
 public:
  using Task = absl::AnyInvocable<void()>;

  // All must outlive the shard, and a shard that was started the last text of `metrics`.
  Shard(ShardOptions options, LoadLimits& limits, Clock& clock, IdSource& ids, Metrics& metrics);
  // Stops and joins. What was posted and did not run is dropped.
  ~Shard() override;

  // See Transport::Listen.
  absl::StatusOr<uint16_t> Listen(absl::string_view address, bool share_port);
  // Runs until Drain is over or the shard is destroyed.
  void Start(std::unique_ptr<Commands> commands,
             const std::function<std::unique_ptr<RequestHandler>(Commands&, Hub&)>& make_handler);
  // Waits until the thread has ended, and drops what is left of its sockets, with their feeds.
  void Join();

  // Runs `task` on the shard's thread, in the order of the calls; never when the thread has ended.
  void Post(Task task);
  // Gives the hub these events, with all others that have come by the time that the thread gets to
  // it, and lets go of `taken` then. The thread gets to it before whatever else waits for it, such
  // as thousands of sockets that have room again, and sees to one such thing for each stride of the
  // hub. But while events come faster than they can be written to every browser, each browser is
  // written to less often. Dropped when the thread has ended. See FanOutPace and Hub::Publish.
  void Publish(std::shared_ptr<const EventBlock> block, absl::Time core_time,
               std::shared_ptr<void> taken = nullptr) ABSL_LOCKS_EXCLUDED(mutex_);
  // The same for a gap between what was published before and what will be. See Hub::ReportGap.
  void ReportGap(Gap gap) ABSL_LOCKS_EXCLUDED(mutex_);
  Hub& hub() { return *hub_; }
  // Sends the browsers away evenly over `spread`, and those that come meanwhile at once, unless
  // others on the port take them; then takes nothing new, and ends the thread when all have gone,
  // after `timeout` at the latest.
  void Drain(absl::Duration spread, absl::Duration timeout);

 private:
  struct Loop;
  // From the core: events, or a gap.
  struct Arrival {
    std::shared_ptr<const EventBlock> block;  // null: a gap
    absl::Time core_time;                     // when the core sent the events
    std::shared_ptr<void> taken;
    Gap gap;
  };

  void OnRequest(HttpRequest request, Responder respond) override;
  UpgradeDecision OnUpgrade(const HttpRequest& request) override;
  std::string ChooseSubprotocol(const HttpRequest& request) override;
  void OnRefused(Refusal why) override;
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  void Arrive(Arrival arrival) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether something has come of which the thread does not know.
  bool TakeNews() ABSL_LOCKS_EXCLUDED(mutex_);
  // After a rest, if there is to be one, and after all that waits for the thread by then. Once for
  // any news that was taken, and not while something is being published.
  void PublishLater();
  // Begins to publish all that has arrived, when what came before is published.
  void PublishArrived() ABSL_LOCKS_EXCLUDED(mutex_);
  bool publishing() const { return !due_.empty(); }
  // Goes on with it, by one stride of the hub.
  void PublishMore() ABSL_LOCKS_EXCLUDED(mutex_);
  // Gives the hub the next of it: a gap, or as many blocks as can be joined.
  void PublishNext();
  void StartTicks();
  void OnTick();

  const ShardOptions options_;
  LoadLimits& limits_;
  Clock& clock_;
  IdSource& ids_;
  Metrics& metrics_;
  std::unique_ptr<ConnectionMetrics> connection_metrics_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Commands> commands_;
  std::unique_ptr<Hub> hub_;
  std::unique_ptr<RequestHandler> handler_;
  std::unique_ptr<Transport> transport_;
  FanOutPace pace_;
  // What is being published, and which of it is the next that the hub gets.
  std::vector<Arrival> due_;
  size_t next_due_ = 0;
  absl::Duration publishing_since_;
  Mutex mutex_;
  std::vector<Arrival> arrived_ ABSL_GUARDED_BY(mutex_);
  bool news_ ABSL_GUARDED_BY(mutex_) = false;   // the thread does not know of the first of them
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // the thread; nothing is kept any more
  absl::Duration drain_until_ = absl::InfiniteDuration();
  std::thread thread_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_SHARD_H_
