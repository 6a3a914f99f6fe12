#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_RUNNING_TIME_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_RUNNING_TIME_H_

#include "absl/time/time.h"

namespace agentdesk::worker {

// The time that an attempt has run, the waits for humans left out. Times are monotonic.
class RunningTime {
 public:
  void Run(absl::Duration now) {
    if (running_) return;
    running_ = true;
    since_ = now;
  }
  void Wait(absl::Duration now) {
    before_ = Elapsed(now);
    running_ = false;
  }
  bool running() const { return running_; }
  absl::Duration Elapsed(absl::Duration now) const {
    return running_ ? before_ + (now - since_) : before_;
  }

 private:
  bool running_ = false;
  absl::Duration since_;
  absl::Duration before_;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_RUNNING_TIME_H_
