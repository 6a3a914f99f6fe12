#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/filler.h"
#include "tools/agentdesk-bench/load.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

// Returns when the gateway has followed to `head`: of the browsers that come earlier, some would
// still get the last events before it and some would not.
void AwaitGateway(EventLoop& loop, uint16_t port, int64_t head) {
  BrowserGroup browsers(loop, {.port = port, .count = 1, .v1 = true});
  browsers.Connect();
  loop.RunUntil([&] { return browsers.sequence(1) >= head; }, "the gateway's way to the head");
}

}  // namespace

void RunReconnect(const Options& options, EventLoop& loop, Report& report) {
  report.Begin("reconnect",
               absl::StrCat(options.storm_clients, " browsers drop and resume with ",
                            options.missed_events, " events missed each, ", options.clients,
                            " stay; ", options.storm_rate, " tickets a second"));
  Samples burst;
  Samples seconds;
  Samples before;
  Samples during;
  for (int i = 0; i < options.repeats; ++i) {
    DeskSetting desk(options);
    Filler filler(loop, desk.core().port());
    filler.Append(1);  // so that no browser's position is 0
    AwaitGateway(loop, desk.gateway().port(), filler.Head());
    BrowserGroup browsers(loop, {.port = desk.gateway().port(),
                                 .count = options.clients + options.storm_clients,
                                 .v1 = true,
                                 .connecting = options.connecting,
                                 .kernel_time = true});
    browsers.Connect();
    PacedLoad load(loop, desk.gateway().port(), browsers, options.storm_rate, options.clients);
    load.RunFor(options.seconds / 2);  // to warm up
    load.TakeDelays();
    load.RunFor(2 * options.seconds);
    before.Add(load.TakeDelays().QuantileSeconds(0.99) * 1e3);

    browsers.Drop(options.clients);
    const int64_t settled = NowNs() + static_cast<int64_t>(options.seconds * 0.5e9);
    load.RunWhile([settled] { return NowNs() < settled; });
    // What they miss comes to those who stay as one burst, which is no part of the storm.
    const int64_t burst_begin = NowNs();
    filler.Append(options.missed_events);
    const int64_t head = filler.Head();
    loop.RunUntil([&] { return browsers.sequence(options.clients) >= head; },
                  "the way of what is missed to those who stay");
    burst.Add(static_cast<double>(NowNs() - burst_begin) / 1e9);
    const int64_t begin = NowNs();
    browsers.StartConnecting();
    const int all = options.clients + options.storm_clients;
    load.RunWhile([&] { return browsers.open() < all || !browsers.all_caught_up(); });
    seconds.Add(static_cast<double>(NowNs() - begin) / 1e9);
    load.Drain();
    during.Add(load.TakeDelays().QuantileSeconds(0.99) * 1e3);
  }
  report.Add("until those who stay have what the others miss", "s", burst);
  report.Add("until all have resumed and caught up", "s", seconds);
  report.Add("p99 of those who stay, before", "ms", before);
  report.Add("p99 of those who stay, during", "ms", during);
  report.Bar("p99 of those who stay, of that before", Rule::kAtMost, 2, Ratio(during, before));
}

}  // namespace agentdesk::bench
