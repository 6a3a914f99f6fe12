#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <vector>

#include "agentdesk/v1/event.grpc.pb.h"
#include "core_service/rpc/live_calls.h"
#include "core_service/rpc/server.h"
#include "grpcpp/create_channel.h"
#include "tests/support/desk_fixture.h"

namespace agentdesk::rpc {
namespace {

// Subscribe over a connection, on a clock that the test moves.
class SubscribeTest : public testing::DeskFixture {
 protected:
  void Serve() {
    ServerOptions options;
    options.listen = *Address::Parse("127.0.0.1:0");
    auto server = Server::Start(options, *desk_, metrics_, nullptr);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::EventService::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }

  using Reader = grpc::ClientReader<v1::SubscribeResponse>;

  // The next message, for which the clock goes on, tick by tick, until it has come. Slowly, since
  // who takes nothing for too long is cut off, and a busy machine takes its time.
  v1::SubscribeResponse ReadWhileTimeGoesOn(Reader& reader) {
    v1::SubscribeResponse response;
    auto read = std::async(std::launch::async, [&] { return reader.Read(&response); });
    while (read.wait_for(std::chrono::milliseconds(200)) != std::future_status::ready) {
      clock_.Advance(LiveCalls::kTick);
    }
    EXPECT_TRUE(read.get());
    return response;
  }

  Metrics metrics_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::EventService::Stub> stub_;
};

TEST_F(SubscribeTest, AReplayGoesOnWhileCallsThatReadTakeAllTheirThreads) {
  Create("Old");
  Restart();  // nothing is in the tail now
  Serve();
  std::promise<void> free = OccupyReaders();

  grpc::ClientContext context;
  v1::SubscribeRequest request;
  request.set_after_sequence(0);
  const auto reader = stub_->Subscribe(&context, request);
  v1::SubscribeResponse response;
  do {
    ASSERT_TRUE(reader->Read(&response));
  } while (response.events_size() == 0);
  EXPECT_EQ(response.events(0).ticket_created().ticket().ticket_name(), "Old");
  free.set_value();
  context.TryCancel();
  reader->Finish();
}

TEST_F(SubscribeTest, AStreamThatWaitsForItsSnapshotSaysThatItIsThere) {
  Create("Shown");
  Serve();
  std::promise<void> free;
  std::promise<void> busy;
  desk_->TakeSnapshot(desk::Caller{}, {}, [&](const auto&) {
    busy.set_value();
    free.get_future().wait();
  });
  busy.get_future().wait();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  v1::SubscribeRequest request;
  request.set_snapshot(true);
  const auto reader = stub_->Subscribe(&context, request);
  v1::SubscribeResponse response;
  for (int i = 0; i < 3; ++i) {
    if (i == 0) {
      ASSERT_TRUE(reader->Read(&response)) << "at once";
    } else {
      response = ReadWhileTimeGoesOn(*reader);
    }
    EXPECT_EQ(response.desk_id(), desk_->desk_id());
    EXPECT_TRUE(response.has_time());
    EXPECT_FALSE(response.has_snapshot());
    EXPECT_EQ(response.up_to_sequence(), 0);
  }
  free.set_value();
  while (!response.has_snapshot()) ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.up_to_sequence(), desk_->log().head());
  EXPECT_EQ(response.snapshot().tickets_size(), 1);
  context.TryCancel();
  reader->Finish();
}

}  // namespace
}  // namespace agentdesk::rpc
