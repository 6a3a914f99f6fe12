#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/load.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

// What one server did for one kind of load, in several runs.
struct Cost {
  Samples deliveries;  // a second
  Samples cpu_us;      // of the server, a delivery
  Samples ticket_ms;   // with one ticket at a time, from one call to the next
  Samples first_ms;    // from a call until the first browser has the ticket
};

void Measure(ClosedLoad& load, double seconds, const std::function<double()>& cpu, Cost& cost) {
  const double before = cpu();
  const ClosedLoad::Result result = load.Run(seconds);
  const auto deliveries = static_cast<double>(result.deliveries);
  cost.deliveries.Add(deliveries / result.seconds);
  cost.cpu_us.Add((cpu() - before) * 1e6 / deliveries);
  const auto tickets = static_cast<double>(result.tickets);
  cost.ticket_ms.Add(result.seconds * 1e3 / tickets);
  cost.first_ms.Add(result.seconds_to_first * 1e3 / tickets);
}

void AddCost(Report& report, const std::string& name, const Cost& cost) {
  report.Add(absl::StrCat(name, ", deliveries"), "/s", cost.deliveries);
  report.Add(absl::StrCat(name, ", server CPU a delivery"), "us", cost.cpu_us);
}

void AddTicketTime(Report& report, const std::string& name, const Cost& cost) {
  report.Add(absl::StrCat(name, ", a ticket"), "ms", cost.ticket_ms);
  report.Add(absl::StrCat(name, ", of it before the first browser has it"), "ms", cost.first_ms);
}

BrowserGroup Browsers(const Options& options, EventLoop& loop, uint16_t port, int count) {
  return BrowserGroup(loop, {.port = port, .count = count, .connecting = options.connecting});
}

// Desk and floor in turn, with so many browsers each.
void Compare(const Options& options, EventLoop& loop, Report& report, DeskSetting& desk,
             int clients, bool judged, std::map<int, Cost>& costs_by_creators) {
  FloorSetting floor(options, "agentdesk-frame-floor");
  BrowserGroup desk_browsers = Browsers(options, loop, desk.gateway().port(), clients);
  BrowserGroup floor_browsers = Browsers(options, loop, floor.program().port(), clients);
  desk_browsers.Connect();
  floor_browsers.Connect();
  for (const int creators : {1, options.in_flight}) {
    ClosedLoad desk_load(loop, desk.gateway().port(), desk_browsers, creators);
    ClosedLoad floor_load(loop, floor.program().port(), floor_browsers, creators);
    desk_load.Run(options.seconds / 4);  // to warm up
    floor_load.Run(options.seconds / 4);
    Cost under;
    Cost& over = costs_by_creators[creators];
    for (int i = 0; i < options.repeats; ++i) {
      Measure(
          floor_load, options.seconds, [&] { return floor.program().cpu_seconds(); }, under);
      Measure(
          desk_load, options.seconds, [&] { return desk.cpu_seconds(); }, over);
    }
    const std::string what = absl::StrCat(
        clients, " browsers, ",
        creators == 1 ? std::string("one ticket at a time") : absl::StrCat(creators, " creators"));
    AddCost(report, absl::StrCat(what, ", floor"), under);
    AddCost(report, absl::StrCat(what, ", desk"), over);
    if (creators == 1) {
      AddTicketTime(report, absl::StrCat(what, ", floor"), under);
      AddTicketTime(report, absl::StrCat(what, ", desk"), over);
    }
    if (!judged) continue;
    const Samples speed = Ratio(over.deliveries, under.deliveries);
    report.Bar(absl::StrCat(what, ": deliveries a second, of the floor's"), Rule::kAtLeast,
               creators == 1 ? 0.85 : 6, speed);
    if (creators == 1) continue;
    report.Bar(absl::StrCat(what, ": server CPU a delivery, of the floor's"), Rule::kAtMost, 0.15,
               Ratio(over.cpu_us, under.cpu_us));
  }
}

}  // namespace

void RunFanout(const Options& options, EventLoop& loop, Report& report) {
  report.Begin("fanout", "from POST /tickets/create to the last browser");
  DeskSetting desk(options);
  std::map<int, std::map<int, Cost>> costs;  // by browsers, then by creators
  for (const int clients : {options.clients / 10, options.clients}) {
    Compare(options, loop, report, desk, clients, clients == options.clients, costs[clients]);
  }
  {
    BrowserGroup browsers = Browsers(options, loop, desk.gateway().port(), options.many_clients);
    browsers.Connect();
    for (const int creators : {1, options.in_flight}) {
      ClosedLoad load(loop, desk.gateway().port(), browsers, creators);
      load.Run(options.seconds / 4);
      Cost& cost = costs[options.many_clients][creators];
      for (int i = 0; i < options.repeats; ++i) {
        Measure(
            load, options.seconds, [&] { return desk.cpu_seconds(); }, cost);
      }
      const std::string what = absl::StrCat(options.many_clients, " browsers, ", creators,
                                            creators == 1 ? " creator" : " creators");
      AddCost(report, absl::StrCat(what, ", desk"), cost);
      report.Bar(absl::StrCat(what, ": CPU a delivery, of that at ", options.clients),
                 Rule::kAtMost, 1.2, Ratio(cost.cpu_us, costs[options.clients][creators].cpu_us));
    }
  }
  for (const int creators : {1, options.in_flight}) {
    std::vector<std::pair<double, double>> rate;
    std::vector<std::pair<double, double>> cpu;
    for (const auto& [clients, by_creators] : costs) {
      rate.emplace_back(clients, by_creators.at(creators).deliveries.Median());
      cpu.emplace_back(clients, by_creators.at(creators).cpu_us.Median());
    }
    const std::string what = creators == 1 ? "one at a time" : absl::StrCat(creators, " creators");
    report.Series(absl::StrCat("deliveries a second, ", what), "browsers", rate);
    report.Series(absl::StrCat("server CPU a delivery (us), ", what), "browsers", cpu);
  }
}

}  // namespace agentdesk::bench
