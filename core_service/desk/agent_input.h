#ifndef AGENTDESK_CORE_SERVICE_DESK_AGENT_INPUT_H_
#define AGENTDESK_CORE_SERVICE_DESK_AGENT_INPUT_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentdesk/v1/agent.pb.h"
#include "core_service/events/subscription.h"
#include "core_service/store/store.h"

namespace agentdesk::desk {

class Desk;
struct Caller;

// What humans and the desk have for the agent of one attempt, read from the log: a subscription to
// its session's events, turned into input. Not thread-safe. Open and Next may block: call them on a
// thread that may (Desk::PostInput).
class AgentInput {
 public:
  // FailedPrecondition (`lease_lost`) unless the request's token is that of the live lease;
  // NotFound: no such job; InvalidArgument: a position that the log has not reached.
  static absl::StatusOr<std::unique_ptr<AgentInput>> Open(Desk& desk, const Caller& caller,
                                                          const v1::ReceiveInputRequest& request,
                                                          store::Store& store);

  // Goes past what the log has for others, without blocking. True: there is nothing for this agent
  // up to `position()`, and `waiter` will be told of more. False: call Next.
  bool Skip(const std::shared_ptr<events::Waiter>& waiter);
  int64_t position() const { return subscription_.position(); }

  struct Batch {
    bool waiting = false;  // nothing now; `waiter` will be told
    bool ended = false;    // the attempt is over: this batch is the last
    std::deque<v1::ReceiveInputResponse> inputs;
    int64_t up_to = 0;
  };
  absl::StatusOr<Batch> Next(const std::shared_ptr<events::Waiter>& waiter, store::Store& store);

  void Forget(const std::shared_ptr<events::Waiter>& waiter) { subscription_.Forget(waiter); }

 private:
  explicit AgentInput(events::Subscription subscription);
  static absl::Status Translate(const v1::Event& event, store::Store& store, Batch& batch);

  events::Subscription subscription_;
  std::optional<events::Subscription::Batch> found_;  // by Skip, for Next
};

}  // namespace agentdesk::desk

#endif  // AGENTDESK_CORE_SERVICE_DESK_AGENT_INPUT_H_
