// How WebSockets end, and what keeps slow, dead and surplus peers from harming the others.

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/raw_client.h"
#include "tests/support/transport_server.h"
#include "ws_gateway/address_limit.h"

namespace agentdesk::testing {
namespace {

using gateway::Frames;
using gateway::MakeFrame;
using gateway::Socket;
using gateway::Transport;
using std::chrono::milliseconds;

constexpr int kSmallBuffer = 4096;

std::string NumberedPayload(int64_t number, size_t size) {
  std::string payload = absl::StrCat(number, ":");
  payload.resize(size, 'x');
  return payload;
}

// A frame of a known size that tells its place.
Frames NumberedFrame(int64_t number, size_t size = 1000) {
  return MakeFrame(NumberedPayload(number, size));
}

int64_t NumberOf(const ReceivedFrame& frame) { return std::stoll(frame.payload); }

// Limits that a test meets soon. What a test does not ask for stays far away.
gateway::TransportOptions QuickOptions() {
  gateway::TransportOptions options;
  options.send_buffer_bytes = kSmallBuffer;
  options.close_timeout = milliseconds(200);
  return options;
}

// Larger than what the kernel takes for one socket, so that frames are written in parts.
constexpr size_t kLargeFrame = 50 * 1000;

// Sends numbered frames to the only socket until the transport closes it; returns how many.
int64_t SendUntilClosed(TransportServer& server) {
  int64_t sent = 0;
  server.Run([&](Transport&) {
    Socket& socket = *server.sockets().at(0);
    // Once it is closing, Send does nothing and the queue no longer grows.
    size_t before = 0;
    do {
      before = socket.queued_bytes();
      socket.Send(NumberedFrame(++sent, kLargeFrame));
    } while (sent < 10 || socket.queued_bytes() > before);
  });
  return sent;
}

TEST(TransportSocketTest, SlowReaderThatReadsOnMeetsWholeFramesAndTheReason) {
  gateway::TransportOptions options = QuickOptions();
  options.close_timeout = std::chrono::seconds(10);
  options.max_queued_bytes = 1000 * 1000;
  TransportServer server(options);
  RawClient client(server.port(), kSmallBuffer);
  ASSERT_TRUE(client.Handshake());
  ASSERT_TRUE(server.WaitForSockets(1));
  const int64_t sent = SendUntilClosed(server);

  int64_t received = 0;
  std::optional<ReceivedFrame> frame = client.ReadFrame();
  for (; frame && frame->first_byte == kTextFrame; frame = client.ReadFrame()) {
    EXPECT_EQ(NumberOf(*frame), ++received);
    EXPECT_EQ(frame->payload.size(), kLargeFrame);
  }
  EXPECT_GT(received, 0);
  EXPECT_LT(received, sent) << "what was queued is dropped";
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->close_code(), 4430);
  client.SendFrame(kCloseFrame, frame->payload);
  EXPECT_EQ(client.ReadToEnd(), Ending::kClosed);
  EXPECT_EQ(server.WaitForClosed(), 4430);
}

TEST(TransportSocketTest, SlowReaderThatDoesNotReadIsReset) {
  gateway::TransportOptions options = QuickOptions();
  options.max_queued_bytes = 100 * 1000;
  TransportServer server(options);
  RawClient client(server.port(), kSmallBuffer);
  ASSERT_TRUE(client.Handshake());
  ASSERT_TRUE(server.WaitForSockets(1));
  SendUntilClosed(server);
  EXPECT_TRUE(client.WaitForReset());
  EXPECT_EQ(server.WaitForClosed(), 4430);
  EXPECT_TRUE(server.WaitUntil([](Transport& t) { return t.connections() == 0; }));
}

TEST(TransportSocketTest, BytesThatWaitTooLongCloseTheSocket) {
  gateway::TransportOptions options = QuickOptions();
  options.max_queued_bytes = 64 << 20;
  options.max_queue_age = milliseconds(100);
  TransportServer server(options);
  RawClient client(server.port(), kSmallBuffer);
  ASSERT_TRUE(client.Handshake());
  ASSERT_TRUE(server.WaitForSockets(1));
  server.Run([&](Transport&) { server.sockets()[0]->Send(NumberedFrame(1, 1 << 20)); });
  // It goes on sending, which proves nothing about its reading.
  client.SendFrame(kTextFrame, "still here");
  EXPECT_EQ(server.WaitForClosed(), 4430);
  EXPECT_TRUE(client.WaitForReset());
}

TEST(TransportSocketTest, PositionMovesOnlyAsTheKernelTakesTheBytes) {
  TransportServer server(QuickOptions());
  RawClient client(server.port(), kSmallBuffer);
  ASSERT_TRUE(client.Handshake());
  ASSERT_TRUE(server.WaitForSockets(1));
  constexpr int64_t kFrames = 500;
  server.Run([&](Transport&) {
    Socket& socket = *server.sockets()[0];
    EXPECT_TRUE(socket.Send(NumberedFrame(1), 1)) << "an idle socket is written to at once";
    EXPECT_EQ(socket.written_mark(), 1);
    EXPECT_EQ(socket.queued_bytes(), 0u);
    bool all = true;
    for (int64_t number = 2; number <= kFrames; ++number) {
      all = socket.Send(NumberedFrame(number), number);
    }
    EXPECT_FALSE(all);
    EXPECT_LT(socket.written_mark(), kFrames);
    EXPECT_GT(socket.queued_bytes(), 0u);
    EXPECT_EQ(server.drained(), 0);
  });
  for (int64_t number = 1; number <= kFrames; ++number) {
    const auto frame = client.ReadFrame();
    ASSERT_TRUE(frame);
    EXPECT_EQ(NumberOf(*frame), number);
  }
  EXPECT_TRUE(server.WaitUntil([&](Transport&) {
    return server.drained() == 1 && server.sockets()[0]->written_mark() == kFrames;
  }));
}

// Whoever is behind takes turns at catching up, and what is new goes between two of them.
TEST(TransportSocketTest, ARequestDoesNotWaitForAllThatHaveRoomAgain) {
  constexpr size_t kSlow = 20;
  TransportServer* served = nullptr;
  size_t drained_before_request = 0;
  TransportServer server(QuickOptions(),
                         {.on_open = {},
                          .on_text = {},
                          .on_request =
                              [&](const gateway::HttpRequest&, gateway::Responder respond) {
                                drained_before_request = static_cast<size_t>(served->drained());
                                respond({});
                              },
                          .on_upgrade = {}});
  served = &server;
  RawClient asking(server.port());
  asking.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(asking.ReadResponse().status, 200);
  std::vector<std::unique_ptr<RawClient>> slow;
  for (size_t i = 1; i <= kSlow; ++i) {
    slow.push_back(std::make_unique<RawClient>(server.port(), kSmallBuffer));
    ASSERT_TRUE(slow.back()->Handshake());
    ASSERT_TRUE(server.WaitForSockets(i));
  }
  // While the transport's thread is held here, all of them get room again, and then the request
  // comes.
  server.Run([&](Transport&) {
    for (size_t i = 0; i < kSlow; ++i) {
      Socket& socket = *server.sockets()[i];
      int64_t sent = 0;
      while (socket.queued_bytes() == 0) socket.Send(NumberedFrame(++sent));
      for (int64_t number = 1; number < sent; ++number) EXPECT_TRUE(slow[i]->ReadFrame());
    }
    asking.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  });
  EXPECT_EQ(asking.ReadResponse().status, 200);
  EXPECT_TRUE(server.WaitUntil([&](Transport&) { return server.drained() == int{kSlow}; }));
  EXPECT_LT(drained_before_request, kSlow / 2);
}

// Beast writes pongs by itself. They must never land within a frame of the hub's.
TEST(TransportSocketTest, PongsAndBroadcastsNeverMix) {
  gateway::TransportOptions options = QuickOptions();
  options.max_queued_bytes = 64 << 20;
  TransportServer server(options);
  RawClient client(server.port());
  ASSERT_TRUE(client.Handshake());
  ASSERT_TRUE(server.WaitForSockets(1));
  constexpr int kPings = 2000;
  constexpr int64_t kFrames = 2000;
  const auto size_of = [](int64_t number) { return number % 10 == 0 ? kLargeFrame : 300; };
  std::thread pinging([&] {
    for (int i = 0; i < kPings; ++i) client.SendFrame(kPingFrame, absl::StrCat("ping ", i));
  });
  std::thread publishing([&] {
    for (int64_t number = 1; number <= kFrames;) {
      server.Run([&](Transport&) {
        for (int i = 0; i < 50; ++i, ++number) {
          for (Socket* const socket : server.sockets()) {
            socket->Send(NumberedFrame(number, size_of(number)));
          }
        }
      });
    }
  });
  int pongs = 0;
  int64_t texts = 0;
  bool whole = true;
  while (whole && (pongs < kPings || texts < kFrames)) {
    const auto frame = client.ReadFrame();
    if (frame && frame->first_byte == kPongFrame) {
      whole = frame->payload == absl::StrCat("ping ", pongs++);
    } else if (frame && frame->first_byte == kTextFrame) {
      ++texts;
      whole = frame->payload == NumberedPayload(texts, size_of(texts));
    } else {
      whole = false;
    }
  }
  EXPECT_TRUE(whole) << "after " << texts << " texts and " << pongs << " pongs";
  // Where that failed, the threads are not left waiting.
  client.HalfClose();
  pinging.join();
  publishing.join();
}

TEST(TransportSocketTest, PingingWithoutReadingIsBoundedToo) {
  gateway::TransportOptions options = QuickOptions();
  options.max_queued_bytes = 100 * 1000;
  TransportServer server(options);
  RawClient client(server.port(), kSmallBuffer);
  ASSERT_TRUE(client.Handshake());
  std::string pings;
  for (int i = 0; i < 100; ++i) pings += ClientFrame(kPingFrame, "");
  while (client.Send(pings)) {
  }
  EXPECT_EQ(server.WaitForClosed(), 4430);
}

TEST(TransportSocketTest, CloseComesAfterWhatIsQueued) {
  TransportServer::Hooks hooks;
  hooks.on_text = [](Socket& socket, absl::string_view) {
    for (int64_t number = 1; number <= 500; ++number) socket.Send(NumberedFrame(number));
    socket.Close(1012, "restart", false);
    socket.Close(1000, "ignored", false);
    socket.Send(NumberedFrame(501));
  };
  gateway::TransportOptions options = QuickOptions();
  options.close_timeout = std::chrono::seconds(10);
  TransportServer server(options, hooks);
  RawClient client(server.port(), kSmallBuffer);
  ASSERT_TRUE(client.Handshake());
  client.SendFrame(kTextFrame, "go");
  for (int64_t number = 1; number <= 500; ++number) {
    const auto frame = client.ReadFrame();
    ASSERT_TRUE(frame);
    ASSERT_EQ(NumberOf(*frame), number);
  }
  const auto close = client.ReadFrame();
  ASSERT_TRUE(close);
  EXPECT_EQ(close->close_code(), 1012);
  EXPECT_EQ(close->close_reason(), "restart");
  // A ping and a text that cross the close are not answered.
  client.SendFrame(kPingFrame, "crossing");
  client.SendFrame(kTextFrame, "crossing");
  client.SendFrame(kCloseFrame, ClosePayload(1012));
  EXPECT_FALSE(client.ReadFrame());
  EXPECT_EQ(client.ending(), Ending::kClosed);
  EXPECT_EQ(server.WaitForClosed(), 1012);
}

TEST(TransportSocketTest, CloseThatIsNotAnsweredEndsAnyway) {
  TransportServer::Hooks hooks;
  hooks.on_open = [](Socket& socket) { socket.Close(4401, "log in", true); };
  TransportServer server(QuickOptions(), hooks);
  RawClient client(server.port());
  ASSERT_TRUE(client.Handshake());
  const auto close = client.ReadFrame();
  ASSERT_TRUE(close);
  EXPECT_EQ(close->close_code(), 4401);
  EXPECT_EQ(client.ReadToEnd(), Ending::kReset);
  EXPECT_EQ(server.WaitForClosed(), 4401);
}

TEST(TransportSocketTest, WhoGoesOnSendingAfterACloseIsHardlyReadAnyMore) {
  gateway::TransportOptions options;
  options.close_timeout = milliseconds(1000);
  TransportServer::Hooks hooks;
  hooks.on_open = [](Socket& socket) { socket.Close(4429, "too many messages", false); };
  TransportServer server(options, hooks);
  RawClient client(server.port());
  ASSERT_TRUE(client.Handshake());
  const auto close = client.ReadFrame();
  ASSERT_TRUE(close);
  EXPECT_EQ(close->close_code(), 4429);
  const std::string text(4096, 'x');
  size_t taken = 0;
  while (client.SendFrame(kTextFrame, text)) taken += text.size();
  EXPECT_EQ(server.WaitForClosed(), 4429);
  // A megabyte in a second, and what the kernel's buffers hold.
  EXPECT_LT(taken, size_t{24} << 20);
}

TEST(TransportSocketTest, CloseOfTheClientIsReported) {
  TransportServer server;
  for (const int code : {1000, 1001, 4000}) {
    RawClient client(server.port());
    ASSERT_TRUE(client.Handshake());
    client.SendFrame(kCloseFrame, ClosePayload(code));
    EXPECT_EQ(server.WaitForClosed(), code);
  }
  RawClient without_code(server.port());
  ASSERT_TRUE(without_code.Handshake());
  without_code.SendFrame(kCloseFrame, "");
  EXPECT_EQ(server.WaitForClosed(), 1005);
  RawClient without_close(server.port());
  ASSERT_TRUE(without_close.Handshake());
  without_close.HalfClose();
  EXPECT_EQ(server.WaitForClosed(), 1006);
  RawClient aborted(server.port());
  ASSERT_TRUE(aborted.Handshake());
  ASSERT_TRUE(server.WaitForSockets(1));
  aborted.Abort();
  EXPECT_EQ(server.WaitForClosed(), 1006);
}

TEST(TransportSocketTest, SendingToALostPeerEndsOnceAndNotWithinSend) {
  TransportServer server;
  RawClient client(server.port());
  ASSERT_TRUE(client.Handshake());
  ASSERT_TRUE(server.WaitForSockets(1));
  server.Run([&](Transport&) {
    Socket& socket = *server.sockets()[0];
    client.Abort();
    for (int64_t number = 1; number <= 1000; ++number) socket.Send(NumberedFrame(number));
    EXPECT_EQ(server.sockets().size(), 1u) << "OnClosed came within Send";
    socket.Close(1000, "too late", false);
  });
  EXPECT_EQ(server.WaitForClosed(), 1006);
  EXPECT_TRUE(server.WaitUntil([](Transport& t) { return t.connections() == 0; }));
}

TEST(TransportSocketTest, PeerThatDoesNotAnswerPingsIsDropped) {
  gateway::TransportOptions options = QuickOptions();
  options.ping_interval = milliseconds(40);
  options.pong_timeout = milliseconds(200);
  TransportServer hasty(options);
  RawClient silent(hasty.port());
  ASSERT_TRUE(silent.Handshake());
  ASSERT_EQ(hasty.WaitForClosed(), 1006);
  EXPECT_EQ(silent.ReadToEnd(), Ending::kReset);

  // Time enough for a pong on a busy machine, and less than all of this takes.
  options.ping_interval = milliseconds(400);
  options.pong_timeout = milliseconds(3000);
  TransportServer server(options);
  RawClient answering(server.port());
  ASSERT_TRUE(answering.Handshake());
  for (int i = 0; i < 10; ++i) {
    const auto ping = answering.ReadFrame();
    ASSERT_TRUE(ping);
    ASSERT_EQ(ping->first_byte, kPingFrame);
    ASSERT_TRUE(answering.SendFrame(kPongFrame, ping->payload));
  }
  server.Run([](Transport& transport) { EXPECT_EQ(transport.connections(), 1u); });
}

TEST(TransportSocketTest, AMessageHasToEndInTime) {
  gateway::TransportOptions options = QuickOptions();
  options.message_timeout = milliseconds(300);
  TransportServer server(options);
  constexpr uint8_t kUnfinishedText = 0x01;
  constexpr uint8_t kRestOfIt = 0x80;
  RawClient client(server.port());
  ASSERT_TRUE(client.Handshake());
  // Messages of which each ends in time may go on for longer than that.
  const auto began = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - began < 3 * options.message_timeout) {
    ASSERT_TRUE(client.SendFrame(kUnfinishedText, "a"));
    ASSERT_TRUE(client.SendFrame(kPingFrame, ""));
    ASSERT_EQ(client.ReadFrame()->first_byte, kPongFrame);
    ASSERT_TRUE(client.SendFrame(kRestOfIt, "b"));
    ASSERT_EQ(client.ReadFrame()->payload, "ab");
  }
  ASSERT_TRUE(client.SendFrame(kUnfinishedText, "a"));
  const auto close = client.ReadFrame();
  ASSERT_TRUE(close);
  EXPECT_EQ(close->close_code(), 4429);
  EXPECT_EQ(close->close_reason(), "a message may take 300 ms to arrive, retry in 5 s");
}

TEST(TransportSocketTest, SurplusConnectionsAreToldSo) {
  gateway::TransportOptions options = QuickOptions();
  options.max_connections = 2;
  TransportServer server(options);
  RawClient first(server.port());
  RawClient second(server.port());
  ASSERT_TRUE(first.Handshake());
  ASSERT_TRUE(second.Handshake());

  RawClient socket(server.port());
  ASSERT_TRUE(socket.Handshake("Sec-WebSocket-Protocol: agentdesk.v1\r\n"));
  const auto close = socket.ReadFrame();
  ASSERT_TRUE(close);
  EXPECT_EQ(close->close_code(), 1013);
  EXPECT_EQ(close->close_reason(), "too many connections, retry in 5 s");
  RawClient request(server.port());
  request.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const ReceivedResponse response = request.ReadResponse();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.Header("Retry-After"), "5");

  // However many come, those beyond are not kept.
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 40; ++i) crowd.push_back(std::make_unique<RawClient>(server.port()));
  EXPECT_EQ(crowd.back()->ReadResponse().status, 503);
  server.Run([&](Transport& transport) {
    EXPECT_LE(transport.connections(), 18u);
    EXPECT_GE(server.refused().size(), 24u) << "the two above, and of the crowd all but 18";
    for (const gateway::Refusal why : server.refused()) {
      EXPECT_EQ(why, gateway::Refusal::kConnections);
    }
  });
  crowd.clear();

  first.SendFrame(kCloseFrame, ClosePayload(1000));
  EXPECT_EQ(first.ReadFrame()->close_code(), 1000);
  first.Abort();
  EXPECT_TRUE(server.WaitUntil([](Transport& t) { return t.connections() == 1; }));
  RawClient third(server.port());
  ASSERT_TRUE(third.Handshake());
  third.SendFrame(kTextFrame, "hello");
  EXPECT_EQ(third.ReadFrame()->payload, "hello");
}

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr char kCrowded[] = "127.0.0.7";

int StatusFor(TransportServer& server, const std::string& from) {
  RawClient client(server.port(), 0, from);
  client.Send(kGet);
  return client.ReadResponse().status;
}

TEST(TransportSocketTest, AnAddressHasSoManyConnectionsOfAnyKind) {
  gateway::AddressLimit addresses(2);
  gateway::TransportOptions options = QuickOptions();
  options.addresses = &addresses;
  // As the shards of a gateway do, two share the limit.
  TransportServer server(options);
  TransportServer other(options);
  RawClient socket(server.port(), 0, kCrowded);
  ASSERT_TRUE(socket.Handshake());
  auto kept_alive = std::make_unique<RawClient>(other.port(), 0, kCrowded);
  kept_alive->Send(kGet);
  ASSERT_EQ(kept_alive->ReadResponse().status, 200);

  RawClient request(server.port(), 0, kCrowded);
  request.Send(kGet);
  const ReceivedResponse response = request.ReadResponse();
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.Header("Retry-After"), "30");
  EXPECT_EQ(response.body, R"({"error":{"code":"too_many_connections",)"
                           R"("message":"there are too many connections of this address"}})");
  EXPECT_EQ(request.ReadToEnd(), Ending::kClosed);
  RawClient surplus(other.port(), 0, kCrowded);
  ASSERT_TRUE(surplus.Handshake("Sec-WebSocket-Protocol: agentdesk.v1\r\n"));
  const auto close = surplus.ReadFrame();
  ASSERT_TRUE(close);
  EXPECT_EQ(close->close_code(), 4429);
  EXPECT_EQ(close->close_reason(), "too many connections of this address, retry in 30 s");
  EXPECT_EQ(StatusFor(server, "127.0.0.8"), 200);
  // Those that are in stay in.
  kept_alive->Send(kGet);
  EXPECT_EQ(kept_alive->ReadResponse().status, 200);
  socket.SendFrame(kTextFrame, "hello");
  EXPECT_EQ(socket.ReadFrame()->payload, "hello");
  for (TransportServer* each : {&server, &other}) {
    each->Run([&](Transport&) {
      EXPECT_EQ(each->refused(), std::vector{gateway::Refusal::kConnectionsOfAddress});
    });
  }

  kept_alive = nullptr;
  surplus.Abort();
  EXPECT_TRUE(other.WaitUntil([](Transport& t) { return t.connections() == 0; }));
  EXPECT_EQ(StatusFor(server, kCrowded), 200) << "a place that was given back";
}

TEST(TransportSocketTest, AnAddressThatSaysNothingKeepsNobodyOut) {
  gateway::AddressLimit addresses(2);
  gateway::TransportOptions options = QuickOptions();
  options.addresses = &addresses;
  options.max_connections = 30;
  TransportServer server(options);
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 60; ++i) {
    silent.push_back(std::make_unique<RawClient>(server.port(), 0, kCrowded));
  }
  const ReceivedResponse refusal = silent.back()->ReadResponse();
  EXPECT_EQ(refusal.status, 429) << "without having asked for anything";
  EXPECT_EQ(refusal.Header("Retry-After"), "30");
  server.Run([&](Transport& transport) {
    EXPECT_EQ(transport.connections(), 18u);
    EXPECT_EQ(server.refused(), std::vector(42, gateway::Refusal::kConnectionsOfAddress));
  });
  EXPECT_EQ(StatusFor(server, "127.0.0.8"), 200);
  // Nor do they use up what their own address may have.
  silent.front()->Send(kGet);
  EXPECT_EQ(silent.front()->ReadResponse().status, 200);
  silent.clear();
  EXPECT_TRUE(server.WaitUntil([](Transport& t) { return t.connections() == 0; }));
  EXPECT_EQ(StatusFor(server, kCrowded), 200);
}

TEST(TransportSocketTest, DestructionClosesEverySocketOnce) {
  TransportServer server;
  RawClient open(server.port());
  RawClient closing(server.port());
  RawClient handshaking(server.port());
  RawClient requesting(server.port());
  ASSERT_TRUE(open.Handshake());
  ASSERT_TRUE(closing.Handshake());
  ASSERT_TRUE(server.WaitForSockets(2));
  server.Run([&](Transport&) { server.sockets()[1]->Close(1012, "restart", false); });
  handshaking.Send("GET /ws HTTP/1.1\r\nHost");
  requesting.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  ASSERT_TRUE(server.WaitUntil([](Transport& t) { return t.connections() == 4; }));
  server.Shutdown();
  EXPECT_EQ(server.closed_count(), 2u);
  EXPECT_TRUE(server.sockets().empty());
}

}  // namespace
}  // namespace agentdesk::testing
