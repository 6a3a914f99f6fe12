#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_PROCESS_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_PROCESS_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/posix/stream_descriptor.hpp"
#include "boost/asio/steady_timer.hpp"
#include "tools/agentdesk-worker/agent.h"
#include "tools/agentdesk-worker/line_splitter.h"

namespace agentdesk::worker {

struct AgentProgram {
  std::string command;
  // How many files it may have open, as its soft limit: programs that use select() need a low one.
  // Not set: as many as the worker.
  std::optional<rlim_t> descriptors;
};

// An agent as a process group of its own: `/bin/sh -c COMMAND` under a keeper (agent_keeper.h),
// joined to the worker by three pipes, without any AGENTDESK_ variable. The group dies with the
// worker. When the shell has ended, the rest of the group is killed; where SIGTERM has ended it,
// once kTermGrace is over.
class AgentProcess final : public Agent {
 public:
  // `name` marks the agent's stderr in the log. The caller must ignore SIGPIPE, and run `io` on the
  // thread that calls this.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(boost::asio::io_context& io,
                                                      const AgentProgram& program, std::string name,
                                                      Listener& listener);
  ~AgentProcess() override;

  void Send(std::string text) override;
  size_t unsent_bytes() const override { return unsent_bytes_; }
  void ReadOutput(bool read) override;
  void Signal(int signal) override;

 private:
  struct Child {
    pid_t pid = -1;           // the keeper's, and so its group's
    int pid_descriptor = -1;  // readable when the process has ended
    int input = -1;
    int output = -1;
    int errors = -1;
  };
  static absl::StatusOr<Child> Fork(const AgentProgram& program);

  AgentProcess(boost::asio::io_context& io, const Child& child, std::string name,
               Listener& listener);

  // `then` as a handler of io, which does nothing once this is gone or the wait was called off.
  template <typename Then>
  auto Guarded(Then then);
  void WaitForOutput();
  void WaitForErrors();
  void WaitForRoom();
  void OnOutput();
  void OnErrors();
  void OnRoom();
  void OnEnded();
  bool WriteSome();
  void CloseInput();
  void WaitForRest();
  void ReportExit();

  const pid_t pid_;
  const std::string name_;
  Listener& listener_;
  boost::asio::posix::stream_descriptor ended_;
  boost::asio::posix::stream_descriptor input_;
  boost::asio::posix::stream_descriptor output_;
  boost::asio::posix::stream_descriptor errors_;
  boost::asio::steady_timer rest_;
  // Handlers hold it weakly, to know whether this lives.
  std::shared_ptr<void> alive_ = std::make_shared<char>();

  std::deque<std::string> unsent_;
  size_t unsent_offset_ = 0;  // of the first of them
  size_t unsent_bytes_ = 0;
  bool waits_for_room_ = false;

  bool read_output_ = true;
  bool waits_for_output_ = false;
  LineSplitter lines_;
  LineSplitter error_lines_;
  std::string stderr_tail_;
  std::optional<AgentExit> exit_;
  bool reported_ = false;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_PROCESS_H_
