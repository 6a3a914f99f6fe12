#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/rpc_load.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

struct Cost {
  Samples calls;   // a second
  Samples cpu_us;  // of the server, a call
};

void Measure(CreateLoad& load, Program& server, double seconds, Cost& cost) {
  const double before = server.cpu_seconds();
  const RpcLoad::Result result = load.Run(seconds);
  cost.calls.Add(result.per_second());
  cost.cpu_us.Add((server.cpu_seconds() - before) * 1e6 / static_cast<double>(result.calls));
}

}  // namespace

void RunCreate(const Options& options, EventLoop& loop, Report& report) {
  report.Begin("create",
               absl::StrCat("CreateTicket, ", options.in_flight, " in flight on ",
                            options.rpc_connections, " connections, acknowledged when fsynced"));
  CoreSetting desk(options);
  FloorSetting floor(options, "agentdesk-rpc-floor");
  CreateLoad desk_load(loop, desk.core().port(), options.rpc_connections, options.in_flight);
  CreateLoad floor_load(loop, floor.program().port(), options.rpc_connections, options.in_flight);
  desk_load.Run(options.seconds / 2);
  floor_load.Run(options.seconds / 2);
  Cost over;
  Cost under;
  Samples fsync;
  for (int i = 0; i < options.repeats; ++i) {
    fsync.Add(FsyncMs(desk.directory()).Median());
    Measure(floor_load, floor.program(), options.seconds, under);
    Measure(desk_load, desk.core(), options.seconds, over);
  }
  report.Add("one fsync", "ms", fsync);
  report.Add("floor, calls", "/s", under.calls);
  report.Add("floor, server CPU a call", "us", under.cpu_us);
  report.Add("desk, calls", "/s", over.calls);
  report.Add("desk, server CPU a call", "us", over.cpu_us);
  report.Bar("calls a second, of the floor's", Rule::kAtLeast, 0.6, Ratio(over.calls, under.calls));
}

}  // namespace agentdesk::bench
