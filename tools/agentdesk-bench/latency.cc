#include <functional>

#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/load.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

struct Delays {
  Samples p50;
  Samples p99;
  Histogram last;
};

void Measure(PacedLoad& load, double seconds, Delays& delays) {
  load.RunFor(seconds);
  delays.last = load.TakeDelays();
  delays.p50.Add(delays.last.QuantileSeconds(0.5) * 1e3);
  delays.p99.Add(delays.last.QuantileSeconds(0.99) * 1e3);
}

std::vector<std::pair<double, double>> Distribution(const Histogram& delays) {
  std::vector<std::pair<double, double>> points;
  for (const double percent : {1., 5., 10., 25., 50., 75., 90., 95., 99., 99.9}) {
    points.emplace_back(percent, delays.QuantileSeconds(percent / 100) * 1e3);
  }
  return points;
}

Samples Less(const Samples& all, const Samples& part) {
  Samples rest;
  for (size_t i = 0; i < all.values.size(); ++i) rest.Add(all.values[i] - part.values[i]);
  return rest;
}

}  // namespace

void RunLatency(const Options& options, EventLoop& loop, Report& report) {
  report.Begin("latency", absl::StrCat("from the create call to each of ", options.clients,
                                       " browsers, ", options.rate, " tickets a second"));
  DeskSetting desk(options);
  FloorSetting floor(options, "agentdesk-frame-floor");
  const auto browsers = [&](uint16_t port) {
    return BrowserGroup(loop, {.port = port,
                               .count = options.clients,
                               .connecting = options.connecting,
                               .kernel_time = true});
  };
  BrowserGroup desk_browsers = browsers(desk.gateway().port());
  BrowserGroup floor_browsers = browsers(floor.program().port());
  desk_browsers.Connect();
  floor_browsers.Connect();
  PacedLoad desk_load(loop, desk.gateway().port(), desk_browsers, options.rate, options.clients);
  PacedLoad floor_load(loop, floor.program().port(), floor_browsers, options.rate, options.clients);
  Delays warm;
  Measure(desk_load, options.seconds / 2, warm);
  Measure(floor_load, options.seconds / 2, warm);
  Delays over;
  Delays under;
  Samples fsync_p50;
  Samples fsync_p99;
  for (int i = 0; i < options.repeats; ++i) {
    const Samples fsync = FsyncMs(desk.directory());
    fsync_p50.Add(fsync.Median());
    fsync_p99.Add(fsync.Quantile(0.99));
    Measure(floor_load, options.seconds, under);
    Measure(desk_load, options.seconds, over);
  }
  report.Add("one fsync, p50", "ms", fsync_p50);
  report.Add("one fsync, p99", "ms", fsync_p99);
  report.Add("floor, p50", "ms", under.p50);
  report.Add("floor, p99", "ms", under.p99);
  report.Add("desk, p50", "ms", over.p50);
  report.Add("desk, p99", "ms", over.p99);
  report.Bar("p50 less one fsync's, of the floor's", Rule::kAtMost, 1.5,
             Ratio(Less(over.p50, fsync_p50), under.p50));
  report.Bar("p99 less one fsync's, of the floor's", Rule::kAtMost, 2,
             Ratio(Less(over.p99, fsync_p99), under.p99));
  report.Series("desk: delay (ms)", "percentile", Distribution(over.last));
  report.Series("floor: delay (ms)", "percentile", Distribution(under.last));
}

}  // namespace agentdesk::bench
