#include <array>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/filler.h"
#include "tools/agentdesk-bench/rpc_load.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

// What a call costs one core.
struct Cost {
  Samples calls;   // a second
  Samples cpu_us;  // of the core, a call
};

constexpr std::array<const char*, 3> kCalls = {"create", "get", "subscribe at the head"};

std::unique_ptr<RpcLoad> Load(size_t call, const Options& options, EventLoop& loop, uint16_t port,
                              const std::string& ticket_id) {
  if (call == 0) {
    return std::make_unique<CreateLoad>(loop, port, options.rpc_connections, options.in_flight);
  }
  if (call == 1) {
    return std::make_unique<GetLoad>(loop, port, options.rpc_connections, options.in_flight,
                                     ticket_id);
  }
  return std::make_unique<SubscribeLoad>(loop, port, options.rpc_connections, options.in_flight);
}

std::string MakeTicket(EventLoop& loop, uint16_t port) {
  CreateLoad load(loop, port, 1, 1);
  load.Run(0);
  return load.last_id();
}

// Calls of each kind on a long log and on an empty one, in turn. Returns the ratios of CPU.
std::array<Samples, 3> Compare(const Options& options, EventLoop& loop, Report& report,
                               CoreSetting& full, int64_t events) {
  CoreSetting empty(options);
  const std::array<CoreSetting*, 2> cores = {&empty, &full};
  std::array<std::array<Cost, 2>, 3> costs;
  for (size_t call = 0; call < kCalls.size(); ++call) {
    for (int i = 0; i <= options.repeats; ++i) {
      for (size_t which = 0; which < cores.size(); ++which) {
        Program& core = cores[which]->core();
        const auto load = Load(call, options, loop, core.port(), MakeTicket(loop, core.port()));
        const double before = core.cpu_seconds();
        const RpcLoad::Result result = load->Run(options.seconds / 2);
        if (i == 0) continue;  // to warm up
        Cost& cost = costs[call][which];
        cost.calls.Add(result.per_second());
        cost.cpu_us.Add((core.cpu_seconds() - before) * 1e6 / static_cast<double>(result.calls));
      }
    }
  }
  std::array<Samples, 3> ratios;
  for (size_t call = 0; call < kCalls.size(); ++call) {
    const std::string what = absl::StrCat(kCalls[call], ", ", events, " events: ");
    report.Add(absl::StrCat(what, "calls, of an empty log's"), "",
               Ratio(costs[call][1].calls, costs[call][0].calls));
    report.Add(absl::StrCat(what, "CPU a call"), "us", costs[call][1].cpu_us);
    ratios[call] = Ratio(costs[call][1].cpu_us, costs[call][0].cpu_us);
  }
  return ratios;
}

}  // namespace

void RunGrowth(const Options& options, EventLoop& loop, Report& report) {
  report.Begin("growth",
               absl::StrCat("a log of ", options.log_events, " events against an empty one"));
  CoreSetting desk(options);
  std::array<std::vector<std::pair<double, double>>, 3> series;
  std::array<Samples, 3> ratios;
  for (const int64_t events :
       {options.log_events / 100, options.log_events / 10, options.log_events}) {
    const int64_t begin = NowNs();
    Filler(loop, desk.core().port()).FillTo(events);
    report.Note(absl::StrCat("filled to ", events, " events in ", (NowNs() - begin) / 1'000'000'000,
                             " s, ", desk.data_bytes() / (1024 * 1024), " MiB"));
    if (events == options.log_events) {
      Samples in_order;
      Samples killed;
      for (int i = 0; i < options.repeats; ++i) {
        in_order.Add(desk.Restart(true));
        MakeTicket(loop, desk.core().port());
        killed.Add(desk.Restart(false));
      }
      report.Bar("start-up after a stop, s", Rule::kAtMost, 2, in_order);
      report.Bar("start-up after a kill, s", Rule::kAtMost, 2, killed);
    }
    ratios = Compare(options, loop, report, desk, events);
    for (size_t call = 0; call < kCalls.size(); ++call) {
      series[call].emplace_back(static_cast<double>(events), ratios[call].Median());
    }
  }
  for (size_t call = 0; call < kCalls.size(); ++call) {
    report.Bar(absl::StrCat(kCalls[call], ": CPU a call, of an empty log's"), Rule::kAtMost, 1.2,
               ratios[call]);
    report.Series(absl::StrCat(kCalls[call], ": CPU a call, of an empty log's"), "events",
                  series[call]);
  }
}

}  // namespace agentdesk::bench
