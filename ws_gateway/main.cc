#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/certificate_files.h"
#include "core_service/base/clock.h"
#include "core_service/base/flags.h"
#include "core_service/base/log.h"
#include "core_service/base/openssl_exit.h"
#include "core_service/base/out_of_resources.h"
#include "ws_gateway/config.h"
#include "ws_gateway/server.h"

namespace agentdesk::gateway {
namespace {

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Main(int argc, char** argv) {
  KeepOpenSslAtExit();
  const std::vector<std::string> rest =
      ReadFlags("Serves browsers of an AgentDesk: WebSocket and HTTP on one port.", argc, argv);
  const absl::StatusOr<Config> config = ReadConfig();
  absl::Status status = config.status();
  if (status.ok()) status = StartLog("agentdesk-gateway", config->log_level);
  if (status.ok() && !rest.empty()) {
    status = absl::InvalidArgumentError(absl::StrCat("`", rest[0], "` is not a flag; see --help"));
  }
  if (!status.ok()) {
    std::fprintf(stderr, "agentdesk-gateway: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  if (config->check_only) {
    if (config->tls.has_value()) {
      const absl::Status held = CheckTime(*config->tls, Clock::Real().Now());
      if (!held.ok()) LogTimeFault(held);
    }
    for (const std::string& line : EffectiveFlags()) std::puts(line.c_str());
    return 0;
  }
  EndWhenOutOfResources("agentdesk-gateway");
  // Before the first thread, which inherits it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  RaiseDescriptorLimit();
  status = Serve(*config, signals);
  if (!status.ok()) LogError("cannot start", {{"status", status}});
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace agentdesk::gateway

int main(int argc, char** argv) { return agentdesk::gateway::Main(argc, argv); }
