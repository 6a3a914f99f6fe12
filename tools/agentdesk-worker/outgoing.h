#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_OUTGOING_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_OUTGOING_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <variant>
#include <vector>

#include "agentdesk/v1/agent.pb.h"
#include "tools/agentdesk-worker/agent_protocol.h"

namespace agentdesk::worker {

// A question, and the position of the last input that the agent had been sent when it asked:
// whatever ended the question before that was told before, and is told again.
struct Ask {
  v1::AskQuestionRequest request;
  int64_t told_up_to = 0;
};
struct TakeBack {
  std::string key;
  int64_t told_up_to = 0;
};

// One thing that an attempt has for the core.
using Delivery = std::variant<v1::Activity, Checkpoint, Ask, TakeBack, v1::ReleaseJobRequest,
                              v1::CompleteJobRequest, v1::FailJobRequest>;

// Whether it ends the attempt.
bool IsLast(const Delivery& delivery);

// What an attempt has for the core, in the order in which it goes there: one batch at a time.
class Outgoing {
 public:
  void Push(Delivery delivery);
  bool empty() const { return deliveries_.empty(); }
  // Of what waits, and of the batch under way.
  size_t bytes() const { return bytes_; }

  // Takes what goes next: activities and checkpoints as many as one report holds, all else alone.
  // Must not be empty; one batch at a time.
  std::vector<Delivery> Take();
  // The batch taken last has reached the core, or was refused by it.
  void Done() { bytes_ -= under_way_; }
  // The batch taken last was refused because of something in it: it comes again one by one, so that
  // only what is at fault is refused.
  void ComeAgainAlone(std::vector<Delivery> batch);
  // Forgets all that waits.
  void Clear();

 private:
  struct Entry {
    Delivery delivery;
    size_t bytes = 0;
  };

  std::deque<Entry> deliveries_;
  size_t bytes_ = 0;
  size_t under_way_ = 0;
  size_t alone_ = 0;  // how many at the front go one by one
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_OUTGOING_H_
