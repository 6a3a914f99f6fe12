#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/load.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

// What the gateway holds for each of the browsers that connect now.
double KibPerBrowser(EventLoop& loop, DeskSetting& desk, BrowserGroup& browsers, int count) {
  const size_t before = desk.gateway().memory_bytes();
  browsers.Connect();
  loop.RunFor(1);  // until the gateway has let go of what the handshakes needed
  const size_t after = desk.gateway().memory_bytes();
  return (static_cast<double>(after) - static_cast<double>(before)) / 1024 / count;
}

}  // namespace

void RunIdle(const Options& options, EventLoop& loop, Report& report) {
  const int count = options.many_clients;
  report.Begin("idle", absl::StrCat("the gateway's memory for each of ", count,
                                    " connections on which nothing happens"));
  Samples plain;
  Samples v1;
  Samples over_tls;
  Samples after_event;
  const struct {
    bool full;
    bool tls;
    Samples& samples;
  } cases[] = {{false, false, plain}, {true, false, v1}, {true, true, over_tls}};
  for (int i = 0; i < options.repeats; ++i) {
    for (const auto& [full, tls, samples] : cases) {
      // A fresh gateway each time: one that has had connections has memory to spare.
      DeskSetting desk(options, DeskSetting::Limits::kNone, tls);
      BrowserGroup browsers(loop, {.port = desk.gateway().port(),
                                   .count = count,
                                   .v1 = full,
                                   .connecting = options.connecting,
                                   .tls = tls});
      const size_t before = desk.gateway().memory_bytes();
      samples.Add(KibPerBrowser(loop, desk, browsers, count));
      if (full) continue;
      ClosedLoad(loop, desk.gateway().port(), browsers, 1).Run(options.seconds / 2);
      const size_t after = desk.gateway().memory_bytes();
      after_event.Add((static_cast<double>(after) - static_cast<double>(before)) / 1024 / count);
    }
  }
  report.Bar("plain protocol, KiB a connection", Rule::kAtMost, 8, plain);
  report.Bar("full protocol, KiB a connection", Rule::kAtMost, 8, v1);
  report.Add("full protocol over TLS", "KiB", over_tls);
  report.Add("plain protocol, after some events", "KiB", after_event);
}

}  // namespace agentdesk::bench
