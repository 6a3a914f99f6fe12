#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_WORKER_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_WORKER_H_

#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "agentdesk/v1/agent.pb.h"
#include "boost/asio/io_context.hpp"
#include "tools/agentdesk-worker/asio_alarms.h"
#include "tools/agentdesk-worker/attempt.h"
#include "tools/agentdesk-worker/config.h"
#include "tools/agentdesk-worker/core_calls.h"
#include "tools/agentdesk-worker/core_lease_calls.h"

namespace agentdesk::worker {

// Claims jobs, one claim at a time as long as there is room, and runs an attempt for each. Lives on
// the thread that runs `io`, which has work until the worker has ended.
class Worker {
 public:
  Worker(Config config, boost::asio::io_context& io);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Start();
  // Claims nothing more, ends the agents and gives their jobs back.
  void Stop();
  // Ends the agents at once; their jobs are offered again when the leases run out.
  void KillAgents() { attempts_.clear(); }
  // Called once when all is given back, or could not be in time.
  void OnEnd(absl::AnyInvocable<void()> on_end) { on_end_ = std::move(on_end); }
  // Whether the worker ended well: not because the core refused how it is set up, nor with jobs
  // that could not be given back.
  bool ok() const { return ok_; }

 private:
  void ClaimNext();
  void Claim(bool last);
  // Logs why, once as long as it is the same.
  void SayCannotClaim(const absl::Status& why);
  void OnClaimed(absl::StatusOr<v1::ClaimJobResponse> response);
  void Run(v1::ClaimJobResponse claim, bool release);
  void OnStarted(const absl::Status& status);
  void Pause();
  void OnOver(int64_t attempt);
  void CheckEnd();
  void End();

  const Config config_;
  boost::asio::io_context& io_;
  const client::CallLabels labels_;
  const std::shared_ptr<const CoreStubs> stubs_;
  AsioAlarms alarms_;
  std::unique_ptr<CoreCalls> claim_calls_;
  v1::ClaimJobRequest claim_;  // under way or last
  bool claiming_ = false;
  std::string claims_fail_;   // why, as was logged, while they do and are tried again; or empty
  bool starts_fail_ = false;  // of agents
  bool stopping_ = false;
  bool ok_ = true;
  absl::flat_hash_map<int64_t, std::unique_ptr<Attempt>> attempts_;  // by lease token
  std::unique_ptr<Alarm> pause_;                                     // no claim before it is over
  std::unique_ptr<Alarm> give_up_;
  absl::AnyInvocable<void()> on_end_;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_WORKER_H_
