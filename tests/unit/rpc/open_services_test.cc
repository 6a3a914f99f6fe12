#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "core_service/rpc/live_calls.h"
#include "core_service/rpc/server.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "tests/support/desk_fixture.h"

namespace agentdesk::rpc {
namespace {

namespace v1 = grpc::reflection::v1;
namespace v1alpha = grpc::reflection::v1alpha;

constexpr size_t kMostStreams = 64;

// One stream of questions, in either version of the protocol.
template <typename Reflection, typename Request, typename Response>
class Questions {
 public:
  explicit Questions(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(Reflection::NewStub(channel)) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    stream_ = stub_->ServerReflectionInfo(&context_);
  }
  // Whether there was an answer.
  bool Ask(const std::string& symbol) {
    Response response;
    return Send(symbol) && stream_->Read(&response);
  }
  bool Send(const std::string& symbol) {
    Request request;
    request.set_file_containing_symbol(symbol);
    return stream_->Write(request);
  }
  grpc::Status End() {
    stream_->WritesDone();
    return AwaitEnd();
  }
  grpc::Status AwaitEnd() {
    Response response;
    while (stream_->Read(&response)) ++answers_;
    return stream_->Finish();
  }
  // How many came on the way to the end.
  int answers() const { return answers_; }

 private:
  const std::unique_ptr<typename Reflection::Stub> stub_;
  grpc::ClientContext context_;
  int answers_ = 0;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
};
using New =
    Questions<v1::ServerReflection, v1::ServerReflectionRequest, v1::ServerReflectionResponse>;
using Old = Questions<v1alpha::ServerReflection, v1alpha::ServerReflectionRequest,
                      v1alpha::ServerReflectionResponse>;

// What whoever can connect may ask, without a token.
class OpenServicesTest : public testing::DeskFixture {
 protected:
  void SetUp() override {
    DeskFixture::SetUp();
    ServerOptions options;
    options.listen = *Address::Parse("127.0.0.1:0");
    auto server = Server::Start(options, *desk_, metrics_, nullptr);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  }

  // How a stream ends, while the clock goes on tick by tick.
  template <typename Stream>
  grpc::Status EndAsTimeGoesOn(Stream& stream) {
    auto end = std::async(std::launch::async, [&] { return stream.AwaitEnd(); });
    while (end.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
      clock_.Advance(LiveCalls::kTick);
    }
    return end.get();
  }

  bool EveryPlaceIsFree() {
    std::vector<std::unique_ptr<Old>> streams;
    bool free = true;
    while (free && streams.size() < kMostStreams) {
      streams.push_back(std::make_unique<Old>(channel_));
      free = streams.back()->Ask("agentdesk.v1.EventService");
    }
    for (const auto& stream : streams) stream->End();
    return free;
  }

  Metrics metrics_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(OpenServicesTest, SoManyStreamsOfReflectionAreOpenAtATime) {
  std::vector<std::unique_ptr<New>> news;
  std::vector<std::unique_ptr<Old>> olds;
  for (size_t i = 0; i < kMostStreams; i += 2) {
    news.push_back(std::make_unique<New>(channel_));
    ASSERT_TRUE(news.back()->Ask("agentdesk.v1.EventService"));
    olds.push_back(std::make_unique<Old>(channel_));
    ASSERT_TRUE(olds.back()->Ask("agentdesk.v1.EventService"));
  }
  New refused(channel_);
  EXPECT_FALSE(refused.Ask("agentdesk.v1.EventService"));
  const grpc::Status status = refused.AwaitEnd();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_NE(status.error_message().find("reflection"), std::string::npos);
  EXPECT_TRUE(olds.back()->End().ok());
  New taken(channel_);
  EXPECT_TRUE(taken.Ask("agentdesk.v1.EventService"));
  EXPECT_TRUE(taken.End().ok());
}

TEST_F(OpenServicesTest, AStreamOfReflectionOnWhichNothingIsAskedEnds) {
  Old silent(channel_);
  ASSERT_TRUE(silent.Ask("agentdesk.v1.EventService"));
  const grpc::Status status = EndAsTimeGoesOn(silent);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
}

TEST_F(OpenServicesTest, AStreamOfReflectionWhoseAnswersAreNotTakenEnds) {
  constexpr int kQuestions = 1000;
  New stuck(channel_);  // asks for more than lies between, and takes the first answer alone
  ASSERT_TRUE(stuck.Ask("agentdesk.v1.EventService"));
  for (int i = 0; i < kQuestions; ++i) ASSERT_TRUE(stuck.Send("agentdesk.v1.EventService"));
  // Whoever reads it to see its end takes the answers, so that it ends is seen by its place.
  while (!EveryPlaceIsFree()) clock_.Advance(LiveCalls::kTick);
  const grpc::Status status = stuck.AwaitEnd();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_LT(stuck.answers(), kQuestions);
}

TEST_F(OpenServicesTest, AQuestionThatIsTooLongIsRefused) {
  New asks(channel_);
  EXPECT_FALSE(asks.Ask(std::string(100000, 'x')));
  EXPECT_EQ(asks.AwaitEnd().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace agentdesk::rpc
