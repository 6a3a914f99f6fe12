#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core_service/admin_port.h"
#include "core_service/base/authenticator.h"
#include "core_service/base/certificate_files.h"
#include "core_service/base/clock.h"
#include "core_service/base/flags.h"
#include "core_service/base/log.h"
#include "core_service/base/metrics.h"
#include "core_service/base/openssl_exit.h"
#include "core_service/base/out_of_resources.h"
#include "core_service/base/sd_notify.h"
#include "core_service/base/span_exporter.h"
#include "core_service/base/uuid.h"
#include "core_service/client/awake_pollers.h"
#include "core_service/config.h"
#include "core_service/desk/desk.h"
#include "core_service/pulse.h"
#include "core_service/rpc/server.h"
#include "core_service/store/sqlite_store.h"

namespace agentdesk {
namespace {

constexpr char kUsage[] =
    "The core of AgentDesk: keeps the desk in a directory and serves it over gRPC.";
constexpr unsigned kHangSeconds = 30;  // past --drain_timeout

int Fail(const char* what, const absl::Status& status) {
  LogError(what, {{"error", status.message()}});
  return 1;
}

// Runs until one of `signals`, which must be blocked, and drains; a second one then ends the
// process at once.
int Run(const CoreConfig& config, const sigset_t& signals) {
  Metrics metrics;
  std::atomic<int> exit_code{0};
  desk::DeskOptions options;
  absl::StatusOr<std::unique_ptr<store::Store>> store = store::OpenSqliteStore(
      {.data_dir = config.data_dir, .readers = options.max_views(), .vfs = {}}, Clock::Real(),
      IdSource::Real());
  if (!store.ok()) return Fail("the desk cannot be opened", store.status());

  std::unique_ptr<Authenticator> authenticator;
  if (config.auth.has_value()) {
    authenticator = std::make_unique<Authenticator>(*config.auth, Clock::Real());
    // Before the desk starts, so that the wait is no part of a lease's term or a question's time.
    authenticator->AwaitKeys();
  }

  options.expiry_hold = config.expiry_hold;
  options.retain_events = config.retain_events;
  options.max_open_tickets = config.max_open_tickets;
  options.max_open_questions = config.max_open_questions;
  options.metrics = &metrics;
  options.on_fatal = [&exit_code](const absl::Status&) {
    exit_code = 1;
    kill(getpid(), SIGTERM);
  };
  absl::StatusOr<std::unique_ptr<desk::Desk>> desk =
      desk::Desk::Start(std::move(options), **store, Clock::Real(), IdSource::Real());
  if (!desk.ok()) return Fail("the desk cannot be started", desk.status());

  const absl::StatusOr<std::unique_ptr<SpanExporter>> spans =
      SpanExporter::Start({.endpoint = config.otlp_endpoint, .service = "agentdesk-core"}, metrics);
  if (!spans.ok()) return Fail("--otlp_endpoint cannot be used", spans.status());
  const client::AwakePollers pollers;
  absl::StatusOr<std::unique_ptr<rpc::Server>> server = rpc::Server::Start(
      {config.listen, config.max_connections, config.limits, authenticator.get(), config.tls},
      **desk, metrics, spans->get());
  if (!server.ok()) return Fail("--listen cannot be served", server.status());
  // The first to go: what it reads is alive as long as it.
  const absl::StatusOr<std::unique_ptr<AdminPort>> admin =
      AdminPort::Start(config, metrics, **desk, **server);
  if (!admin.ok()) return Fail("--admin_listen cannot be served", admin.status());
  LogInfo("listening", {{"address", (*server)->address()},
                        {"admin", (*admin)->address()},
                        {"desk", (*desk)->desk_id()},
                        {"data_dir", config.data_dir},
                        {"max_connections", config.max_connections},
                        {"authentication", config.auth.has_value() ? "on" : "off"},
                        {"tls", config.tls.has_value() ? "on" : "off"}});

  SdNotify("READY=1");

  Pulse pulse(**desk);
  const int number = WaitForSignal(signals, [&pulse] { return pulse.Beats(); });
  SdNotify("STOPPING=1");
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  // Whatever may hang, the process ends; what was acknowledged is durable.
  alarm(static_cast<unsigned>(absl::ToInt64Seconds(config.drain_timeout)) + kHangSeconds);
  LogInfo("draining", {{"signal", strsignal(number)}});
  (*admin)->StartDrain();
  (*server)->Drain(config.drain_timeout);
  // Destroyed in the order in which they stand on each other: admin port, server, desk, store.
  return exit_code;
}

// Each connection takes one.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Main(int argc, char** argv) {
  KeepOpenSslAtExit();
  const std::vector<std::string> arguments = ReadFlags(kUsage, argc, argv);
  RaiseDescriptorLimit();
  const absl::StatusOr<CoreConfig> config = ReadCoreConfig(arguments);
  const absl::Status status =
      config.ok() ? StartLog("agentdesk-core", config->log_level) : config.status();
  if (!status.ok()) {
    std::fprintf(stderr, "agentdesk-core: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  if (config->max_connections < config->wanted_connections) {
    LogWarning(
        "the limit of open files (ulimit -n) leaves room for fewer connections",
        {{"max_connections", config->max_connections}, {"wanted", config->wanted_connections}});
  }
  if (config->check_only) {
    if (config->tls.has_value()) {
      const absl::Status held = CheckTime(*config->tls, Clock::Real().Now());
      if (!held.ok()) LogTimeFault(held);
    }
    for (const std::string& line : EffectiveFlags()) std::printf("%s\n", line.c_str());
    return 0;
  }
  EndWhenOutOfResources("agentdesk-core");
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const int exit_code = Run(*config, signals);
  LogInfo("stopped", {{"exit_code", exit_code}});
  return exit_code;
}

}  // namespace
}  // namespace agentdesk

int main(int argc, char** argv) { return agentdesk::Main(argc, argv); }
