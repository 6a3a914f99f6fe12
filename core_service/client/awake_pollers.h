#ifndef AGENTDESK_CORE_SERVICE_CLIENT_AWAKE_POLLERS_H_
#define AGENTDESK_CORE_SERVICE_CLIENT_AWAKE_POLLERS_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "core_service/base/mutex.h"

namespace agentdesk::client {

// While it lives, a process that rests answers its next call, and sees its next message, at once.
//
// The threads on which gRPC runs callbacks (1.51, completion_queue_cc.cc) wait for a second, and
// when nothing has come then, they sleep for 100 ms, in which they notice nothing; as they begin
// together, they sleep together. So a thread of this gives one of them something to do, four times
// a second: a call that fails by itself, without a network. One is enough for a process.
class AwakePollers {
 public:
  AwakePollers();
  ~AwakePollers();

  AwakePollers(const AwakePollers&) = delete;
  AwakePollers& operator=(const AwakePollers&) = delete;

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  Mutex mutex_;
  Condition stopped_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace agentdesk::client

#endif  // AGENTDESK_CORE_SERVICE_CLIENT_AWAKE_POLLERS_H_
