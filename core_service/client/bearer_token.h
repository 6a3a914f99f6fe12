#ifndef AGENTDESK_CORE_SERVICE_CLIENT_BEARER_TOKEN_H_
#define AGENTDESK_CORE_SERVICE_CLIENT_BEARER_TOKEN_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core_service/base/clock.h"
#include "core_service/base/mutex.h"

namespace agentdesk::client {

// A bearer token that is kept in a file, where whoever renews it may replace it at any time: it is
// read again when it was read over a second ago. While the file holds none, the one before stays.
// Thread-safe.
class BearerToken {
 public:
  // `clock` must outlive it.
  BearerToken(std::string path, Clock& clock);

  // Whether the file can be read and holds something that may be a token.
  absl::Status Check() const;
  // What `authorization` says: `Bearer TOKEN`; empty where the file never held a token.
  std::string Header() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const std::string path_;
  Clock& clock_;
  Mutex mutex_;
  std::string header_ ABSL_GUARDED_BY(mutex_);
  absl::Duration read_at_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
};

}  // namespace agentdesk::client

#endif  // AGENTDESK_CORE_SERVICE_CLIENT_BEARER_TOKEN_H_
