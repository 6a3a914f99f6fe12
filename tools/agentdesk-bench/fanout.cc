#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

void AddCost(Report& report, const std::string& name, const Cost& cost) {
  report.Add(absl::StrCat(name, ", deliveries"), "/s", cost.deliveries);
  report.Add(absl::StrCat(name, ", server CPU a delivery"), "us", cost.cpu_us);
}

void AddTicketTime(Report& report, const std::string& name, const Cost& cost) {
  report.Add(absl::StrCat(name, ", a ticket"), "ms", cost.ticket_ms);
  report.Add(absl::StrCat(name, ", of it before the first browser has it"), "ms", cost.first_ms);
}

// A server with browsers.
class Served {
 public:
  // `cpu`: what the server has used, in seconds.
  Served(const Options& options, EventLoop& loop, uint16_t port, int clients,
         std::function<double()> cpu)
      : loop_(loop),
        port_(port),
        seconds_(options.seconds),
        cpu_(std::move(cpu)),
        browsers_(loop, {.port = port, .count = clients, .connecting = options.connecting}) {
    browsers_.Connect();
  }

  // What is measured from now on is of so many creators.
  void Begin(int creators) {
    load_.emplace(loop_, port_, browsers_, creators);
    load_->Run(seconds_ / 4);  // to warm up
    cost_ = {};
  }
  void Measure() {
    const double before = cpu_();
    const ClosedLoad::Result result = load_->Run(seconds_);
    const auto deliveries = static_cast<double>(result.deliveries);
    cost_.deliveries.Add(deliveries / result.seconds);
    cost_.cpu_us.Add((cpu_() - before) * 1e6 / deliveries);
    const auto tickets = static_cast<double>(result.tickets);
    cost_.ticket_ms.Add(result.seconds * 1e3 / tickets);
    cost_.first_ms.Add(result.seconds_to_first * 1e3 / tickets);
  }
  const Cost& cost() const { return cost_; }

 private:
  EventLoop& loop_;
  const uint16_t port_;
  const double seconds_;
  const std::function<double()> cpu_;
  BrowserGroup browsers_;
  std::optional<ClosedLoad> load_;
  Cost cost_;
};

// Desk and floors in turn, with so many browsers each.
void Compare(const Options& options, EventLoop& loop, Report& report, DeskSetting& setting,
             int clients, bool judged, std::map<int, Cost>& costs_by_creators) {
  FloorSetting bare(options, "agentdesk-frame-floor");
  BothFloorsSetting floors(options);
  Served desk(options, loop, setting.gateway().port(), clients,
              [&] { return setting.cpu_seconds(); });
  Served floor(options, loop, bare.program().port(), clients,
               [&] { return bare.program().cpu_seconds(); });
  Served both(options, loop, floors.port(), clients, [&] { return floors.cpu_seconds(); });
  for (const int creators : {1, options.in_flight}) {
    // The floors together bring one ticket after the other, so that many creators tell nothing.
    const bool alone = creators == 1;
    std::vector<Served*> all = {&floor, &desk};
    if (alone) all.push_back(&both);
    for (Served* served : all) served->Begin(creators);
    for (int i = 0; i < options.repeats; ++i) {
      for (Served* served : all) served->Measure();
    }
    const std::string what = absl::StrCat(
        clients, " browsers, ",
        alone ? std::string("one ticket at a time") : absl::StrCat(creators, " creators"));
    AddCost(report, absl::StrCat(what, ", floor"), floor.cost());
    AddCost(report, absl::StrCat(what, ", desk"), desk.cost());
    if (alone) {
      AddTicketTime(report, absl::StrCat(what, ", floor"), floor.cost());
      AddTicketTime(report, absl::StrCat(what, ", both floors"), both.cost());
      AddTicketTime(report, absl::StrCat(what, ", desk"), desk.cost());
      report.Add(absl::StrCat(what, ", both floors, deliveries, of the floor's"), "",
                 Ratio(both.cost().deliveries, floor.cost().deliveries));
      report.Add(absl::StrCat(what, ", desk, deliveries, of those of both floors"), "",
                 Ratio(desk.cost().deliveries, both.cost().deliveries));
    }
    costs_by_creators[creators] = desk.cost();
    if (!judged) continue;
    report.Bar(absl::StrCat(what, ": deliveries a second, of the floor's"), Rule::kAtLeast,
               alone ? 0.85 : 6, Ratio(desk.cost().deliveries, floor.cost().deliveries));
    if (alone) continue;
    report.Bar(absl::StrCat(what, ": server CPU a delivery, of the floor's"), Rule::kAtMost, 0.15,
               Ratio(desk.cost().cpu_us, floor.cost().cpu_us));
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
    Served many(options, loop, desk.gateway().port(), options.many_clients,
                [&] { return desk.cpu_seconds(); });
    for (const int creators : {1, options.in_flight}) {
      many.Begin(creators);
      for (int i = 0; i < options.repeats; ++i) many.Measure();
      const Cost& cost = many.cost();
      costs[options.many_clients][creators] = cost;
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
