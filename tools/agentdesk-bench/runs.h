#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_RUNS_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_RUNS_H_

#include "tools/agentdesk-bench/event_loop.h"
#include "tools/agentdesk-bench/report.h"
#include "tools/agentdesk-bench/setting.h"

namespace agentdesk::bench {

// The measurements, each a subcommand. Each starts what it measures and the floor beside it, takes
// turns between the two, and ends all that it started.

// From POST /tickets/create to the last browser, one ticket at a time and with many creators; also
// with many browsers.
void RunFanout(const Options& options, EventLoop& loop, Report& report);
// CreateTicket over gRPC, many in flight.
void RunCreate(const Options& options, EventLoop& loop, Report& report);
// One subscriber replays a stored log.
void RunStream(const Options& options, EventLoop& loop, Report& report);
// What the gateway keeps for a connection on which nothing happens.
void RunIdle(const Options& options, EventLoop& loop, Report& report);
// The delay from the create call to the browsers, at a steady rate.
void RunLatency(const Options& options, EventLoop& loop, Report& report);
// Start, create, get and subscribe, on an empty log and on a long one.
void RunGrowth(const Options& options, EventLoop& loop, Report& report);
// Many browsers drop and resume while others stay.
void RunReconnect(const Options& options, EventLoop& loop, Report& report);
// What the well-behaved feel of somebody who floods the gateway.
void RunAbuse(const Options& options, EventLoop& loop, Report& report);
// The memory of the core under a steady load.
void RunSoak(const Options& options, EventLoop& loop, Report& report);

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_RUNS_H_
