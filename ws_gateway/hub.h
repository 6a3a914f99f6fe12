#ifndef AGENTDESK_WS_GATEWAY_HUB_H_
#define AGENTDESK_WS_GATEWAY_HUB_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/connection.h"
#include "ws_gateway/connection_metrics.h"
#include "ws_gateway/outbox_memory.h"
#include "ws_gateway/recent_events.h"

namespace agentdesk::gateway {

// The connections of one shard and the events that they are served from.
//
// Belongs to one thread: no locks.
class Hub final : public ConnectionHost {
 public:
  // How often Tick is to be called.
  static constexpr absl::Duration kTick = absl::Milliseconds(100);
  // To so many connections events are written at a time, which takes about a quarter of a
  // millisecond. Not only one at a time, since each finds what the one before left in the
  // processor's caches.
  static constexpr size_t kStride = 64;

  // All must outlive the hub.
  // `authenticator`: null where authentication is off.
  Hub(Commands& commands, Clock& clock, IdSource& ids, RecentEvents::Limits recent,
      LoadLimits& limits, ConnectionMetrics& metrics, const Authenticator* authenticator = nullptr);

  // A browser that connects. It counts itself in and out.
  std::unique_ptr<SocketHandler> MakeConnection(ConnectionOptions options);
  // A name for one that is not known otherwise: `guest-` and four hex digits.
  std::string NewGuestName();

  // The next events; the first ever call, and the first after ReportGap, says which desk it is and
  // where its log stands. `core_time` is when the core sent them. They are written to the first
  // kStride connections; for the others call GoOn until none is left. Whatever may happen to
  // connections meanwhile, each gets them once and in order. Events and gaps that come before all
  // have had the last ones make the hub go through the rest at once.
  void Publish(std::shared_ptr<const EventBlock> block, absl::Time core_time);
  // Whether some have not had the last events.
  bool publishing() const { return block_ != nullptr; }
  // Writes them to the next kStride connections.
  void GoOn();
  // The events cannot go on without a gap.
  void ReportGap(const Gap& gap);
  void Tick();
  // Closes those to whom most waits while all shards together hold too much. At every tick;
  // `queued` is what waits in this shard, `shard`, and `add_others` adds those that are none of the
  // hub's.
  void KeepWithin(OutboxMemory& memory, size_t shard, size_t queued,
                  absl::FunctionRef<void(std::vector<Backlog>&)> add_others);
  // Closes every connection, spread evenly over a time, and those that still come.
  void StartDrain(absl::Duration over);
  bool empty() const { return connections_.empty(); }

  void Add(Connection& connection) override;
  void Remove(Connection& connection) override;
  void Attend(Connection& connection) override;
  const RecentEvents& recent() const override { return recent_; }
  Commands& commands() override { return commands_; }
  const Authenticator* authenticator() const override { return authenticator_; }
  LoadLimits& limits() override { return limits_; }
  ConnectionMetrics& metrics() override { return metrics_; }
  absl::Duration Monotonic() override { return clock_.Monotonic(); }
  absl::Time Now() override { return clock_.Now() + core_ahead_; }
  absl::Time WallTime() override { return clock_.Now(); }
  Uuid NewUuid() override { return ids_.NewUuid(clock_.Now()); }
  double Fraction() override { return ids_.Fraction(); }
  bool draining() const override { return draining_; }

 private:
  void SendAway(const EventBlock& block);
  void FinishPublishing();
  // Takes it out of those who are served. Once is enough.
  void Dismiss(Connection& connection);
  void Drain(absl::Duration now);

  Commands& commands_;
  Clock& clock_;
  IdSource& ids_;
  LoadLimits& limits_;
  ConnectionMetrics& metrics_;
  const Authenticator* const authenticator_;
  RecentEvents recent_;
  absl::Duration core_ahead_;  // of this machine's clock
  // In the order of their coming, which is about that of their memory, here, in the transport and
  // in the kernel: a broadcast goes through all of it.
  std::vector<Connection*> connections_;
  // Is written to them, and those from `next_` on have not had it; null: all have.
  std::shared_ptr<const EventBlock> block_;
  std::optional<WholeBlock> whole_;  // of it
  size_t next_ = 0;
  absl::Duration began_;
  int64_t sent_ = 0;
  absl::flat_hash_set<Connection*> attended_;
  absl::Duration next_beat_;
  bool draining_ = false;
  absl::Duration drain_until_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_HUB_H_
