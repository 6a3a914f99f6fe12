#include "absl/strings/str_cat.h"
#include "agentdesk/v1/event.pb.h"
#include "tools/agentdesk-bench/failure.h"
#include "tools/agentdesk-bench/filler.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

// Takes a varint from the front (protobuf's encoding).
uint64_t TakeVarint(absl::string_view& bytes) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  Fail("a message cannot be read");
}

constexpr uint64_t kLengthDelimited = 2;
constexpr uint64_t kEventsField = 1 << 3 | kLengthDelimited;
constexpr uint64_t kSequenceField = 1 << 3;

// Reads the sequences of a SubscribeResponse's events without taking the rest apart, so that what
// is measured is the server. Fails where one is missing.
void TakeEvents(absl::string_view message, int64_t& sequence) {
  while (!message.empty()) {
    const uint64_t field = TakeVarint(message);
    if ((field & 7) != kLengthDelimited) {
      TakeVarint(message);
      continue;
    }
    const uint64_t size = TakeVarint(message);
    if (size > message.size()) Fail("a message cannot be read");
    absl::string_view value = message.substr(0, size);
    message.remove_prefix(size);
    if (field != kEventsField) continue;
    if (TakeVarint(value) != kSequenceField) Fail("an event without a sequence");
    const auto found = static_cast<int64_t>(TakeVarint(value));
    if (found != sequence + 1) Fail("event ", found, " came after event ", sequence);
    sequence = found;
  }
}

// Reads `events` events from the beginning. Returns how many came in a second.
double Replay(EventLoop& loop, uint16_t port, int64_t after, int64_t events) {
  RpcConnection connection(loop, port);
  v1::SubscribeRequest request;
  request.set_after_sequence(after);
  int64_t sequence = 0;
  bool ended = false;
  const int64_t begin = NowNs();
  connection.Start(
      "/agentdesk.v1.EventService/Subscribe", request,
      [&](absl::string_view message) { TakeEvents(message, sequence); },
      [&](int status) {
        if (status != 0 || sequence < events) Fail("the stream ended with status ", status);
        ended = true;
      });
  connection.Flush();
  loop.RunUntil([&] { return ended || sequence >= events; }, "replay of the log");
  return static_cast<double>(sequence) / (static_cast<double>(NowNs() - begin) / 1e9);
}

}  // namespace

void RunStream(const Options& options, EventLoop& loop, Report& report) {
  report.Begin("stream", absl::StrCat("one subscriber replays ", options.events, " stored events"));
  CoreSetting desk(options);
  FloorSetting floor(options, "agentdesk-rpc-floor");
  const int64_t head = Filler(loop, desk.core().port()).FillTo(options.events);
  // The events that were made last are still in the core's memory; after a start none is.
  desk.Restart(true);
  Samples over;
  Samples under;
  Samples over_cpu;
  Samples under_cpu;
  const auto measure = [&](Program& server, int64_t after, Samples& speed, Samples& cpu) {
    const double before = server.cpu_seconds();
    speed.Add(Replay(loop, server.port(), after, head));
    cpu.Add((server.cpu_seconds() - before) * 1e6 / static_cast<double>(head));
  };
  for (int i = 0; i < options.repeats; ++i) {
    measure(floor.program(), head, under, under_cpu);
    measure(desk.core(), 0, over, over_cpu);
  }
  report.Add("floor, events", "/s", under);
  report.Add("floor, server CPU an event", "us", under_cpu);
  report.Add("desk, events", "/s", over);
  report.Add("desk, server CPU an event", "us", over_cpu);
  report.Bar("events a second, of the floor's", Rule::kAtLeast, 10, Ratio(over, under));
}

}  // namespace agentdesk::bench
