#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tools/agentdesk-bench/failure.h"
#include "tools/agentdesk-bench/runs.h"

ABSL_FLAG(bool, json, false, "print one JSON object and nothing else");
ABSL_FLAG(bool, require_bars, false, "end with code 2 when a bar is missed");
ABSL_FLAG(std::string, dir, "/var/tmp",
          "where data directories are made and removed; must be on a disk");
ABSL_FLAG(int, repeats, 5, "how often each measurement is made, floor and desk in turn");
ABSL_FLAG(double, seconds, 2, "how long one measurement takes");
ABSL_FLAG(int, clients, 1000, "browsers");
ABSL_FLAG(int, many_clients, 10000, "browsers for `idle` and the last part of `fanout`");
ABSL_FLAG(int, in_flight, 64, "calls, or creators, at a time");
ABSL_FLAG(int, rpc_connections, 1, "gRPC connections that those calls share");
ABSL_FLAG(int, connecting, 500, "WebSocket handshakes under way at a time");
ABSL_FLAG(int, rate, 200, "tickets a second for `latency` and `soak`");
ABSL_FLAG(int64_t, events, 1'000'000, "stored events that `stream` replays");
ABSL_FLAG(int64_t, log_events, 10'000'000, "events of the long log of `growth`");
ABSL_FLAG(int, storm_clients, 8000, "browsers that drop and come back in `reconnect`");
ABSL_FLAG(int, missed_events, 1000, "events that each of them has missed");
ABSL_FLAG(int, storm_rate, 2, "tickets a second during `reconnect`");
ABSL_FLAG(double, soak_seconds, 3600, "how long `soak` takes");
ABSL_FLAG(int, half_open, 5000, "handshakes that `abuse` begins and does not end");
ABSL_FLAG(int, gateway_threads, 0,
          "--threads of the gateway, where not as many as it has out of the box (0)");

namespace agentdesk::bench {
namespace {

constexpr char kUsage[] =
    "Measures AgentDesk against floors that are measured beside it.\n\n"
    "  agentdesk-bench [flags] "
    "fanout|create|latency|stream|idle|reconnect|growth|abuse|soak|all\n\n"
    "`all` is everything but `abuse` and `soak`, within 20 minutes. It starts the programs beside "
    "it on free\n"
    "ports of 127.0.0.1, on fresh data directories. It ends with code 1 when anything was lost, "
    "out\n"
    "of order or refused: then nothing has been measured.";

struct Run {
  const char* name;
  void (*run)(const Options&, EventLoop&, Report&);
};

constexpr std::array<Run, 9> kRuns = {{{"create", RunCreate},
                                       {"fanout", RunFanout},
                                       {"latency", RunLatency},
                                       {"stream", RunStream},
                                       {"idle", RunIdle},
                                       {"reconnect", RunReconnect},
                                       {"growth", RunGrowth},
                                       {"abuse", RunAbuse},
                                       {"soak", RunSoak}}};

Options ReadOptions() {
  Options options;
  options.dir = absl::GetFlag(FLAGS_dir);
  options.repeats = absl::GetFlag(FLAGS_repeats);
  options.seconds = absl::GetFlag(FLAGS_seconds);
  options.clients = absl::GetFlag(FLAGS_clients);
  options.many_clients = absl::GetFlag(FLAGS_many_clients);
  options.in_flight = absl::GetFlag(FLAGS_in_flight);
  options.rpc_connections = absl::GetFlag(FLAGS_rpc_connections);
  options.connecting = absl::GetFlag(FLAGS_connecting);
  options.rate = absl::GetFlag(FLAGS_rate);
  options.events = absl::GetFlag(FLAGS_events);
  options.log_events = absl::GetFlag(FLAGS_log_events);
  options.storm_clients = absl::GetFlag(FLAGS_storm_clients);
  options.missed_events = absl::GetFlag(FLAGS_missed_events);
  options.storm_rate = absl::GetFlag(FLAGS_storm_rate);
  options.soak_seconds = absl::GetFlag(FLAGS_soak_seconds);
  options.half_open = absl::GetFlag(FLAGS_half_open);
  options.gateway_threads = absl::GetFlag(FLAGS_gateway_threads);
  const bool positive =
      std::min({options.repeats, options.clients, options.many_clients, options.in_flight,
                options.rpc_connections, options.connecting, options.rate, options.storm_clients,
                options.missed_events, options.storm_rate, options.half_open}) > 0 &&
      std::min(options.events, options.log_events) > 0 &&
      std::min(options.seconds, options.soak_seconds) > 0;
  if (!positive) Fail("every number must be positive");
  return options;
}

// Each browser takes a descriptor here and one in the server. The desk and two floors have theirs
// at a time.
void RaiseDescriptorLimit(const Options& options) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const int needed = std::max({options.many_clients, 3 * options.clients,
                               options.clients + options.storm_clients, options.half_open}) +
                     500;
  if (limit.rlim_max < static_cast<rlim_t>(needed)) {
    Fail("so many browsers need ", needed, " open files; ulimit -Hn says ", limit.rlim_max);
  }
}

std::string ProcessorName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!absl::StartsWith(line, "model name")) continue;
    return std::string(absl::StripAsciiWhitespace(line.substr(line.find(':') + 1)));
  }
  return "unknown";
}

std::string Load() {
  std::ifstream file("/proc/loadavg");
  std::string load;
  file >> load;
  return load;
}

// Of the flags, all that may be seen to matter.
std::string Settings(const Options& options) {
  const std::vector<std::pair<const char*, double>> settings = {
      {"repeats", options.repeats},
      {"seconds", options.seconds},
      {"clients", options.clients},
      {"many_clients", options.many_clients},
      {"in_flight", options.in_flight},
      {"rpc_connections", options.rpc_connections},
      {"connecting", options.connecting},
      {"rate", options.rate},
      {"events", static_cast<double>(options.events)},
      {"log_events", static_cast<double>(options.log_events)},
      {"storm_clients", options.storm_clients},
      {"missed_events", options.missed_events},
      {"storm_rate", options.storm_rate},
      {"gateway_threads", options.gateway_threads}};
  return absl::StrJoin(settings, ",", [](std::string* out, const auto& setting) {
    absl::StrAppend(out, "\"", setting.first, "\":", setting.second);
  });
}

std::string About(const Options& options) {
  const std::string settings = Settings(options);
  utsname system{};
  uname(&system);
  return absl::StrCat(
      "{\"processor\":", Quoted(ProcessorName()), ",\"processors\":", sysconf(_SC_NPROCESSORS_ONLN),
      ",\"kernel\":", Quoted(system.release), ",\"version\":", Quoted(AGENTDESK_VERSION),
      ",\"load_before\":", Quoted(Load()), ",\"settings\":{", settings, "}}");
}

int Main(int argc, char** argv) {
  absl::SetProgramUsageMessage(kUsage);
  absl::FlagsUsageConfig usage;
  usage.contains_help_flags = [](absl::string_view file) {
    return absl::StrContains(file, "agentdesk-bench/");
  };
  usage.normalize_filename = [](absl::string_view file) {
    while (absl::ConsumePrefix(&file, "../")) {
    }
    return std::string(file);
  };
  absl::SetFlagsUsageConfig(usage);
  if (std::any_of(argv, argv + argc, [](absl::string_view word) { return word == "--help"; })) {
    // abseil prints the help and ends the program with 1.
    std::atexit([] {
      std::cout.flush();
      std::_Exit(0);
    });
  }
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  const std::string wanted = arguments.size() == 2 ? arguments[1] : "";
  const bool known =
      wanted == "all" ||
      std::any_of(kRuns.begin(), kRuns.end(), [&](const Run& run) { return wanted == run.name; });
  if (!known) {
    std::fprintf(stderr, "%s\n", kUsage);
    return 1;
  }
  try {
    const Options options = ReadOptions();
    RaiseDescriptorLimit(options);
    const std::string about = About(options);
    const bool json = absl::GetFlag(FLAGS_json);
    if (!json) std::printf("%s\n", about.c_str());
    Report report(json);
    EventLoop loop;
    for (const Run& run : kRuns) {
      const bool chosen =
          wanted == "all" ? run.run != RunSoak && run.run != RunAbuse : wanted == run.name;
      if (chosen) run.run(options, loop, report);
    }
    std::printf("%s%s", json ? "" : "\n", (json ? report.Json(about) : report.Summary()).c_str());
    return absl::GetFlag(FLAGS_require_bars) && !report.all_met() ? 2 : 0;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "agentdesk-bench: %s\n", failure.what());
    return 1;
  }
}

}  // namespace
}  // namespace agentdesk::bench

int main(int argc, char** argv) { return agentdesk::bench::Main(argc, argv); }
