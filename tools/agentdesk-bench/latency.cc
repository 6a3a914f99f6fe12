#include <array>
#include <utility>
#include <vector>

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

// One program that takes tickets, with its browsers.
class Served {
 public:
  Served(const Options& options, EventLoop& loop, uint16_t port)
      : browsers_(loop, {.port = port,
                         .count = options.clients,
                         .connecting = options.connecting,
                         .kernel_time = true}),
        load_(loop, port, browsers_, options.rate, options.clients) {
    browsers_.Connect();
  }

  void WarmUp(double seconds) {
    load_.RunFor(seconds);
    load_.TakeDelays();
  }
  void Measure(double seconds) {
    load_.RunFor(seconds);
    delays_.last = load_.TakeDelays();
    delays_.p50.Add(delays_.last.QuantileSeconds(0.5) * 1e3);
    delays_.p99.Add(delays_.last.QuantileSeconds(0.99) * 1e3);
  }
  const Delays& delays() const { return delays_; }

 private:
  BrowserGroup browsers_;
  PacedLoad load_;
  Delays delays_;
};

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
  DeskSetting setting(options);
  FloorSetting bare(options, "agentdesk-frame-floor");
  BothFloorsSetting floors(options);
  Served floor(options, loop, bare.program().port());
  Served desk(options, loop, setting.gateway().port());
  Served both(options, loop, floors.port());
  const std::array<Served*, 3> all = {&floor, &desk, &both};
  for (Served* served : all) served->WarmUp(options.seconds / 2);
  Samples fsync_p50;
  Samples fsync_p99;
  for (int i = 0; i < options.repeats; ++i) {
    const Samples fsync = FsyncMs(setting.directory());
    fsync_p50.Add(fsync.Median());
    fsync_p99.Add(fsync.Quantile(0.99));
    for (Served* served : all) served->Measure(options.seconds);
  }
  report.Add("one fsync, p50", "ms", fsync_p50);
  report.Add("one fsync, p99", "ms", fsync_p99);
  const std::pair<const char*, const Served*> names[] = {
      {"floor", &floor}, {"desk", &desk}, {"both floors", &both}};
  for (const auto& [name, served] : names) {
    report.Add(absl::StrCat(name, ", p50"), "ms", served->delays().p50);
    report.Add(absl::StrCat(name, ", p99"), "ms", served->delays().p99);
  }
  const auto of_floor = [&](const Served& served, Samples Delays::*quantile, const Samples& fsync) {
    return Ratio(Less(served.delays().*quantile, fsync), floor.delays().*quantile);
  };
  report.Add("both floors, p50 less one fsync's, of the floor's", "",
             of_floor(both, &Delays::p50, fsync_p50));
  report.Add("both floors, p99 less one fsync's, of the floor's", "",
             of_floor(both, &Delays::p99, fsync_p99));
  report.Bar("p50 less one fsync's, of the floor's", Rule::kAtMost, 1.5,
             of_floor(desk, &Delays::p50, fsync_p50));
  report.Bar("p99 less one fsync's, of the floor's", Rule::kAtMost, 2,
             of_floor(desk, &Delays::p99, fsync_p99));
  report.Series("desk: delay (ms)", "percentile", Distribution(desk.delays().last));
  report.Series("floor: delay (ms)", "percentile", Distribution(floor.delays().last));
  report.Series("both floors: delay (ms)", "percentile", Distribution(both.delays().last));
}

}  // namespace agentdesk::bench
