#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_CONFIG_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_CONFIG_H_

#include <sys/resource.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core_service/client/core_tls.h"

namespace agentdesk::worker {

struct Config {
  std::string core = "127.0.0.1:50051";
  std::string agent;
  std::vector<std::string> queues;
  std::string name;
  int concurrency = 1;
  absl::Duration cancel_grace = absl::Seconds(10);
  absl::Duration core_loss_grace = absl::Minutes(15);
  absl::Duration lease = absl::Seconds(30);
  std::string transcript_directory;
  std::string token_file;
  std::optional<rlim_t> agent_descriptors;  // as AgentProgram has it
  client::CoreTls core_tls;
};

// InvalidArgument that names the flag and its rule.
absl::Status Check(const Config& config);
// The machine's name and this process's id: a worker that was given no name.
std::string DefaultName();

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_CONFIG_H_
