#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/abuser.h"
#include "tools/agentdesk-bench/failure.h"
#include "tools/agentdesk-bench/load.h"
#include "tools/agentdesk-bench/runs.h"

namespace agentdesk::bench {
namespace {

constexpr int kDrips = 500;
constexpr int kFlooders = 10;
constexpr double kConnectsPerSecond = 1000;
constexpr size_t kLargeMessage = 64 * 1024;
constexpr int kSmallMessagesAtOnce = 64;
// What any abuse may cost the gateway beyond its memory in quiet times.
constexpr double kMaxMoreMib = 256;
// For an abuse to get under way.
constexpr double kSettleSeconds = 0.5;

constexpr absl::string_view kHandshake =
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

// A client's text frame, masked with zeros (RFC 6455 section 5.2); `first` is its first byte.
std::string Frame(absl::string_view text, char first = '\x81') {
  std::string frame(1, first);
  const size_t size = text.size();
  if (size < 126) {
    frame.push_back(static_cast<char>(0x80 | size));
  } else {
    frame.push_back(static_cast<char>(size < 65536 ? 0x80 | 126 : 0x80 | 127));
    for (int shift = size < 65536 ? 8 : 56; shift >= 0; shift -= 8) {
      frame.push_back(static_cast<char>(size >> shift & 0xff));
    }
  }
  return absl::StrCat(frame, std::string(4, '\0'), text);
}

std::vector<Manner> Manners(const Options& options) {
  const std::string hello = absl::StrCat(kHandshake, "\r\n");
  std::string pings;
  for (int i = 0; i < kSmallMessagesAtOnce; ++i) pings += Frame(R"({"type":"ping"})");
  const std::string large =
      Frame(absl::StrCat(R"({"type":"ping","x":")", std::string(kLargeMessage - 24, 'x'), "\"}"));
  return {{.name = absl::StrCat(options.half_open, " half-open handshakes"),
           .connections = options.half_open,
           .hello = std::string(kHandshake)},
          {.name = absl::StrCat(kDrips, " requests of a byte a second"),
           .connections = kDrips,
           .hello = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
           .repeat = "a",
           .every_ns = 1'000'000'000},
          {.name = absl::StrCat(kFlooders, " clients that send as fast as they can"),
           .connections = kFlooders,
           .hello = hello,
           .repeat = pings},
          {.name = absl::StrCat(kFlooders, " clients that send messages of 64 KiB"),
           .connections = kFlooders,
           .hello = hello,
           .repeat = large},
          {.name = absl::StrCat(kConnectsPerSecond, " connects a second"),
           .hello = hello,
           .new_per_second = kConnectsPerSecond}};
}

// A client that offers compression, and then sends what would be a compressed message.
class CompressingClient final : public Watcher {
 public:
  CompressingClient(EventLoop& loop, uint16_t port) : loop_(loop), socket_(StartConnecting(port)) {
    loop_.Watch(socket_.get(), EPOLLOUT, *this);
  }

  void MustBeRefused() {
    loop_.RunUntil([this] { return connected_; }, "connection of one that offers compression");
    loop_.Change(socket_.get(), EPOLLIN, *this);
    Send(absl::StrCat(kHandshake, "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
    loop_.RunUntil([this] { return absl::StrContains(input_, "\r\n\r\n"); }, "its handshake");
    if (!absl::StartsWith(input_, "HTTP/1.1 101 ") ||
        absl::StrContains(absl::AsciiStrToLower(input_), "sec-websocket-extensions")) {
      Fail("compression was offered, and the answer was: ", input_);
    }
    input_.clear();
    Send(Frame("compressed", '\xc1'));
    loop_.RunUntil([this] { return over_; }, "close of one that compresses");
    // A close frame with 1002 (RFC 6455 section 7.4.1).
    if (!absl::StartsWith(input_, "\x88") || !absl::StrContains(input_, "\x03\xea")) {
      Fail("a compressed message was not closed with 1002");
    }
  }

  void OnReady(uint32_t /*events*/) override {
    if (!connected_) {
      CheckConnected(socket_.get());
      connected_ = true;
      return;
    }
    std::array<char, 4096> bytes;
    const ssize_t size = recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size > 0) input_.append(bytes.data(), static_cast<size_t>(size));
    if (size <= 0 || absl::StartsWith(input_, "\x88")) over_ = true;
  }

 private:
  void Send(absl::string_view bytes) {
    const ssize_t sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size())) FailErrno("one that compresses sends");
  }

  EventLoop& loop_;
  const Descriptor socket_;
  bool connected_ = false;
  bool over_ = false;
  std::string input_;
};

struct Delays {
  Samples p50;
  Samples p99;
};

void Measure(PacedLoad& load, double seconds, Delays& delays) {
  load.RunFor(seconds);
  const Histogram histogram = load.TakeDelays();
  delays.p50.Add(histogram.QuantileSeconds(0.5) * 1e3);
  delays.p99.Add(histogram.QuantileSeconds(0.99) * 1e3);
}

double Mib(const Program& program) {
  return static_cast<double>(program.memory_bytes()) / (1 << 20);
}

// The well-behaved beside one who is not. Whatever befalls them fails the run.
void MeasureBeside(const Manner& manner, const Options& options, EventLoop& loop, DeskSetting& desk,
                   PacedLoad& load, Report& report) {
  const uint16_t port = desk.gateway().port();
  Delays quiet;
  Delays beside;
  Samples more_mib;
  int64_t done = 0;
  int64_t ended = 0;
  for (int i = 0; i < options.repeats; ++i) {
    const double before = Mib(desk.gateway());
    Measure(load, options.seconds, quiet);
    Abuser abuser(manner, port);
    const Abuser::Deeds& deeds = abuser.deeds();
    loop.RunUntil(
        [&] {
          abuser.MustLive();
          return deeds.connected >= manner.connections && abuser.done() > 0;
        },
        manner.name);
    loop.RunFor(kSettleSeconds);
    Measure(load, options.seconds, beside);
    abuser.MustLive();
    more_mib.Add(Mib(desk.gateway()) - before);
    // Who comes new is let in as well.
    BrowserGroup(loop, {.port = port, .count = 1}).Connect();
    done += abuser.done();
    ended += deeds.ended;
  }
  if (more_mib.High() > kMaxMoreMib) {
    Fail(manner.name, ": the gateway's memory grew by ", more_mib.High(), " MiB");
  }
  report.Add(absl::StrCat(manner.name, ": quiet, p50"), "ms", quiet.p50);
  report.Add(absl::StrCat(manner.name, ": beside, p50"), "ms", beside.p50);
  report.Add(absl::StrCat(manner.name, ": quiet, p99"), "ms", quiet.p99);
  report.Add(absl::StrCat(manner.name, ": beside, p99"), "ms", beside.p99);
  report.Add(absl::StrCat(manner.name, ": more memory of the gateway"), "MiB", more_mib);
  report.Note(absl::StrCat(manner.name, ": ", done, " ",
                           manner.repeat.empty() ? "connections" : "sends", ", and ", ended,
                           " connections ended by the gateway"));
  report.Bar(absl::StrCat(manner.name, ": p50, of the quiet one's"), Rule::kAtMost, 2,
             Ratio(beside.p50, quiet.p50));
  report.Bar(absl::StrCat(manner.name, ": p99, of the quiet one's"), Rule::kAtMost, 2,
             Ratio(beside.p99, quiet.p99));
}

}  // namespace

void RunAbuse(const Options& options, EventLoop& loop, Report& report) {
  const int clients = std::max(1, options.clients / 10);
  const double rate = std::max(1.0, options.rate / 4.0);
  report.Begin("abuse", absl::StrCat("the delay to each of ", clients, " browsers, ", rate,
                                     " tickets a second, beside somebody who floods the gateway, "
                                     "with the limits that it has out of the box"));
  DeskSetting desk(options, DeskSetting::Limits::kDefault);
  BrowserGroup browsers(loop, {.port = desk.gateway().port(),
                               .count = clients,
                               .connecting = options.connecting,
                               .kernel_time = true});
  browsers.Connect();
  PacedLoad load(loop, desk.gateway().port(), browsers, rate, clients);
  Delays warm;
  Measure(load, options.seconds, warm);
  CompressingClient(loop, desk.gateway().port()).MustBeRefused();
  report.Note("compression that was offered was refused, and a message that claims it closed");
  for (const Manner& manner : Manners(options)) {
    MeasureBeside(manner, options, loop, desk, load, report);
  }
}

}  // namespace agentdesk::bench
