#ifndef AGENTDESK_CORE_SERVICE_CLIENT_COMPLETION_THREAD_H_
#define AGENTDESK_CORE_SERVICE_CLIENT_COMPLETION_THREAD_H_

#include <thread>

#include "grpcpp/completion_queue.h"

namespace agentdesk::client {

// A completion queue of gRPC with the one thread that waits on it. That thread also reads the
// sockets of the calls whose operations end here.
//
// In place of gRPC's own threads for callbacks (1.51, completion_queue_cc.cc): of these there are
// two or more, which hand the reading of sockets to each other, so that a message costs some
// switches between them and may overtake the one before; and when they have rested for a second
// they sleep for a tenth of one.
class CompletionThread {
 public:
  // Something that was begun on queue() with a pointer to this as its tag.
  class Operation {
   public:
    // It has ended; `ok` is what gRPC's documentation of grpc::CompletionQueue::Next says for its
    // kind. Called once for each time it was begun, on the thread, for one operation at a time in
    // the order of their ends; so it must not block. It may delete the operation: the thread does
    // not look at it afterwards.
    virtual void OnCompleted(bool ok) = 0;

   protected:
    ~Operation() = default;
  };

  CompletionThread();
  // All that was begun must have ended, or be about to: then it waits for it.
  ~CompletionThread();
  CompletionThread(const CompletionThread&) = delete;
  CompletionThread& operator=(const CompletionThread&) = delete;

  // Thread-safe, as operations are begun from any thread.
  grpc::CompletionQueue& queue() { return queue_; }

 private:
  void Run();

  grpc::CompletionQueue queue_;
  std::thread thread_;
};

}  // namespace agentdesk::client

#endif  // AGENTDESK_CORE_SERVICE_CLIENT_COMPLETION_THREAD_H_
