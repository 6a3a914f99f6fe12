#ifndef AGENTDESK_CORE_SERVICE_EVENTS_SUBSCRIPTION_H_
#define AGENTDESK_CORE_SERVICE_EVENTS_SUBSCRIPTION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agentdesk/v1/event.pb.h"
#include "core_service/base/uuid.h"
#include "core_service/events/event_log.h"
#include "core_service/store/store.h"

namespace agentdesk::events {

// Which events a subscriber wants: an event passes when it matches every list that is not empty.
class Filter {
 public:
  Filter() = default;  // everything
  // InvalidArgument: a list has more than 100 entries, or an id is not a UUID.
  static absl::StatusOr<Filter> Create(const v1::EventFilter& filter);

  // From now on only what belongs to this tenant passes (empty: the default one).
  void HoldTo(std::string tenant);

  bool Passes(const store::EventBlock::Entry& entry) const;
  // Whether everything passes that the tenant may see.
  bool passes_all() const { return all_; }
  const std::optional<std::string>& tenant() const { return tenant_; }
  // In the form that the store reads by.
  const v1::EventFilter& proto() const { return proto_; }

 private:
  bool all_ = true;
  v1::EventFilter proto_;
  absl::flat_hash_set<Uuid> ticket_ids_;
  absl::flat_hash_set<Uuid> session_ids_;
  absl::flat_hash_set<int> types_;
  std::optional<std::string> tenant_;
};

// A run of encoded events, as it goes on the wire: zero or more `events` fields of a
// SubscribeResponse.
struct Piece {
  std::shared_ptr<const void> owner;  // keeps `bytes` alive
  absl::string_view bytes;
};

// A cursor in the log with a filter. It holds no events: a slow subscriber is merely at an earlier
// position. Not thread-safe; its owner calls one method at a time.
class Subscription {
 public:
  struct Limits {
    int64_t max_events = 1024;
    size_t max_bytes = 256 * 1024;
    // Whether it also reads behind the oldest position that may be subscribed to, where rows are
    // kept.
    bool behind_oldest = false;
  };

  // `log` must outlive it. Starts after position `after`.
  Subscription(EventLog& log, Filter filter, int64_t after, Limits limits);

  struct Batch {
    EventLog::Found found = EventLog::Found::kWaiting;
    std::vector<Piece> pieces;  // may be empty though kEvents: nothing passed the filter
    int64_t up_to = 0;          // all that passes the filter up to here has been handed out
  };
  // What follows the cursor, which moves past it; or registers `waiter` (kWaiting). On kInStore,
  // call ReadStore from a thread that may block.
  Batch Next(const std::shared_ptr<Waiter>& waiter);
  // The same from the store, for a cursor behind the tail. Found is kEvents or kCompacted.
  absl::StatusOr<Batch> ReadStore(store::Store& store);

  // For the batches to come.
  void set_limits(Limits limits) { limits_ = limits; }
  void Forget(const std::shared_ptr<Waiter>& waiter) { log_.Forget(waiter); }
  int64_t position() const { return position_; }

 private:
  EventLog& log_;
  const Filter filter_;
  Limits limits_;
  int64_t position_;
};

}  // namespace agentdesk::events

#endif  // AGENTDESK_CORE_SERVICE_EVENTS_SUBSCRIPTION_H_
