#include "ws_gateway/recent_events.h"

#include <algorithm>
#include <utility>

namespace agentdesk::gateway {

void RecentEvents::Begin(std::string desk_id, int64_t head) {
  Forget();
  known_ = true;
  desk_id_ = std::move(desk_id);
  base_ = head_ = head;
}

void RecentEvents::Forget() {
  known_ = false;
  desk_id_.clear();
  blocks_.clear();
  base_ = head_ = 0;
  events_ = bytes_ = 0;
}

void RecentEvents::Append(std::shared_ptr<const EventBlock> block) {
  head_ = block->up_to;
  events_ += block->entries.size();
  bytes_ += block->size();
  blocks_.push_back(std::move(block));
  while (blocks_.size() > 1 && (events_ > limits_.events || bytes_ > limits_.bytes)) {
    const EventBlock& oldest = *blocks_.front();
    base_ = oldest.up_to;
    events_ -= oldest.entries.size();
    bytes_ -= oldest.size();
    blocks_.pop_front();
  }
}

const EventBlock& RecentEvents::BlockAfter(int64_t position) const {
  if (position >= blocks_.back()->after) return *blocks_.back();
  const auto found = std::upper_bound(
      blocks_.begin(), blocks_.end(), position,
      [](int64_t value, const std::shared_ptr<const EventBlock>& b) { return value < b->up_to; });
  return **found;
}

}  // namespace agentdesk::gateway
