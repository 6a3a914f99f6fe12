#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/rpc_load.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

// A server and what its calls cost.
class Measured {
 public:
  Measured(const Options& options, EventLoop& loop, Program& server)
      : server_(server),
        load_(loop, server.port(), options.rpc_connections, options.in_flight),
        seconds_(options.seconds) {
    load_.Run(seconds_ / 2);
  }

  void Measure() {
    const double before = server_.cpu_seconds();
    const RpcLoad::Result result = load_.Run(seconds_);
    calls_.Add(result.per_second());
    cpu_us_.Add((server_.cpu_seconds() - before) * 1e6 / static_cast<double>(result.calls));
  }
  void Tell(absl::string_view name, Report& report) const {
    report.Add(absl::StrCat(name, ", calls"), "/s", calls_);
    report.Add(absl::StrCat(name, ", server CPU a call"), "us", cpu_us_);
  }
  const Samples& calls() const { return calls_; }

 private:
  Program& server_;
  CreateLoad load_;
  const double seconds_;
  Samples calls_;   // a second
  Samples cpu_us_;  // of the server, a call
};

}  // namespace

void RunCreate(const Options& options, EventLoop& loop, Report& report) {
  report.Begin("create",
               absl::StrCat("CreateTicket, ", options.in_flight, " in flight on ",
                            options.rpc_connections, " connections, acknowledged when fsynced"));
  CoreSetting core(options);
  FloorSetting empty(options, "agentdesk-rpc-floor");
  FloorSetting in_file(options, "agentdesk-rpc-floor", {"--storage=file"});
  FloorSetting in_tables(options, "agentdesk-rpc-floor", {"--storage=tables"});
  Measured desk(options, loop, core.core());
  Measured floor(options, loop, empty.program());
  Measured file(options, loop, in_file.program());
  Measured tables(options, loop, in_tables.program());
  Samples fsync;
  for (int i = 0; i < options.repeats; ++i) {
    fsync.Add(FsyncMs(core.directory()).Median());
    for (Measured* measured : {&floor, &desk, &file, &tables}) measured->Measure();
  }
  report.Add("one fsync", "ms", fsync);
  floor.Tell("floor", report);
  file.Tell("floor with a file", report);
  tables.Tell("floor with the core's tables", report);
  desk.Tell("desk", report);
  report.Add("floor with a file, calls, of the floor's", "", Ratio(file.calls(), floor.calls()));
  report.Add("floor with the core's tables, calls, of the floor's", "",
             Ratio(tables.calls(), floor.calls()));
  report.Add("desk, calls, of those of the floor with the core's tables", "",
             Ratio(desk.calls(), tables.calls()));
  report.Bar("calls a second, of the floor's", Rule::kAtLeast, 0.6,
             Ratio(desk.calls(), floor.calls()));
}

}  // namespace agentdesk::bench
