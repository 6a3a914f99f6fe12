#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_ALARMS_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_ALARMS_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace agentdesk::worker {

// Destroying it calls it off.
class Alarm {
 public:
  virtual ~Alarm() = default;
};

// Time for what happens on the worker's one thread; passed in so that tests are exact.
class Alarms {
 public:
  virtual ~Alarms() = default;

  // Monotonic.
  virtual absl::Duration Now() = 0;
  // Calls `then` once, after `delay`. It may destroy its own alarm.
  [[nodiscard]] virtual std::unique_ptr<Alarm> Set(absl::Duration delay,
                                                   absl::AnyInvocable<void()> then) = 0;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_ALARMS_H_
