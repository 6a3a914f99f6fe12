#include <signal.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/flags.h"
#include "core_service/base/log.h"
#include "core_service/base/openssl_exit.h"
#include "core_service/base/out_of_resources.h"
#include "core_service/base/sd_notify.h"
#include "core_service/client/awake_pollers.h"
#include "core_service/client/channel.h"
#include "tools/agentdesk-webhooks/config.h"
#include "tools/agentdesk-webhooks/cursor_file.h"
#include "tools/agentdesk-webhooks/endpoint.h"

ABSL_FLAG(std::string, core, "127.0.0.1:50051", "HOST:PORT of the core");
ABSL_FLAG(std::string, token_file, "",
          "file with the bearer token that the core wants, with the scope events:read; read again "
          "as it changes; empty: none");
ABSL_FLAG(std::string, endpoints, "", "file that says which events go where (required)");
ABSL_FLAG(std::string, state_dir, "agentdesk-webhooks",
          "directory where it is kept how far each endpoint has come");
ABSL_FLAG(bool, allow_local_endpoints, false,
          "also send to loopback and link-local addresses, where services that trust this machine "
          "listen");
ABSL_FLAG(absl::Duration, timeout, absl::Seconds(10), "of one delivery, all in all");
ABSL_FLAG(absl::Duration, first_backoff, absl::Seconds(1),
          "how long a delivery that failed waits for its next try; doubles each time");
ABSL_FLAG(absl::Duration, max_backoff, absl::Minutes(5), "at most");
ABSL_FLAG(std::string, log_level, "info", "debug, info, warning or error");
ABSL_FLAG(bool, check_config, false, "check the flags and the endpoints, print the flags and exit");

namespace agentdesk::webhooks {
namespace {

constexpr char kUsage[] =
    "Sends chosen events of an AgentDesk core to HTTP endpoints, each signed, in order, and until\n"
    "it is taken.\n\n"
    "  agentdesk-webhooks --core=HOST:PORT --endpoints=FILE --state_dir=DIRECTORY";

struct Config {
  std::string core;
  client::CoreTls core_tls;
  std::string state_dir;
  std::vector<EndpointConfig> endpoints;
  EndpointOptions options;
};

absl::Status BadFlag(absl::string_view name, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("--", name, ": ", rule));
}

absl::StatusOr<Config> ReadConfig(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", arguments[0], "` is not a flag; see --help"));
  }
  Config config;
  config.core = absl::GetFlag(FLAGS_core);
  if (absl::Status status = client::CheckTarget(config.core); !status.ok()) {
    return BadFlag("core", status.message());
  }
  absl::StatusOr<client::CoreTls> core_tls = client::CoreTlsFlags();
  if (!core_tls.ok()) return core_tls.status();
  config.core_tls = *std::move(core_tls);
  if (const std::string path = absl::GetFlag(FLAGS_token_file); !path.empty()) {
    config.options.token = std::make_shared<client::BearerToken>(path, Clock::Real());
    const absl::Status status = config.options.token->Check();
    if (!status.ok()) return BadFlag("token_file", status.message());
  }
  config.state_dir = absl::GetFlag(FLAGS_state_dir);
  if (config.state_dir.empty()) return BadFlag("state_dir", "must name a directory");
  if (absl::Status status = CheckDirectory(config.state_dir); !status.ok()) {
    return BadFlag("state_dir", status.message());
  }
  const std::string endpoints = absl::GetFlag(FLAGS_endpoints);
  if (endpoints.empty()) return BadFlag("endpoints", "must name a file");
  absl::StatusOr<std::vector<EndpointConfig>> read = ReadEndpoints(endpoints);
  if (!read.ok())
    return BadFlag("endpoints", absl::StrCat(endpoints, ": ", read.status().message()));
  config.endpoints = *std::move(read);
  config.options.http.allow_local = absl::GetFlag(FLAGS_allow_local_endpoints);
  config.options.http.timeout = absl::GetFlag(FLAGS_timeout);
  if (config.options.http.timeout < absl::Milliseconds(100) ||
      config.options.http.timeout > absl::Minutes(5)) {
    return BadFlag("timeout", "must be 100ms to 5m");
  }
  config.options.first_backoff = absl::GetFlag(FLAGS_first_backoff);
  config.options.max_backoff = absl::GetFlag(FLAGS_max_backoff);
  if (config.options.first_backoff < absl::Milliseconds(10)) {
    return BadFlag("first_backoff", "must be 10ms or more");
  }
  if (config.options.max_backoff < config.options.first_backoff ||
      config.options.max_backoff > absl::Hours(24)) {
    return BadFlag("max_backoff", "must be --first_backoff to 24h");
  }
  return config;
}

int Run(const Config& config, const sigset_t& signals) {
  if (absl::Status status = HoldDirectory(config.state_dir); !status.ok()) {
    LogError("--state_dir cannot be used", {{"error", status}});
    return 1;
  }
  const client::AwakePollers pollers;
  std::vector<std::unique_ptr<Endpoint>> endpoints;
  for (const EndpointConfig& endpoint : config.endpoints) {
    endpoints.push_back(std::make_unique<Endpoint>(
        endpoint, config.options, config.state_dir,
        client::MakeChannel(config.core, client::ChannelUse::kSubscription, config.core_tls),
        Clock::Real(), IdSource::Real()));
  }
  LogInfo("started", {{"core", config.core}, {"endpoints", endpoints.size()}});
  SdNotify("READY=1");
  const int number = WaitForSignal(signals, [] { return true; });
  SdNotify("STOPPING=1");
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  LogInfo("draining", {{"signal", strsignal(number)}});
  // All, before it is waited for one of them: each may take a second to notice.
  for (const auto& endpoint : endpoints) endpoint->Stop();
  endpoints.clear();
  return 0;
}

int Main(int argc, char** argv) {
  KeepOpenSslAtExit();
  const absl::StatusOr<Config> config = ReadConfig(ReadFlags(kUsage, argc, argv));
  const absl::Status status = config.ok()
                                  ? StartLog("agentdesk-webhooks", absl::GetFlag(FLAGS_log_level))
                                  : config.status();
  if (!status.ok()) {
    std::fprintf(stderr, "agentdesk-webhooks: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  if (absl::GetFlag(FLAGS_check_config)) {
    for (const std::string& line : EffectiveFlags()) std::puts(line.c_str());
    return 0;
  }
  EndWhenOutOfResources("agentdesk-webhooks");
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
}  // namespace agentdesk::webhooks

int main(int argc, char** argv) { return agentdesk::webhooks::Main(argc, argv); }
