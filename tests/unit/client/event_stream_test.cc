#include "core_service/client/event_stream.h"

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core_service/base/error.h"
#include "core_service/client/channel.h"
#include "core_service/client/rpc_status.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/unit/client/fake_event_service.h"

namespace agentdesk::client {
namespace {

using ::testing::Contains;
using ::testing::IsSupersetOf;
using ::testing::Pair;

constexpr char kDesk[] = "0198a000-0000-7000-8000-00000000d35c";

// Keeps what it gets until the test looks.
class Listener final : public EventStream::Consumer {
 public:
  void OnBatch(std::unique_ptr<v1::SubscribeResponse> batch) override {
    MutexLock lock(mutex_);
    batches_.push_back(std::move(batch));
    changed_.NotifyAll();
  }
  void OnInterrupted(const absl::Status& /*status*/) override {
    MutexLock lock(mutex_);
    ++interruptions_;
    changed_.NotifyAll();
  }
  std::optional<StreamStart> OnRefused(const absl::Status& status) override {
    MutexLock lock(mutex_);
    refusals_.push_back(status);
    changed_.NotifyAll();
    return instead_;
  }

  // Null when there is none in time.
  std::unique_ptr<v1::SubscribeResponse> Batch() {
    return Wait([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !batches_.empty(); })
               ? TakeBatch()
               : nullptr;
  }
  bool WaitForRefusal() {
    return Wait([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !refusals_.empty(); });
  }
  bool WaitForInterruption() {
    return Wait([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return interruptions_ > 0; });
  }
  absl::Status refusal() {
    MutexLock lock(mutex_);
    return refusals_.empty() ? absl::OkStatus() : refusals_.front();
  }
  bool has_batch() {
    MutexLock lock(mutex_);
    return !batches_.empty();
  }
  void set_instead(StreamStart start) {
    MutexLock lock(mutex_);
    instead_ = std::move(start);
  }

 private:
  template <typename Predicate>
  bool Wait(Predicate done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    MutexLock lock(mutex_);
    while (!done()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      changed_.WaitUntil(mutex_, deadline);
    }
    return true;
  }
  std::unique_ptr<v1::SubscribeResponse> TakeBatch() {
    MutexLock lock(mutex_);
    std::unique_ptr<v1::SubscribeResponse> batch = std::move(batches_.front());
    batches_.pop_front();
    return batch;
  }

  Mutex mutex_;
  Condition changed_;
  std::deque<std::unique_ptr<v1::SubscribeResponse>> batches_ ABSL_GUARDED_BY(mutex_);
  std::deque<absl::Status> refusals_ ABSL_GUARDED_BY(mutex_);
  int interruptions_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<StreamStart> instead_ ABSL_GUARDED_BY(mutex_);
};

v1::SubscribeResponse UpTo(int64_t sequence) {
  v1::SubscribeResponse response;
  response.set_desk_id(kDesk);
  response.set_up_to_sequence(sequence);
  return response;
}

v1::SubscribeResponse SnapshotPart(int64_t sequence, bool more) {
  v1::SubscribeResponse response = UpTo(sequence);
  response.mutable_snapshot()->set_more(more);
  return response;
}

grpc::Status OutOfRange(const std::string& reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  (*info.mutable_metadata())["available_from"] = "7";
  google::rpc::Status rich;
  rich.set_code(grpc::StatusCode::OUT_OF_RANGE);
  rich.add_details()->PackFrom(info);
  return grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "no", rich.SerializeAsString());
}

class EventStreamTest : public ::testing::Test {
 protected:
  EventStreamTest() { service_.Start(); }

  std::unique_ptr<EventStream> Open(StreamStart start, absl::Duration silence = absl::Seconds(30)) {
    EventStreamOptions options;
    options.start = std::move(start);
    options.first_backoff = absl::Milliseconds(1);
    options.silence = silence;
    return std::make_unique<EventStream>(MakeChannel(service_.address(), ChannelUse::kSubscription),
                                         completions_, options, listener_);
  }
  // The subscription that begins after `sequence`, past what others have begun meanwhile.
  FakeEventService::SubscriberPtr NextAfter(int64_t sequence) {
    while (true) {
      FakeEventService::SubscriberPtr subscriber = service_.Next();
      if (subscriber == nullptr || subscriber->request().after_sequence() == sequence) {
        return subscriber;
      }
    }
  }
  static StreamStart Live() { return {}; }
  static StreamStart After(int64_t sequence) {
    return {StreamStart::Kind::kAfter, {kDesk, sequence}};
  }

  Listener listener_;
  FakeEventService service_;
  CompletionThread completions_;
};

TEST_F(EventStreamTest, GoesOnAfterTheLastPositionThatItHandedOver) {
  const std::unique_ptr<EventStream> stream = Open(Live());
  FakeEventService::SubscriberPtr subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  EXPECT_TRUE(subscriber->request().live());
  subscriber->Send(UpTo(5));
  ASSERT_NE(listener_.Batch(), nullptr);
  stream->Next();
  subscriber->Send(UpTo(8));
  ASSERT_NE(listener_.Batch(), nullptr);
  stream->Next();
  subscriber->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"));
  subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  EXPECT_EQ(subscriber->request().after_sequence(), 8);
  EXPECT_EQ(subscriber->request().desk_id(), kDesk);
  EXPECT_TRUE(listener_.WaitForInterruption());
}

// gRPC ends the program of who gives it metadata that no header can hold.
TEST_F(EventStreamTest, LabelsOfAnyBytesAreSent) {
  EventStreamOptions options;
  options.labels = {.actor = "J\xc3\xbcrgen",
                    .via = "grpc\n",
                    .traceparent = "a\tb",
                    .user = std::string("\0", 1),
                    .client_address = "\x7f"};
  const EventStream stream(MakeChannel(service_.address(), ChannelUse::kSubscription), completions_,
                           options, listener_);
  const FakeEventService::SubscriberPtr subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  EXPECT_THAT(subscriber->metadata(),
              IsSupersetOf({Pair("agentdesk-actor", "J??rgen"), Pair("agentdesk-via", "grpc?"),
                            Pair("traceparent", "a?b"), Pair("agentdesk-user", "?"),
                            Pair("agentdesk-client", "?")}));
}

// It is told at once that it waits for its snapshot, and then that there is no room for one.
TEST_F(EventStreamTest, ComesBackForASnapshotNoSoonerThanTheCoreSays) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(300'000'000);
  google::rpc::Status rich;
  rich.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  rich.add_details()->PackFrom(retry);
  const std::unique_ptr<EventStream> stream =
      Open({.kind = StreamStart::Kind::kSnapshot, .after = {}});
  FakeEventService::SubscriberPtr subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  v1::SubscribeResponse waits;
  waits.set_desk_id(kDesk);
  subscriber->Send(waits);
  ASSERT_NE(listener_.Batch(), nullptr);
  stream->Next();
  const auto refused = std::chrono::steady_clock::now();
  subscriber->End({grpc::StatusCode::RESOURCE_EXHAUSTED, "full", rich.SerializeAsString()});
  ASSERT_NE(service_.Next(), nullptr);
  EXPECT_GE(std::chrono::steady_clock::now() - refused, std::chrono::milliseconds(300));
}

TEST_F(EventStreamTest, FindsACoreThatComesBack) {
  const std::unique_ptr<EventStream> stream = Open(After(3));
  FakeEventService::SubscriberPtr subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  subscriber->Send(UpTo(4));
  ASSERT_NE(listener_.Batch(), nullptr);
  stream->Next();
  service_.Stop();
  ASSERT_TRUE(listener_.WaitForInterruption());
  service_.Start();
  subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  EXPECT_EQ(subscriber->request().after_sequence(), 4);
}

TEST_F(EventStreamTest, HandsOverOneBatchAtATime) {
  const std::unique_ptr<EventStream> stream = Open(Live());
  const FakeEventService::SubscriberPtr subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  for (int64_t i = 1; i <= 3; ++i) subscriber->Send(UpTo(i));
  for (int64_t i = 1; i <= 3; ++i) {
    const std::unique_ptr<v1::SubscribeResponse> batch = listener_.Batch();
    ASSERT_NE(batch, nullptr);
    EXPECT_EQ(batch->up_to_sequence(), i);
    EXPECT_FALSE(listener_.has_batch());
    stream->Next();
  }
}

TEST_F(EventStreamTest, AConsumerThatDoesNotReadHoldsUpTheCore) {
  const std::unique_ptr<EventStream> stream = Open(Live());
  const FakeEventService::SubscriberPtr subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  v1::SubscribeResponse large = UpTo(1);
  large.add_events()->mutable_agent_message()->set_content(std::string(100000, 'x'));
  for (int i = 0; i < 100; ++i) subscriber->Send(large);
  for (int read = 1; read <= 10; ++read) {
    ASSERT_NE(listener_.Batch(), nullptr);
    EXPECT_LT(subscriber->written(), read + 10) << "little more than a window is under way";
    stream->Next();
  }
}

TEST_F(EventStreamTest, TellsWhyAPositionIsRefusedAndBeginsWhereItIsTold) {
  listener_.set_instead(Live());
  const std::unique_ptr<EventStream> stream = Open(After(3));
  FakeEventService::SubscriberPtr subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  subscriber->End(OutOfRange("compacted"));
  ASSERT_TRUE(listener_.WaitForRefusal());
  const ErrorDetail detail = DetailOf(listener_.refusal());
  EXPECT_EQ(detail.reason, "compacted");
  EXPECT_THAT(detail.metadata, Contains(Pair("available_from", "7")));
  subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  EXPECT_TRUE(subscriber->request().live());
}

TEST_F(EventStreamTest, ASnapshotThatBreaksBeginsAnew) {
  const std::unique_ptr<EventStream> stream = Open({StreamStart::Kind::kSnapshot, {}});
  FakeEventService::SubscriberPtr subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  EXPECT_TRUE(subscriber->request().snapshot());
  subscriber->Send(SnapshotPart(5, true));
  ASSERT_NE(listener_.Batch(), nullptr);
  stream->Next();
  subscriber->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, ""));
  subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  EXPECT_TRUE(subscriber->request().snapshot());
  subscriber->Send(SnapshotPart(6, false));
  ASSERT_NE(listener_.Batch(), nullptr);
  stream->Next();
  subscriber->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, ""));
  subscriber = service_.Next();
  ASSERT_NE(subscriber, nullptr);
  EXPECT_EQ(subscriber->request().after_sequence(), 6);
}

TEST_F(EventStreamTest, SilenceIsADeadPath) {
  // On a busy machine the path may be thought dead before this has come: it is said on each one.
  service_.set_greeting(UpTo(2));
  const std::unique_ptr<EventStream> stream = Open(Live(), absl::Milliseconds(100));
  ASSERT_NE(listener_.Batch(), nullptr);
  stream->Next();
  EXPECT_NE(NextAfter(2), nullptr) << "it did not try again by itself";
}

TEST_F(EventStreamTest, EndsInEveryState) {
  for (int i = 0; i < 20; ++i) Open(Live());  // while it connects
  {
    const std::unique_ptr<EventStream> stream = Open(After(1));
    ASSERT_NE(NextAfter(1), nullptr);  // with a read under way
  }
  Listener holding;
  {
    EventStreamOptions options;
    options.start = After(2);
    const EventStream stream(MakeChannel(service_.address()), completions_, options, holding);
    const FakeEventService::SubscriberPtr subscriber = NextAfter(2);
    ASSERT_NE(subscriber, nullptr);
    subscriber->Send(UpTo(3));
    ASSERT_NE(holding.Batch(), nullptr);  // while its consumer has a batch
  }
  service_.Stop();
  Open(Live());  // while it waits to try again
}

TEST(RpcStatusTest, ReadsEveryDetail) {
  google::rpc::Status rich;
  google::rpc::BadRequest bad_request;
  bad_request.add_field_violations()->set_field("priority");
  rich.add_details()->PackFrom(bad_request);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  rich.add_details()->PackFrom(retry);
  const absl::Status status =
      FromRpc(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "wrong", rich.SerializeAsString()));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "wrong");
  EXPECT_EQ(DetailOf(status).reason, "invalid_argument");
  EXPECT_EQ(DetailOf(status).field, "priority");
  EXPECT_EQ(DetailOf(status).retry_after, absl::Seconds(2));
  EXPECT_EQ(DetailOf(FromRpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "", "garbage"))).reason,
            "not_found");
  EXPECT_TRUE(FromRpc(grpc::Status::OK).ok());
}

TEST(TargetTest, IsHostAndPort) {
  for (const std::string target : {"127.0.0.1:50051", "core:1", "[::1]:65535"}) {
    EXPECT_TRUE(CheckTarget(target).ok()) << target;
  }
  for (const std::string target : {"", "core", ":1", "core:", "core:0", "core:65536", "core:x"}) {
    EXPECT_FALSE(CheckTarget(target).ok()) << target;
  }
}

}  // namespace
}  // namespace agentdesk::client
