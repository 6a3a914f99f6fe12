#ifndef AGENTDESK_WS_GATEWAY_LOAD_LIMITS_H_
#define AGENTDESK_WS_GATEWAY_LOAD_LIMITS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/identity.h"
#include "core_service/base/mutex.h"
#include "core_service/base/token_bucket.h"

namespace agentdesk::gateway {

// 0: there is no such limit.
struct LoadLimitOptions {
  int64_t messages_per_second = 0;  // of one socket
  int64_t bytes_per_second = 0;     // of one socket's messages
  // The same for all sockets of one user together.
  int64_t user_messages_per_second = 0;
  int64_t user_bytes_per_second = 0;
  int64_t connections_per_user = 0;
  int64_t connections_per_address = 0;    // see AddressLimit
  int64_t handshakes_per_second = 0;      // of WebSockets, in all
  int64_t outbox_bytes = 0;               // that wait to be written, in all; see OutboxMemory
  int64_t http_body_bytes = 1024 * 1024;  // for clients to know; see TransportOptions. Never 0
};

// The reason of a close with 4429 or 1013, from which clients read when to come back.
std::string RetryIn(absl::string_view what, absl::Duration wait);

// What one client may use of the gateway, so that enough is left for the others; and how often that
// was refused. The shards share one. Thread-safe.
class LoadLimits {
 public:
  LoadLimits(LoadLimitOptions options, Clock& clock)
      : options_(options),
        clock_(clock),
        handshakes_(static_cast<double>(options.handshakes_per_second)) {}

  // A connection's place among those of its user, given back by its end.
  class Place {
   public:
    Place(LoadLimits& limits, std::string key) : limits_(&limits), key_(std::move(key)) {}
    Place(Place&& other) noexcept
        : limits_(std::exchange(other.limits_, nullptr)), key_(std::move(other.key_)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(limits_, other.limits_);
      std::swap(key_, other.key_);
      return *this;
    }
    ~Place() {
      if (limits_ != nullptr) limits_->Leave(key_);
    }

   private:
    friend class LoadLimits;

    LoadLimits* limits_;
    std::string key_;
  };

  const LoadLimitOptions& options() const { return options_; }
  // A user is a subject in its tenant. Nothing: there is no room.
  std::optional<Place> Enter(const Identity& user) ABSL_LOCKS_EXCLUDED(mutex_);
  // How long to wait before the user who has this place sends one more message; zero: it is let in.
  absl::Duration TakeMessage(const Place& place, size_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether there is room for one more connection of the user now.
  bool HasRoom(const Identity& user) ABSL_LOCKS_EXCLUDED(mutex_);
  // How long to wait before one more handshake; zero: it is let in.
  absl::Duration TakeHandshake() ABSL_LOCKS_EXCLUDED(mutex_);

  // Refusals since the start.
  struct Refused {
    std::atomic<int64_t> messages{0};  // `rate_limited`
    std::atomic<int64_t> user_messages{0};
    std::atomic<int64_t> floods{0};       // closed, since it went on or nothing may be said yet
    std::atomic<int64_t> commands{0};     // of a socket, too many of them under way
    std::atomic<int64_t> connections{0};  // in all
    std::atomic<int64_t> user_connections{0};
    std::atomic<int64_t> address_connections{0};
    std::atomic<int64_t> handshakes{0};
    std::atomic<int64_t> request_times{0};  // HTTP, here and below
    std::atomic<int64_t> request_sizes{0};
    std::atomic<int64_t> outboxes{0};  // the largest, as all together held too much
  };
  Refused& refused() { return refused_; }

 private:
  // What one user has taken. One without places is kept until its buckets are full again, since who
  // comes back must not find them so.
  struct Use {
    int64_t places = 0;
    TokenBucket messages;
    TokenBucket bytes;

    bool IsAtRest(absl::Duration now) const {
      return places == 0 && messages.IsFull(now) && bytes.IsFull(now);
    }
  };

  // Until there are so many, none that is kept without places is looked for.
  static constexpr size_t kFewUses = 1024;

  void Leave(const std::string& key) ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsFull(const std::string& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const LoadLimitOptions options_;
  Clock& clock_;
  Refused refused_;

  Mutex mutex_;
  absl::flat_hash_map<std::string, Use> users_ ABSL_GUARDED_BY(mutex_);  // by key
  size_t forget_at_ ABSL_GUARDED_BY(mutex_) = kFewUses;
  TokenBucket handshakes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_LOAD_LIMITS_H_
