#ifndef AGENTDESK_WS_GATEWAY_RECENT_EVENTS_H_
#define AGENTDESK_WS_GATEWAY_RECENT_EVENTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "ws_gateway/event_json.h"

namespace agentdesk::gateway {

// The end of one desk's log, without holes: what a connection that was away for a moment, or that
// reads a little slower, is served from. The blocks are shared with the other shards.
//
// Not thread-safe.
class RecentEvents {
 public:
  struct Limits {
    size_t events = 65536;
    size_t bytes = 32 << 20;
  };

  explicit RecentEvents(Limits limits) : limits_(limits) {}

  // Begins anew with another desk, or after a position that cannot be joined to what is there.
  void Begin(std::string desk_id, int64_t head);
  // No longer knows a desk, until Begin.
  void Forget();
  // Adds a block that begins at head(); drops the oldest blocks past the limits.
  void Append(std::shared_ptr<const EventBlock> block);

  bool known() const { return known_; }  // whether there is a desk
  const std::string& desk_id() const { return desk_id_; }
  int64_t head() const { return head_; }
  // Whether everything after `position` is here or yet to come.
  bool Reaches(int64_t position) const { return position >= base_; }
  // The block that holds the event after `position`, which is reached and before head().
  const EventBlock& BlockAfter(int64_t position) const;

 private:
  const Limits limits_;
  bool known_ = false;
  std::string desk_id_;
  int64_t base_ = 0;  // the blocks hold every event after it, up to head_
  int64_t head_ = 0;
  std::deque<std::shared_ptr<const EventBlock>> blocks_;
  size_t events_ = 0;
  size_t bytes_ = 0;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_RECENT_EVENTS_H_
