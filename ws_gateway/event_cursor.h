#ifndef AGENTDESK_WS_GATEWAY_EVENT_CURSOR_H_
#define AGENTDESK_WS_GATEWAY_EVENT_CURSOR_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "agentdesk/v1/event.pb.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/event_json.h"
#include "ws_gateway/recent_events.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {

// An EventFilter made ready: what it lets through must match every list that is not empty.
class EntryFilter {
 public:
  EntryFilter() = default;
  explicit EntryFilter(const v1::EventFilter& filter);

  bool Matches(const EventBlock::Entry& entry) const {
    if (all_) return true;
    return (types_ == 0 || (types_ >> static_cast<unsigned>(entry.type) & 1) != 0) &&
           (tickets_.empty() || tickets_.contains(entry.ticket)) &&
           (sessions_.empty() || sessions_.contains(entry.session));
  }
  bool matches_all() const { return all_; }

 private:
  bool all_ = true;
  uint64_t types_ = 0;  // one bit for each type
  absl::flat_hash_set<Uuid> tickets_;
  absl::flat_hash_set<Uuid> sessions_;
};

// A block for those who get all of it at once, which is nearly everybody: what that takes is worked
// out once. The block must outlive it.
class WholeBlock {
 public:
  explicit WholeBlock(const EventBlock& block);

 private:
  friend class EventCursor;

  struct Run {
    const Frames* frames = nullptr;  // null: not in one piece
    int64_t messages = 0;
  };

  // Null where it does not go in one piece, and for streams, which few have.
  const Run* Of(Protocol protocol) const {
    const auto index = static_cast<size_t>(protocol);
    return index < runs_.size() && runs_[index].frames != nullptr ? &runs_[index] : nullptr;
  }

  const int64_t after_;
  const int64_t up_to_;
  const int64_t last_;         // of its events
  std::array<Run, 2> runs_{};  // kPlain, kV1
};

// How far one connection is in the log, and how its events get into its socket: each once, in
// order, and never more at a time than a queue may hold. A connection that keeps up gets each block
// as it comes; one that lags for a moment takes what it missed from the blocks that all connections
// share.
//
// It also knows what the browser was shown, which is what a response without a question's id is
// judged by. A view is whole while nothing that its protocol knows was left out; a filter, or a
// live start later than what was seen before, makes it partial.
//
// Not thread-safe.
class EventCursor {
 public:
  // No more events are queued to a socket that has so much waiting. The largest event that there
  // can be still fits into the queue after it.
  static constexpr size_t kHighWater = 192 * 1024;

  // `recent` must outlive the cursor.
  EventCursor(const RecentEvents& recent, Protocol protocol)
      : recent_(recent), protocol_(protocol) {}

  // The socket is there, and the log stands at `head`.
  void Open(Socket& socket, int64_t head);
  // The browser has seen the log up to `position`, and what was written before says nothing about
  // that: it is another log, or the browser says itself where it is.
  void Reopen(int64_t position);
  // Sends only what is this tenant's, from now on. What is another's is not missing in the view:
  // nobody may see it here.
  void RestrictTo(std::string tenant) { tenant_ = std::move(tenant); }
  // What is sent next is the first event after `position` that passes the filter.
  void Start(int64_t position, EntryFilter filter);
  void Stop();
  bool started() const { return started_; }

  // Nothing is sent by Pump until Resume.
  void Pause() { paused_ = true; }
  void Resume() { paused_ = false; }
  bool paused() const { return paused_; }

  // Sends what the recent events hold after the position, as far as the queue takes it. False when
  // they no longer reach back to the position.
  [[nodiscard]] bool Pump();
  // Sends what `block` holds after the position. False when the queue is full before its end: call
  // again when there is room.
  [[nodiscard]] bool Send(const EventBlock& block);
  // Does what Pump would once the block is the last of the recent events, for a cursor that stands
  // before it and gets all of it. Returns how many messages that was, or does nothing: then it is
  // for Pump. Inline: a write leaves nothing of our code in the processor's first cache, and each
  // function that lies elsewhere has to be fetched again for each browser.
  std::optional<int64_t> SendWhole(const WholeBlock& block) {
    if (position_ != block.after_ || !started_ || paused_ || partial_ || !unwritten_.empty() ||
        tenant_.has_value() || full()) {
      return std::nullopt;
    }
    const WholeBlock::Run* const run = block.Of(protocol_);
    if (run == nullptr) return std::nullopt;
    if (run->messages > 0) SendMarked(*run->frames, block.last_);
    position_ = block.up_to_;
    return run->messages;
  }
  // Sends frames that show the whole state as of `position`.
  void SendState(const Frames& frames, int64_t position) { SendMarked(frames, position); }
  bool full() const { return socket_->queued_bytes() >= kHighWater; }

  // How many events were sent since the last call.
  int64_t TakeSent() { return std::exchange(sent_, 0); }
  // Everything that passes the filter up to here was sent.
  int64_t position() const { return position_; }
  // As of which position a response for `session` that names no question is judged, so that it
  // never meets a question that was not shown here: the last one fully written to this connection
  // (at first what Open or Reopen said). In a partial view, the last question of this session that
  // was fully written; where there was none, the last position at which the view was whole.
  int64_t ShownAsOf(const Uuid& session);

 private:
  // The frames' mark, a count of this connection, and the position reached once they are written.
  struct Mark {
    int64_t mark;
    int64_t position;
  };

  // An index into a block's tenants, or this.
  static constexpr int64_t kEveryTenant = -1;

  int64_t TenantIn(const EventBlock& block) const;
  bool Passes(const EventBlock::Entry& entry, int64_t tenant) const {
    return (tenant == kEveryTenant || entry.tenant == tenant) && filter_.Matches(entry);
  }
  // Where the run of events ends that starts with entry `begin` and can be sent in one piece.
  size_t RunEnd(const EventBlock& block, size_t begin, int64_t tenant) const;
  void SendMarked(const Frames& frames, int64_t position) {
    if (socket_->Send(frames, ++marks_)) {
      unwritten_.clear();
      written_ = std::max(written_, position);
    } else {
      unwritten_.push_back({marks_, position});
    }
  }
  int64_t WrittenPosition();

  // What every event touches comes first, in as few cache lines as there can be.
  const RecentEvents& recent_;
  Socket* socket_ = nullptr;
  int64_t position_ = 0;
  int64_t written_ = 0;
  int64_t sent_ = 0;
  int64_t marks_ = 0;
  const Protocol protocol_;
  bool started_ = false;
  bool paused_ = false;
  bool partial_ = false;
  std::vector<Mark> unwritten_;
  std::optional<std::string> tenant_;  // none: whoever's
  EntryFilter filter_;

  int64_t whole_until_ = 0;                // of a partial view
  absl::flat_hash_map<Uuid, Mark> asked_;  // the last question of each session in a partial view
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_EVENT_CURSOR_H_
