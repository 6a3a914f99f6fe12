#ifndef AGENTDESK_CORE_SERVICE_RPC_CALL_LIMITS_H_
#define AGENTDESK_CORE_SERVICE_RPC_CALL_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/mutex.h"
#include "core_service/base/token_bucket.h"

namespace agentdesk::rpc {

// 0: there is no such limit.
struct CallLimitOptions {
  int64_t calls_per_second = 0;  // of one identity; a stream is one call, when it begins
  int64_t streams = 0;           // of one identity at a time
};

// What one identity (desk::Caller::identity) may use of the core, so that enough is left for the
// others. Identities that have been quiet for some seconds are forgotten, so that as many are kept
// as call at a time. Thread-safe.
class CallLimits {
 public:
  // `clock` must outlive it.
  CallLimits(CallLimitOptions options, Clock& clock) : options_(options), clock_(clock) {}

  // A stream's place among those of its identity, given back by its end.
  class Place {
   public:
    Place(CallLimits& limits, std::string identity)
        : limits_(&limits), identity_(std::move(identity)) {}
    Place(Place&& other) noexcept
        : limits_(std::exchange(other.limits_, nullptr)), identity_(std::move(other.identity_)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (limits_ != nullptr) limits_->Leave(identity_);
    }

   private:
    CallLimits* limits_;
    std::string identity_;
  };

  // ResourceExhausted, with the time to wait: too many calls came (`rate_limited`).
  absl::Status TakeCall(const std::string& identity) ABSL_LOCKS_EXCLUDED(mutex_);
  // The same for a stream; and `too_many_streams`.
  absl::StatusOr<Place> EnterStream(const std::string& identity) ABSL_LOCKS_EXCLUDED(mutex_);

  // How many identities are kept.
  size_t identities() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Use {
    TokenBucket calls;
    int64_t streams = 0;
  };

  // Until there are so many, none is forgotten.
  static constexpr size_t kFewIdentities = 1024;

  Use& Find(const std::string& identity, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Take(Use& use, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Leave(const std::string& identity) ABSL_LOCKS_EXCLUDED(mutex_);

  const CallLimitOptions options_;
  Clock& clock_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, Use> uses_ ABSL_GUARDED_BY(mutex_);  // by identity
  size_t forget_at_ ABSL_GUARDED_BY(mutex_) = kFewIdentities;
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_CALL_LIMITS_H_
