#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/filler.h"
#include "tools/agentdesk-bench/load.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

constexpr int kSamples = 240;

Samples Part(const Samples& all, double from, double to) {
  const auto count = static_cast<double>(all.values.size());
  Samples part;
  part.values.assign(all.values.begin() + static_cast<std::ptrdiff_t>(from * count),
                     all.values.begin() + static_cast<std::ptrdiff_t>(to * count));
  return part;
}

}  // namespace

void RunSoak(const Options& options, EventLoop& loop, Report& report) {
  const int clients = options.clients / 10;
  report.Begin("soak", absl::StrCat(options.soak_seconds, " s with ", options.rate,
                                    " tickets a second, each worked on and completed, and ",
                                    clients, " browsers"));
  DeskSetting desk(options);
  BrowserGroup browsers(loop, {.port = desk.gateway().port(),
                               .count = clients,
                               .v1 = true,
                               .connecting = options.connecting});
  // Before the first event: what has just been acknowledged may not have come to the gateway yet,
  // and then some browsers begin before it and some after.
  browsers.Connect();
  Filler filler(loop, desk.core().port());
  filler.Append(1);
  PacedLoad load(loop, desk.gateway().port(), browsers, options.rate, clients);
  Samples core_mib;
  Samples gateway_mib;
  std::vector<std::pair<double, double>> core_series;
  std::vector<std::pair<double, double>> gateway_series;
  const double interval = options.soak_seconds / kSamples;
  const int64_t begin = NowNs();
  for (int i = 0; i < kSamples; ++i) {
    const int64_t end = begin + static_cast<int64_t>((i + 1) * interval * 1e9);
    int64_t serve_at = NowNs();
    load.RunWhile([&] {
      const int64_t now = NowNs();
      if (now >= serve_at && filler.busy() == 0) {
        serve_at = now + 100'000'000;
        filler.Serve(options.rate / 8);
      }
      return now < end;
    });
    core_mib.Add(static_cast<double>(desk.core().memory_bytes()) / (1 << 20));
    gateway_mib.Add(static_cast<double>(desk.gateway().memory_bytes()) / (1 << 20));
    const double minutes = static_cast<double>(NowNs() - begin) / 60e9;
    core_series.emplace_back(minutes, core_mib.values.back());
    gateway_series.emplace_back(minutes, gateway_mib.values.back());
  }
  load.Drain();
  loop.RunUntil([&] { return filler.busy() == 0; }, "end of the work");
  browsers.WaitFor(browsers.ledger().end());
  report.Add("events in all", "", Samples{{static_cast<double>(browsers.ledger().end())}});
  report.Add("delay, p99", "ms", Samples{{load.TakeDelays().QuantileSeconds(0.99) * 1e3}});
  report.Add("core, second quarter", "MiB", Part(core_mib, 0.25, 0.5));
  report.Add("core, last quarter", "MiB", Part(core_mib, 0.75, 1));
  report.Add("gateway, second quarter", "MiB", Part(gateway_mib, 0.25, 0.5));
  report.Add("gateway, last quarter", "MiB", Part(gateway_mib, 0.75, 1));
  const auto growth = [](const Samples& mib) {
    return Samples{{Part(mib, 0.75, 1).Median() / Part(mib, 0.25, 0.5).Median()}};
  };
  report.Bar("core: memory in the last quarter, of that in the second", Rule::kAtMost, 1.05,
             growth(core_mib));
  report.Bar("gateway: memory in the last quarter, of that in the second", Rule::kAtMost, 1.05,
             growth(gateway_mib));
  report.Series("core (MiB)", "minutes", core_series);
  report.Series("gateway (MiB)", "minutes", gateway_series);
}

}  // namespace agentdesk::bench
