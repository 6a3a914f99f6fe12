#ifndef AGENTDESK_WS_GATEWAY_ADDRESS_LIMIT_H_
#define AGENTDESK_WS_GATEWAY_ADDRESS_LIMIT_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/node_hash_map.h"
#include "core_service/base/mutex.h"

namespace agentdesk::gateway {

// So many connections are let in beyond a limit of them, to be refused in words.
constexpr size_t RoomForRefusals(size_t limit) { return std::max<size_t>(16, limit / 8); }

// How many connections each address has, from accept to close, whether they say anything or not.
// The transports share one. Thread-safe.
//
// An address has two numbers: those that asked for something and were let in, at most `max`; and
// all that are open, at most RoomForRefusals more, so that silent ones keep nobody else out.
class AddressLimit {
  struct Use {
    size_t open = 0;
    size_t admitted = 0;
  };
  using Entry = std::pair<const std::string, Use>;

 public:
  // A connection's place among those of its address, given back by its end. Belongs to the
  // connection's thread; the limit must outlive it.
  class Place {
   public:
    // Of an address that has no limit.
    Place() = default;
    Place(Place&& other) noexcept
        : limit_(std::exchange(other.limit_, nullptr)),
          entry_(other.entry_),
          admitted_(other.admitted_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(limit_, other.limit_);
      std::swap(entry_, other.entry_);
      std::swap(admitted_, other.admitted_);
      return *this;
    }
    ~Place() {
      if (limit_ != nullptr) limit_->Leave(*entry_, admitted_);
    }

    // Lets in what the connection asks for; false: its address has too many. Once is enough.
    bool Admit() {
      if (limit_ != nullptr && !admitted_) admitted_ = limit_->Admit(*entry_);
      return limit_ == nullptr || admitted_;
    }

   private:
    friend class AddressLimit;

    Place(AddressLimit& limit, Entry& entry) : limit_(&limit), entry_(&entry) {}

    AddressLimit* limit_ = nullptr;
    Entry* entry_ = nullptr;
    bool admitted_ = false;
  };

  // `max` is positive.
  explicit AddressLimit(size_t max) : max_(max) {}

  // For a connection that was just accepted. Nothing: there is no room, not even to refuse it in
  // words.
  std::optional<Place> Enter(const std::string& address) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  bool Admit(Entry& entry) ABSL_LOCKS_EXCLUDED(mutex_);
  void Leave(Entry& entry, bool admitted) ABSL_LOCKS_EXCLUDED(mutex_);

  const size_t max_;
  Mutex mutex_;
  // Those that have connections now. A place keeps the address of its entry.
  absl::node_hash_map<std::string, Use> uses_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_ADDRESS_LIMIT_H_
