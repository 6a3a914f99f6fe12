// What counting costs where much happens (for a call, an event, a batch and a delivered message),
// beside what the kernel takes for the message itself.

#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

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

// One message of 200 bytes to one browser: what CountTally, which is all that is counted for it, is
// to be held against.
void CountlessSend(benchmark::State& state) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const int browser = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, name, size) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, name, &size) != 0 || connect(browser, name, size) != 0) {
    return state.SkipWithError("no connection over loopback");
  }
  const int gateway = accept(listener, nullptr, nullptr);
  const std::string message(200, 'x');
  std::string drain(64 * message.size(), '\0');
  size_t unread = 0;
  for (auto _ : state) {
    if (send(gateway, message.data(), message.size(), MSG_NOSIGNAL) < 0) {
      state.SkipWithError("send failed");
      break;
    }
    unread += message.size();
    if (unread < drain.size()) continue;
    state.PauseTiming();
    while (unread > 0) unread -= static_cast<size_t>(recv(browser, drain.data(), unread, 0));
    state.ResumeTiming();
  }
  for (const int fd : {gateway, browser, listener}) close(fd);
}
BENCHMARK(CountlessSend);

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
