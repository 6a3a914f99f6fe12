#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_FILLER_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_FILLER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "tools/agentdesk-bench/event_loop.h"
#include "tools/agentdesk-bench/rpc_connection.h"

namespace agentdesk::bench {

// The work that fills a log: tickets that are claimed, reported on and completed, over gRPC.
class Filler {
 public:
  Filler(EventLoop& loop, uint16_t core_port);

  // How long the log is.
  int64_t Head();
  // Adds tickets, each with 100 messages of its agent, until the log is at least so long. Returns
  // how long it is then.
  int64_t FillTo(int64_t head);
  // Starts to claim so many jobs, and to report one message on each and complete it.
  void Serve(int jobs);
  int busy() const { return busy_; }
  // Appends exactly so many messages to one running ticket of the filler's own.
  void Append(int64_t messages);

 private:
  // One job on its way. It ends with its last call.
  struct Work {
    bool creates = false;
    std::string job_id;
    int64_t lease_token = 0;
  };
  using WorkPtr = std::shared_ptr<Work>;

  void Create(const WorkPtr& work);
  void Claim(const WorkPtr& work);
  void Report(const WorkPtr& work);
  void Complete(const WorkPtr& work);

  EventLoop& loop_;
  RpcConnection connection_;
  int64_t head_ = 0;
  int64_t goal_ = 0;
  int busy_ = 0;
  std::string open_job_;  // of Append
  int64_t open_lease_ = 0;
};

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_FILLER_H_
