// Real threads and sockets: shards that share a port, fed from another thread.

#include "ws_gateway/shard.h"

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_client.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gateway/gateway_fixture.h"
#include "ws_gateway/gateway_state.h"
#include "ws_gateway/http.h"

namespace agentdesk::gateway {
namespace {

using ::agentdesk::testing::IsOk;
using ::agentdesk::testing::kCloseFrame;
using ::agentdesk::testing::kPingFrame;
using ::agentdesk::testing::kTextFrame;
using ::agentdesk::testing::RawClient;
using ::agentdesk::testing::ReceivedFrame;
using ::agentdesk::testing::Value;
using ::testing::HasSubstr;

// The next frame beside those that tell a connection's position, which come whenever it was quiet.
std::optional<ReceivedFrame> NextFrame(RawClient& client) {
  std::optional<ReceivedFrame> frame = client.ReadFrame();
  while (frame.has_value() && absl::StrContains(frame->payload, R"("type":"position")")) {
    frame = client.ReadFrame();
  }
  return frame;
}

class ShardTest : public ::testing::Test {
 protected:
  // Starts `count` shards on one port of their own.
  void Start(size_t count) {
    ShardOptions options;
    options.origins = Value(OriginList::Parse({}));
    std::string address = "127.0.0.1:0";
    for (size_t i = 0; i < count; ++i) {
      shards_.push_back(
          std::make_unique<Shard>(options, *limits_, Clock::Real(), IdSource::Real(), metrics_));
      const absl::StatusOr<uint16_t> port = shards_.back()->Listen(address, count > 1);
      ASSERT_THAT(port, IsOk());
      port_ = *port;
      address = absl::StrCat("127.0.0.1:", port_);
    }
    for (const std::unique_ptr<Shard>& shard : shards_) {
      shard->Start(std::make_unique<FakeCommands>(), [this](Commands& commands, Hub& hub) {
        return std::make_unique<Http>(commands, hub, state_, web_, Value(OriginList::Parse({})),
                                      metrics_);
      });
    }
  }
  // What the subscription to the core does, from this thread.
  void Publish(const std::shared_ptr<const EventBlock>& block) {
    for (const std::unique_ptr<Shard>& shard : shards_) shard->Publish(block, absl::Now());
  }
  // A browser of the full protocol that has the first shard's desk from its beginning.
  std::unique_ptr<RawClient> Follow() {
    Publish(Block(0, {}));
    auto client = std::make_unique<RawClient>(port_);
    EXPECT_TRUE(client->Handshake("Sec-WebSocket-Protocol: agentdesk.v1\r\n"));
    EXPECT_THAT(client->ReadFrame()->payload, HasSubstr("hello"));
    client->SendFrame(kTextFrame, R"({"type":"subscribe","from":{"after":0}})");
    EXPECT_THAT(client->ReadFrame()->payload, HasSubstr("subscribed"));
    return client;
  }
  void Drain(absl::Duration spread = absl::Milliseconds(200)) {
    for (const std::unique_ptr<Shard>& shard : shards_) {
      shard->Drain(spread, spread + absl::Seconds(5));
    }
  }

  Metrics metrics_;
  GatewayState state_;
  WebFiles web_;
  uint16_t port_ = 0;
  std::optional<LoadLimits> limits_{std::in_place, LoadLimitOptions(), Clock::Real()};
  std::vector<std::unique_ptr<Shard>> shards_;
};

TEST_F(ShardTest, EveryBrowserGetsEveryEventOnceAndThenAGoodbye) {
  Start(2);
  constexpr int64_t kEvents = 2000;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(port_));
    ASSERT_TRUE(
        clients.back()->Handshake(i % 2 == 0 ? "" : "Sec-WebSocket-Protocol: agentdesk.v1\r\n"));
  }
  Publish(Block(0, {}));
  // Connected and known to the hub: it answers.
  for (size_t i = 0; i < clients.size(); ++i) {
    if (i % 2 == 1) {
      EXPECT_THAT(clients[i]->ReadFrame()->payload, HasSubstr("hello"));
      clients[i]->SendFrame(kTextFrame, R"({"type":"subscribe","from":{"after":0}})");
      EXPECT_THAT(clients[i]->ReadFrame()->payload, HasSubstr("subscribed"));
    } else {
      clients[i]->SendFrame(kTextFrame, R"({"type":"ping"})");
      EXPECT_THAT(clients[i]->ReadFrame()->payload, HasSubstr("pong"));
    }
  }
  std::thread core([this] {
    for (int64_t after = 0; after < kEvents; after += 4) {
      std::vector<v1::Event> events;
      for (int64_t i = 1; i <= 4; ++i)
        events.push_back(Message(after + i, absl::StrCat(after + i)));
      Publish(Block(after, events));
    }
  });
  for (const std::unique_ptr<RawClient>& client : clients) {
    for (int64_t sequence = 1; sequence <= kEvents; ++sequence) {
      const std::optional<ReceivedFrame> frame = NextFrame(*client);
      ASSERT_TRUE(frame.has_value());
      ASSERT_THAT(frame->payload, HasSubstr(absl::StrCat("\"content\":\"", sequence, "\"")));
    }
  }
  core.join();
  Drain();
  for (const std::unique_ptr<RawClient>& client : clients) {
    const std::optional<ReceivedFrame> frame = NextFrame(*client);
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->close_code(), 1012);
    client->SendFrame(frame->first_byte, frame->payload);
  }
  clients.clear();
  for (const std::unique_ptr<Shard>& shard : shards_) shard->Join();
}

// A block's bytes for streams are made by whichever shard needs them first.
TEST_F(ShardTest, EveryStreamGetsEveryEventOnce) {
  Start(2);
  constexpr int64_t kEvents = 500;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(port_));
    clients.back()->Send("GET /events?after=0 HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(clients.back()->WaitForInput(std::chrono::seconds(60)));
  }
  Publish(Block(0, {}));
  std::thread core([this] {
    for (int64_t after = 0; after < kEvents; after += 2) {
      Publish(Block(after, {Message(after + 1, "x"), Message(after + 2, "y")}));
    }
  });
  core.join();
  Drain();
  for (const std::unique_ptr<RawClient>& client : clients) {
    const std::string all = client->ReadAll();
    size_t found = 0;
    for (int64_t sequence = 1; sequence <= kEvents; ++sequence) {
      found = all.find(absl::StrCat("\nid: ", kDesk, ":", sequence, "\ndata: {"), found);
      ASSERT_NE(found, std::string::npos) << sequence;
    }
    EXPECT_THAT(all.substr(found), HasSubstr("\"type\":\"position\",\"up_to\":500,"));
  }
  clients.clear();
  for (const std::unique_ptr<Shard>& shard : shards_) shard->Join();
}

TEST_F(ShardTest, WhatHasComeIsSentTogetherAndBeforeAGap) {
  Start(1);
  const std::unique_ptr<RawClient> client = Follow();
  shards_[0]->Post([shard = shards_[0].get()] {
    shard->Publish(Block(0, {Message(1, "one")}), absl::Now());
    shard->Publish(Block(1, {Message(2, "two")}), absl::Now());
    shard->ReportGap({.reason = "log_was_reset", .desk_id = kDesk, .available_from = 0});
  });
  EXPECT_THAT(NextFrame(*client)->payload, HasSubstr(R"("content":"one")"));
  EXPECT_THAT(NextFrame(*client)->payload, HasSubstr(R"("content":"two")"));
  EXPECT_THAT(NextFrame(*client)->payload, HasSubstr(R"("type":"gap")"));
  EXPECT_THAT(metrics_.Text(), HasSubstr("agentdesk_fanout_seconds_count 1\n"));
}

// Else an event waits for thousands of sockets that have room again.
TEST_F(ShardTest, AnEventGoesBeforeAllElseThatWaitsForTheThread) {
  Start(1);
  const std::unique_ptr<RawClient> client = Follow();
  std::promise<std::string> metrics;
  shards_[0]->Post([&, shard = shards_[0].get()] {
    shard->Post([&] { metrics.set_value(metrics_.Text()); });
    shard->Publish(Block(0, {Message(1, "one")}), absl::Now());
  });
  EXPECT_THAT(metrics.get_future().get(), HasSubstr("agentdesk_fanout_seconds_count 1\n"));
  EXPECT_THAT(NextFrame(*client)->payload, HasSubstr(R"("content":"one")"));
}

// A request must not wait until an event has been written to ten thousand browsers.
TEST_F(ShardTest, WhatElseWaitsForTheThreadIsSeenToWhileAnEventGoesToMany) {
  Start(1);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (size_t i = 0; i < 3 * Hub::kStride; ++i) clients.push_back(Follow());
  std::promise<std::string> metrics;
  shards_[0]->Post([&, shard = shards_[0].get()] {
    shard->Publish(Block(0, {Message(1, "one")}), absl::Now());
    shard->Post([&] { metrics.set_value(metrics_.Text()); });
  });
  EXPECT_THAT(metrics.get_future().get(), HasSubstr("agentdesk_fanout_seconds_count 0\n"));
  for (const std::unique_ptr<RawClient>& client : clients) {
    EXPECT_THAT(NextFrame(*client)->payload, HasSubstr(R"("content":"one")"));
  }
}

TEST_F(ShardTest, WhatComesWhileAnEventGoesToManyIsNotForgotten) {
  Start(1);
  constexpr int64_t kEvents = 1000;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (size_t i = 0; i < 2 * Hub::kStride; ++i) clients.push_back(Follow());
  // As the subscription to the core does: the next is read when one before was taken.
  const auto credits = std::make_shared<std::counting_semaphore<>>(4);
  std::thread core([this, credits] {
    for (int64_t after = 0; after < kEvents; ++after) {
      if (!credits->try_acquire_for(std::chrono::seconds(60))) {
        ADD_FAILURE() << "nobody takes event " << after - 3;
        return;
      }
      shards_[0]->Publish(Block(after, {Message(after + 1, absl::StrCat(after + 1))}), absl::Now(),
                          std::shared_ptr<void>(nullptr, [credits](void*) { credits->release(); }));
    }
  });
  core.join();
  for (const std::unique_ptr<RawClient>& client : clients) {
    for (int64_t sequence = 1; sequence <= kEvents && !HasFailure(); ++sequence) {
      ASSERT_THAT(NextFrame(*client)->payload,
                  HasSubstr(absl::StrCat("\"content\":\"", sequence, "\"")));
    }
  }
}

// What a drain has published may have been due later; then others are being published perhaps.
TEST_F(ShardTest, WhatComesAfterADrainHasBegunIsSentOnceAndInOrder) {
  Start(1);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (size_t i = 0; i < 3 * Hub::kStride; ++i) clients.push_back(Follow());
  shards_[0]->Post([shard = shards_[0].get()] {
    shard->Publish(Block(0, {Message(1, "one")}), absl::Now());
    shard->Post([shard] {  // while the first one is being published
      shard->Publish(Block(1, {Message(2, "two")}), absl::Now());
      shard->Post([shard] { shard->Publish(Block(2, {Message(3, "three")}), absl::Now()); });
    });
    shard->Drain(absl::Hours(1), absl::Hours(2));
  });
  // One of those who are not among the first to be sent away.
  RawClient& client = *clients[Hub::kStride];
  for (const std::string content : {"one", "two", "three", "four"}) {
    if (content == "four") Publish(Block(3, {Message(4, content)}));
    const std::optional<ReceivedFrame> frame = NextFrame(client);
    ASSERT_TRUE(frame.has_value()) << content;
    EXPECT_THAT(frame->payload, HasSubstr(absl::StrCat("\"content\":\"", content)));
  }
}

// Else the subscription to the core, which waits for the slowest shard, stops for all of them.
TEST_F(ShardTest, AShardThatHasEndedKeepsNothingOfWhatComes) {
  Start(1);
  const auto taken = std::make_shared<int>();
  Drain(absl::ZeroDuration());
  shards_[0]->Join();
  for (int64_t after = 0; after < 3; ++after) {
    shards_[0]->Publish(Block(after, {Message(after + 1, "x")}), absl::Now(), taken);
  }
  EXPECT_EQ(taken.use_count(), 1);
}

TEST_F(ShardTest, WhatComesAfterAHoleIsNotJoinedToWhatWasBefore) {
  Start(1);
  const std::unique_ptr<RawClient> client = Follow();
  shards_[0]->Post([shard = shards_[0].get()] {
    shard->Publish(Block(0, {Message(1, "one")}), absl::Now());
    shard->Publish(Block(7, {Message(8, "eight")}), absl::Now());
  });
  EXPECT_THAT(NextFrame(*client)->payload, HasSubstr(R"("content":"one")"));
  EXPECT_THAT(client->ReadFrame()->payload, HasSubstr(R"("type":"position","up_to":1,)"));
  EXPECT_EQ(client->ReadFrame()->first_byte, kCloseFrame);
}

// A closed port says nothing to a page; a code does.
TEST_F(ShardTest, WhoComesDuringADrainIsToldToComeBack) {
  Start(1);
  Publish(Block(0, {}));
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<RawClient>(port_));
    ASSERT_TRUE(clients.back()->Handshake());
    clients.back()->SendFrame(kTextFrame, R"({"type":"ping"})");
    EXPECT_THAT(clients.back()->ReadFrame()->payload, HasSubstr("pong"));
  }
  state_.draining = true;
  Drain(absl::Seconds(8));

  RawClient late(port_);
  ASSERT_TRUE(late.Handshake("Sec-WebSocket-Protocol: agentdesk.v1\r\n"));
  const std::optional<ReceivedFrame> goodbye = late.ReadFrame();
  ASSERT_TRUE(goodbye.has_value());
  EXPECT_EQ(goodbye->close_code(), 1012);
  RawClient probe(port_);
  probe.Send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(probe.ReadResponse().status, 503);
  RawClient stream(port_);
  stream.Send("GET /events?after=0 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(stream.ReadAll(), HasSubstr("retry: "));

  for (const std::unique_ptr<RawClient>& client : clients) {
    EXPECT_EQ(client->ReadFrame()->close_code(), 1012);
  }
  clients.clear();
  for (const std::unique_ptr<Shard>& shard : shards_) shard->Join();
  EXPECT_FALSE(RawClient(port_).Handshake());
}

TEST_F(ShardTest, PingsAreMessagesForTheLimits) {
  limits_.emplace(LoadLimitOptions{.messages_per_second = 10}, Clock::Real());
  Start(1);
  Publish(Block(0, {}));
  RawClient client(port_);
  ASSERT_TRUE(client.Handshake());
  for (int i = 0; i < 1000; ++i) client.SendFrame(kPingFrame, "");
  std::optional<ReceivedFrame> frame = client.ReadFrame();
  bool refused = false;
  while (frame.has_value() && frame->opcode() != 8) {
    refused = refused || absl::StrContains(frame->payload, "rate_limited");
    frame = client.ReadFrame();
  }
  EXPECT_TRUE(refused);
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->close_code(), 4429);
}

TEST_F(ShardTest, RefusesForeignOriginsAndOtherPathsBeforeTheUpgrade) {
  Start(1);
  const auto status = [this](const std::string& path, const std::string& headers) {
    RawClient client(port_);
    client.Send(absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: 127.0.0.1:", port_,
                             "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                             "Sec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                             headers, "\r\n"));
    return client.ReadResponse().status;
  };
  EXPECT_EQ(status("/ws?live=1", ""), 101);
  EXPECT_EQ(status("/ws", absl::StrCat("Origin: http://127.0.0.1:", port_, "\r\n")), 101);
  EXPECT_EQ(status("/ws", "Origin: http://evil.example\r\n"), 403);
  EXPECT_EQ(status("/ws/", ""), 404);
  EXPECT_EQ(status("/", ""), 404);
}

TEST_F(ShardTest, EndsWithBrowsersAndRequestsUnderWay) {
  Start(2);
  Publish(Block(0, {}));
  RawClient browser(port_);
  ASSERT_TRUE(browser.Handshake());
  browser.SendFrame(kTextFrame, absl::StrCat(R"({"type":"user_response","session_id":")", kSession,
                                             R"(","response":"x"})"));
  RawClient waiting(port_);
  waiting.Send(absl::StrCat("GET /tickets/", kTicket, " HTTP/1.1\r\nHost: x\r\n\r\n"));
  browser.SendFrame(kTextFrame, R"({"type":"ping"})");
  EXPECT_THAT(browser.ReadFrame()->payload, HasSubstr("pong"));
  shards_.clear();
  EXPECT_NE(browser.ReadToEnd(), ::agentdesk::testing::Ending::kTimedOut);
}

}  // namespace
}  // namespace agentdesk::gateway
