// The inner steps of an event's way, each by itself, so that a regression can be found where it is.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "core_service/events/event_log.h"
#include "core_service/events/subscription.h"
#include "core_service/store/event_block.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/gateway/gateway_fixture.h"
#include "ws_gateway/event_json.h"
#include "ws_gateway/frame.h"
#include "ws_gateway/hub.h"

namespace agentdesk {
namespace {

constexpr char kName[] = "bench-0000000042 a name that fills the message to 200 bytes";

v1::Event CreatedEvent(int64_t sequence) {
  v1::Event event = gateway::TicketCreated(sequence, kName);
  event.mutable_time()->set_seconds(1'764'466'501);
  return event;
}

std::shared_ptr<const store::EventBlock> StoredBlock(int64_t first, int64_t count) {
  auto block = std::make_shared<store::EventBlock>();
  for (int64_t i = 0; i < count; ++i) block->Append(CreatedEvent(first + i));
  return block;
}

void EventToJson(benchmark::State& state) {
  const v1::Event event = CreatedEvent(1);
  std::string text;
  for (auto _ : state) {
    text.clear();
    gateway::AppendV1Event(event, text);
    benchmark::DoNotOptimize(text.data());
  }
}
BENCHMARK(EventToJson);

// What the gateway does with a batch of the core's: both protocols, framed.
void EncodeBatch(benchmark::State& state) {
  google::protobuf::RepeatedPtrField<v1::Event> events;
  for (int64_t i = 1; i <= state.range(0); ++i) *events.Add() = CreatedEvent(i);
  for (auto _ : state) {
    benchmark::DoNotOptimize(gateway::EncodeEvents(gateway::kDesk, 0, state.range(0), events));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(EncodeBatch)->Arg(1)->Arg(64);

void Framing(benchmark::State& state) {
  const std::string payload(static_cast<size_t>(state.range(0)), 'x');
  std::string frames;
  for (auto _ : state) {
    frames.clear();
    gateway::AppendTextFrame(payload, frames);
    benchmark::DoNotOptimize(frames.data());
  }
}
BENCHMARK(Framing)->Arg(200)->Arg(70000);

// A socket that takes everything at once.
class Sink final : public gateway::Socket {
 public:
  bool Send(const gateway::Frames& frames, int64_t mark) override {
    benchmark::DoNotOptimize(frames.bytes.data());
    mark_ = mark;
    return true;
  }
  void Close(uint16_t /*code*/, absl::string_view /*reason*/, bool /*drop_queue*/) override {}
  int64_t written_mark() const override { return mark_; }
  size_t queued_bytes() const override { return 0; }

 private:
  int64_t mark_ = 0;
};

// One block of one event to so many browsers of the plain protocol, without their sockets.
void HubPublish(benchmark::State& state) {
  testing::FakeClock clock;
  gateway::FakeCommands commands;
  gateway::LoadLimits limits({}, clock);
  Metrics metrics;
  gateway::ConnectionMetrics connection_metrics(metrics);
  gateway::Hub hub(commands, clock, IdSource::Real(), {}, limits, connection_metrics);
  hub.Publish(gateway::Block(0, {}), clock.Now());
  std::vector<Sink> sinks(static_cast<size_t>(state.range(0)));
  std::vector<std::unique_ptr<gateway::SocketHandler>> browsers;
  for (Sink& sink : sinks) {
    browsers.push_back(hub.MakeConnection({}));
    browsers.back()->OnOpen(sink);
  }
  int64_t sequence = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const auto block = gateway::Block(sequence, {CreatedEvent(sequence + 1)});
    ++sequence;
    state.ResumeTiming();
    hub.Publish(block, clock.Now());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  for (const auto& browser : browsers) browser->OnClosed(1000);
}
BENCHMARK(HubPublish)->Arg(1000);

class Nobody final : public events::Waiter {
 public:
  void OnEvents() override {}
};

// Encodes 64 events and makes them visible.
void LogAppend(benchmark::State& state) {
  events::EventLog log({}, 0, 1);
  std::vector<v1::Event> events;
  for (int64_t i = 0; i < 64; ++i) events.push_back(CreatedEvent(0));
  int64_t sequence = 0;
  for (auto _ : state) {
    auto block = std::make_shared<store::EventBlock>();
    for (v1::Event& event : events) {
      event.set_sequence(++sequence);
      block->Append(event);
    }
    benchmark::DoNotOptimize(log.Append(std::move(block)));
  }
  state.SetItemsProcessed(sequence);
}
BENCHMARK(LogAppend);

// The next batch of 256 events out of blocks of so many.
void SubscriptionNext(benchmark::State& state) {
  constexpr int64_t kEvents = 32768;
  events::EventLog log({}, 0, 1);
  for (int64_t first = 1; first <= kEvents; first += state.range(0)) {
    log.Append(StoredBlock(first, state.range(0)));
  }
  const auto waiter = std::make_shared<Nobody>();
  auto subscription = std::make_unique<events::Subscription>(log, events::Filter(), 0,
                                                             events::Subscription::Limits());
  int64_t events = 0;
  for (auto _ : state) {
    const int64_t before = subscription->position();
    const events::Subscription::Batch batch = subscription->Next(waiter);
    benchmark::DoNotOptimize(batch.pieces.data());
    events += subscription->position() - before;
    if (subscription->position() < kEvents) continue;
    subscription = std::make_unique<events::Subscription>(log, events::Filter(), 0,
                                                          events::Subscription::Limits());
  }
  state.SetItemsProcessed(events);
}
BENCHMARK(SubscriptionNext)->Arg(1)->Arg(64);

}  // namespace
}  // namespace agentdesk

BENCHMARK_MAIN();
