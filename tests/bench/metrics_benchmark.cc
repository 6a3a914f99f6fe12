// What counting costs where much happens: for a call, an event, a batch and a delivered message.

#include <benchmark/benchmark.h>

#include "core_service/base/metrics.h"
#include "core_service/desk/desk_metrics.h"

namespace agentdesk {
namespace {

void CountTally(benchmark::State& state) {
  Tally tally;
  for (auto _ : state) {
    tally.Add(1);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(CountTally);

void CountCounter(benchmark::State& state) {
  static Metrics metrics;
  static Metrics::Counter& counter = metrics.AddCounter("agentdesk_things_total", "Things.");
  for (auto _ : state) counter.Increment();
}
BENCHMARK(CountCounter)->Threads(1)->Threads(2);

void CountObservation(benchmark::State& state) {
  static Metrics metrics;
  static Metrics::Histogram& histogram =
      metrics.AddHistogram("agentdesk_wait_seconds", "Wait.", LatencyBounds());
  for (auto _ : state) histogram.Observe(0.0007);
}
BENCHMARK(CountObservation)->Threads(1)->Threads(2);

// What the desk counts for a ticket that is created and committed by itself.
void CountCreatedTicket(benchmark::State& state) {
  Metrics metrics;
  desk::DeskMetrics desk_metrics(metrics, Clock::Real());
  domain::Change change;
  change.job.emplace().mutable_job()->set_status(v1::JOB_STATUS_QUEUED);
  change.events.emplace_back().mutable_ticket_created();
  for (auto _ : state) {
    desk_metrics.Applied(change);
    desk_metrics.Committed(1, absl::Milliseconds(1));
  }
}
BENCHMARK(CountCreatedTicket);

}  // namespace
}  // namespace agentdesk
