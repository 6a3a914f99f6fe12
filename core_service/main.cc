#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core_service/base/clock.h"
#include "core_service/base/flags.h"
#include "core_service/base/log.h"
#include "core_service/base/uuid.h"
#include "core_service/config.h"
#include "core_service/desk/desk.h"
#include "core_service/rpc/server.h"
#include "core_service/store/sqlite_store.h"

namespace agentdesk {
namespace {

constexpr char kUsage[] =
    "The core of AgentDesk: keeps the desk in a directory and serves it over gRPC.";

int Fail(const char* what, const absl::Status& status) {
  LogError(what, {{"error", status.message()}});
  return 1;
}

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Runs until a stop signal and drains; a second one then ends the process at once. The signals must
// be blocked.
int Run(const CoreConfig& config) {
  absl::StatusOr<std::unique_ptr<store::Store>> store = store::OpenSqliteStore(
      {.data_dir = config.data_dir, .readers = 4, .vfs = {}}, Clock::Real(), IdSource::Real());
  if (!store.ok()) return Fail("the desk cannot be opened", store.status());

  int exit_code = 0;  // written by the desk before it sends the signal that is waited for
  desk::DeskOptions options;
  options.expiry_hold = config.expiry_hold;
  options.retain_events = config.retain_events;
  options.on_fatal = [&exit_code](const absl::Status& status) {
    exit_code =
        Fail("the store has failed: what was not acknowledged may or may not exist", status);
    kill(getpid(), SIGTERM);
  };
  absl::StatusOr<std::unique_ptr<desk::Desk>> desk =
      desk::Desk::Start(std::move(options), **store, Clock::Real(), IdSource::Real());
  if (!desk.ok()) return Fail("the desk cannot be started", desk.status());

  absl::StatusOr<std::unique_ptr<rpc::Server>> server =
      rpc::Server::Start({config.listen, config.max_connections}, **desk);
  if (!server.ok()) return Fail("--listen cannot be served", server.status());
  LogInfo("listening", {{"address", (*server)->address()},
                        {"desk", (*desk)->desk_id()},
                        {"data_dir", config.data_dir},
                        {"max_connections", config.max_connections}});

  const sigset_t signals = StopSignals();
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  LogInfo("draining", {{"signal", strsignal(signal_number)}});
  (*server)->Drain(config.drain_timeout);
  server->reset();
  desk->reset();
  store->reset();
  LogInfo("stopped");
  return exit_code;
}

int Main(int argc, char** argv) {
  const std::vector<std::string> arguments = ReadFlags(kUsage, argc, argv);
  const absl::StatusOr<CoreConfig> config = ReadCoreConfig(arguments);
  const absl::Status status =
      config.ok() ? StartLog("agentdesk-core", config->log_level) : config.status();
  if (!status.ok()) {
    std::fprintf(stderr, "agentdesk-core: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  if (config->check_only) {
    for (const std::string& line : EffectiveFlags()) std::printf("%s\n", line.c_str());
    return 0;
  }
  signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return Run(*config);
}

}  // namespace
}  // namespace agentdesk

int main(int argc, char** argv) { return agentdesk::Main(argc, argv); }
