#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agentdesk/v1/event.grpc.pb.h"
#include "core_service/rpc/live_calls.h"
#include "core_service/rpc/server.h"
#include "core_service/rpc/stream_call.h"
#include "grpcpp/create_channel.h"
#include "tests/support/desk_fixture.h"

namespace agentdesk::rpc {
namespace {

class StuckWriteTest : public testing::DeskFixture {
 protected:
  // More than the buffers on the way to a client hold.
  void Fill() {
    v1::CreateTicketRequest request;
    request.set_ticket_name("Large");
    request.set_description(std::string(32 * 1024, 'd'));
    std::vector<std::promise<bool>> created(500);
    for (std::promise<bool>& answer : created) {
      desk_->Execute({}, request, [&answer](absl::StatusOr<v1::CreateTicketResponse> r) {
        answer.set_value(r.ok());
      });
    }
    for (std::promise<bool>& answer : created) ASSERT_TRUE(answer.get_future().get());
  }
  std::shared_ptr<const desk::SnapshotParts> Snapshot() {
    std::promise<std::shared_ptr<const desk::SnapshotParts>> taken;
    desk_->TakeSnapshot(desk::Caller{}, {},
                        [&](auto parts) { taken.set_value(parts.value_or(nullptr)); });
    return taken.get_future().get();
  }
  // Serves, and asks for a snapshot, which nobody reads yet.
  void Subscribe() {
    ServerOptions options;
    options.listen = *Address::Parse("127.0.0.1:0");
    auto server = Server::Start(options, *desk_, metrics_, nullptr);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::EventService::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
    v1::SubscribeRequest request;
    request.set_snapshot(true);
    reader_ = stub_->Subscribe(&context_, request);
  }

  Metrics metrics_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::EventService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::SubscribeResponse>> reader_;
};

TEST_F(StuckWriteTest, AClientThatDoesNotReadIsLetGoAfterAMinuteWithUnavailable) {
  Fill();
  Subscribe();
  v1::SubscribeResponse response;
  ASSERT_TRUE(reader_->Read(&response));
  ASSERT_FALSE(response.has_snapshot());
  ASSERT_TRUE(reader_->Read(&response));
  ASSERT_TRUE(response.snapshot().more());

  // The stream holds the snapshot until it has written all of it, or has ended; besides it the desk
  // does, and this; and for a moment the thread that has handed it over.
  const auto parts = Snapshot();
  while (parts.use_count() > 3) std::this_thread::yield();
  ASSERT_EQ(parts.use_count(), 3);
  while (parts.use_count() > 2) {
    clock_.Advance(StreamCall::kMaxWrite / 10);
    std::this_thread::yield();
  }
  size_t read = 1;
  while (reader_->Read(&response)) ++read;
  EXPECT_LT(read, parts->parts.size());
  const grpc::Status status = reader_->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_NE(status.error_message().find("has not read for 60 s"), std::string::npos)
      << status.error_message();
  // A position alone would leave out the tickets of the parts that did not come.
  EXPECT_NE(status.error_message().find("take it again"), std::string::npos)
      << status.error_message();
}

TEST_F(StuckWriteTest, ASnapshotThatIsNotReadIsLetGoWhenOthersNeedTheRoom) {
  options_.max_snapshot_bytes = 20 * 1024 * 1024;
  Restart();
  Fill();
  Subscribe();
  v1::SubscribeResponse response;
  while (!response.has_snapshot()) ASSERT_TRUE(reader_->Read(&response));
  ASSERT_TRUE(response.snapshot().more());
  const std::weak_ptr<const desk::SnapshotParts> held = Snapshot();
  ASSERT_FALSE(held.expired());

  Create("Meanwhile");
  clock_.Advance(absl::Seconds(30));
  EXPECT_EQ(Snapshot(), nullptr);
  clock_.Advance(LiveCalls::kTick);
  while (!held.expired()) std::this_thread::yield();
  while (reader_->Read(&response)) {
  }
  EXPECT_FALSE(response.has_snapshot() && !response.snapshot().more());
  const grpc::Status status = reader_->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_NE(status.error_message().find("others need the memory"), std::string::npos)
      << status.error_message();
  EXPECT_NE(status.error_message().find("take it again"), std::string::npos);
  EXPECT_NE(Snapshot(), nullptr);
}

}  // namespace
}  // namespace agentdesk::rpc
