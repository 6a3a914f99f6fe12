#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_split.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/signal_set.hpp"
#include "core_service/base/flags.h"
#include "core_service/base/log.h"
#include "core_service/base/openssl_exit.h"
#include "core_service/base/out_of_resources.h"
#include "core_service/client/awake_pollers.h"
#include "tools/agentdesk-worker/config.h"
#include "tools/agentdesk-worker/worker.h"

ABSL_FLAG(std::string, core, "127.0.0.1:50051", "HOST:PORT of the core");
ABSL_FLAG(std::string, agent, "",
          "command that runs an agent, under /bin/sh -c, once for each attempt (required)");
ABSL_FLAG(std::string, queue, "", "queues to take jobs from, A,B,...; empty: default");
ABSL_FLAG(std::string, name, "", "this worker's name in the log of events; empty: HOST-PID");
ABSL_FLAG(int, concurrency, 1, "how many agents run at a time");
ABSL_FLAG(absl::Duration, cancel_grace, absl::Seconds(10),
          "how long an agent may go on after cancel, and after its own park, complete or fail");
ABSL_FLAG(absl::Duration, core_loss_grace, absl::Minutes(15),
          "how long an agent is kept while the core cannot be reached");
ABSL_FLAG(absl::Duration, lease, absl::Seconds(30),
          "the term of a lease; renewed at a third of it");
ABSL_FLAG(std::string, transcript_dir, "",
          "where transcript files are made while an agent runs; empty: TMPDIR or /tmp");
ABSL_FLAG(std::string, token_file, "",
          "file with the bearer token that the core wants, read again as it changes; empty: none");
ABSL_FLAG(std::string, log_level, "info", "debug, info, warning or error");
ABSL_FLAG(bool, check_config, false, "check the flags, print them and exit");

namespace agentdesk::worker {
namespace {

constexpr char kUsage[] =
    "Claims jobs from an AgentDesk core and runs an agent program for each.\n\n"
    "  agentdesk-worker --core=HOST:PORT --agent='COMMAND' [--queue=A,B] [--name=N]\n"
    "                   [--concurrency=N] [--cancel_grace=10s]\n\n"
    "The agent reads and writes JSON lines on its stdin and stdout. SIGTERM and SIGINT give the\n"
    "jobs back and end the worker; a second one ends it at once. Every flag can also be given as\n"
    "AGENTDESK_NAME in the environment, or in a file named by --flagfile.";

Config ReadConfig() {
  Config config;
  config.core = absl::GetFlag(FLAGS_core);
  config.agent = absl::GetFlag(FLAGS_agent);
  config.queues = absl::StrSplit(absl::GetFlag(FLAGS_queue), ',', absl::SkipWhitespace());
  config.name = absl::GetFlag(FLAGS_name).empty() ? DefaultName() : absl::GetFlag(FLAGS_name);
  config.concurrency = absl::GetFlag(FLAGS_concurrency);
  config.cancel_grace = absl::GetFlag(FLAGS_cancel_grace);
  config.core_loss_grace = absl::GetFlag(FLAGS_core_loss_grace);
  config.lease = absl::GetFlag(FLAGS_lease);
  config.token_file = absl::GetFlag(FLAGS_token_file);
  config.transcript_directory = absl::GetFlag(FLAGS_transcript_dir);
  if (config.transcript_directory.empty()) {
    const char* directory = std::getenv("TMPDIR");
    config.transcript_directory = directory != nullptr && *directory != '\0' ? directory : "/tmp";
  }
  return config;
}

// An agent's pipes must not take the numbers of standard streams that the caller had closed.
void OpenStandardStreams() {
  int descriptor = open("/dev/null", O_RDWR);
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) descriptor = dup(descriptor);
  if (descriptor >= 0) close(descriptor);
}

// As far as the system lets. Agents are begun with the limit that there was.
void RaiseDescriptorLimit(Config& config) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  config.agent_descriptors = std::exchange(limit.rlim_cur, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Run(Config config) {
  EndWhenOutOfResources("agentdesk-worker");
  RaiseDescriptorLimit(config);
  std::signal(SIGPIPE, SIG_IGN);
  // Never destroyed: gRPC's threads may still be leaving it when this thread ends.
  auto& io = *new boost::asio::io_context(1);
  LogInfo("worker starts", {{"core", config.core}, {"name", config.name}, {"agent", config.agent}});
  const client::AwakePollers pollers;
  Worker worker(std::move(config), io);
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int first) {
    if (error) return;
    LogInfo("draining", {{"signal", strsignal(first)}});
    signals.async_wait([&](const boost::system::error_code& again, int number) {
      if (again) return;
      LogWarning("stopped at once");
      worker.KillAgents();
      std::_Exit(128 + number);
    });
    worker.Stop();
  });
  worker.OnEnd([&] { boost::asio::post(io, [&] { signals.cancel(); }); });
  worker.Start();
  io.run();
  const int exit_code = worker.ok() ? 0 : 1;
  LogInfo("stopped", {{"exit_code", exit_code}});
  return exit_code;
}

}  // namespace
}  // namespace agentdesk::worker

int main(int argc, char** argv) {
  using agentdesk::worker::Config;
  agentdesk::worker::OpenStandardStreams();
  agentdesk::KeepOpenSslAtExit();
  const std::vector<std::string> rest = agentdesk::ReadFlags(agentdesk::worker::kUsage, argc, argv);
  absl::Status status = agentdesk::StartLog("agentdesk-worker", absl::GetFlag(FLAGS_log_level));
  Config config = agentdesk::worker::ReadConfig();
  absl::StatusOr<agentdesk::client::CoreTls> core_tls = agentdesk::client::CoreTlsFlags();
  if (status.ok()) status = core_tls.status();
  if (core_tls.ok()) config.core_tls = *std::move(core_tls);
  if (status.ok()) status = Check(config);
  if (status.ok() && !rest.empty()) {
    status = absl::InvalidArgumentError("`" + rest[0] + "` is not a flag; see --help");
  }
  if (!status.ok()) {
    std::fprintf(stderr, "agentdesk-worker: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  if (absl::GetFlag(FLAGS_check_config)) {
    for (const std::string& line : agentdesk::EffectiveFlags()) std::puts(line.c_str());
    return 0;
  }
  return agentdesk::worker::Run(config);
}
