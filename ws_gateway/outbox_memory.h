#ifndef AGENTDESK_WS_GATEWAY_OUTBOX_MEMORY_H_
#define AGENTDESK_WS_GATEWAY_OUTBOX_MEMORY_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"

namespace agentdesk::gateway {

// What waits to be written in all shards together, in outboxes and in responses, and who has to let
// go of some when that is too much: the shard with the largest of them.
//
// Nothing is counted here for a message: each shard adds up its own, which costs no other thread
// anything, and tells the sum at each of its ticks.
class OutboxMemory {
 public:
  // 0: there is no limit.
  OutboxMemory(size_t max_bytes, size_t shards) : max_bytes_(max_bytes), shares_(shards) {}

  // From the thread of shard `shard`, at each tick: it has `queued` bytes, and `largest` tells the
  // size of its largest outbox, but is called only where there is too much. True: that one is to be
  // closed. Asked again at once, with what is left, until it is false.
  //
  // At the first tick that finds too much nobody closes anything: each tells of its largest one, so
  // that at the next it is known whose is the largest of all.
  bool ShallClose(size_t shard, size_t queued, absl::FunctionRef<size_t()> largest) {
    Share& own = shares_[shard];
    own.queued.store(queued, std::memory_order_relaxed);
    if (max_bytes_ == 0 || Queued() <= max_bytes_) {
      own.largest.store(0, std::memory_order_relaxed);
      own.told = false;
      return false;
    }
    const size_t size = largest();
    own.largest.store(size, std::memory_order_relaxed);
    if (!own.told) {
      own.told = true;
      return false;
    }
    return size > 0 && size >= Largest();
  }

  size_t Queued() const {
    size_t sum = 0;
    for (const Share& share : shares_) sum += share.queued.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  // On a line of the cache of its own: shards write to theirs all the time.
  struct alignas(64) Share {
    std::atomic<size_t> queued{0};
    std::atomic<size_t> largest{0};  // 0 while there is not too much
    bool told = false;               // its shard's thread alone
  };

  size_t Largest() const {
    size_t size = 0;
    for (const Share& share : shares_) {
      size = std::max(size, share.largest.load(std::memory_order_relaxed));
    }
    return size;
  }

  const size_t max_bytes_;
  std::vector<Share> shares_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_OUTBOX_MEMORY_H_
