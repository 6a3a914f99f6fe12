#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace agentdesk::worker {

// Between SIGTERM and SIGKILL.
inline constexpr absl::Duration kTermGrace = absl::Seconds(2);

// How an agent program ended.
struct AgentExit {
  int code = 0;
  int signal = 0;           // that killed it; 0: none
  std::string stderr_tail;  // valid UTF-8

  bool clean() const { return code == 0 && signal == 0; }
};

// A running agent program. Destroying it kills what is left of its process group.
class Agent {
 public:
  // What the agent does, told on the worker's thread and never from within a call to the agent.
  class Listener {
   public:
    virtual ~Listener() = default;

    // A line of its stdout, without the line break.
    virtual void OnLine(absl::string_view line) = 0;
    // It wrote a line longer than kMaxLineBytes, which was thrown away.
    virtual void OnLineTooLong() = 0;
    // Its stdin has taken enough that Send is welcome again (see unsent_bytes).
    virtual void OnInputDrained() = 0;
    // It has ended, and all that it wrote was handed over. The last call.
    virtual void OnExit(const AgentExit& exit) = 0;
  };

  virtual ~Agent() = default;

  // Queues `text`, whole lines, for its stdin. Never blocks. A closed stdin is no error: the agent
  // does not want to know.
  virtual void Send(std::string text) = 0;
  // How much of what was sent is still queued here.
  virtual size_t unsent_bytes() const = 0;
  // Whether its stdout is read. While it is not, the agent is held up once the pipe is full.
  virtual void ReadOutput(bool read) = 0;
  // Sends a signal to its whole process group.
  virtual void Signal(int signal) = 0;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_H_
