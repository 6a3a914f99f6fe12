// Server-Sent Events: the messages of agentdesk.v1, with what a client resumes after.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/gateway/gateway_fixture.h"

namespace agentdesk::gateway {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::string Id(int64_t sequence) { return absl::StrCat("id: ", kDesk, ":", sequence, "\n"); }

class StreamTest : public GatewayTest {
 protected:
  static Subscribe From(SubscribeFrom::Kind kind) {
    return {{.kind = kind, .desk_id = {}, .after = 0}, {}};
  }
  static Subscribe After(int64_t after) {
    return {{.kind = SubscribeFrom::Kind::kAfter, .desk_id = kDesk, .after = after}, {}};
  }
};

TEST_F(StreamTest, LiveTellsWhereItBeganSoThatNothingIsLostBeforeTheFirstEvent) {
  Begin(7);
  Browser& stream = Stream(From(SubscribeFrom::Kind::kLive));
  Publish({Message(8, "a")});
  EXPECT_THAT(stream.Heard(),
              ElementsAre(StartsWith("retry: "), StartsWith("data: {\"type\":\"hello\""),
                          absl::StrCat(Id(7), "data: {\"type\":\"subscribed\",\"up_to\":7}\n\n"),
                          StartsWith(absl::StrCat(
                              Id(8), "data: {\"type\":\"agent_message\",\"sequence\":8,"))));
}

TEST_F(StreamTest, ComesBackAfterAWhileThatIsNotTheSameForAll) {
  Begin();
  for (int i = 0; i < 20; ++i) {
    const std::string retry = Stream(From(SubscribeFrom::Kind::kLive)).Heard().front();
    int milliseconds = 0;
    ASSERT_TRUE(absl::SimpleAtoi(absl::StripSuffix(absl::StripPrefix(retry, "retry: "), "\n\n"),
                                 &milliseconds));
    EXPECT_GE(milliseconds, 1000);
    EXPECT_LT(milliseconds, 3000);
  }
}

TEST_F(StreamTest, ResumesAfterAPosition) {
  Begin();
  Publish({Message(1, "a"), Message(2, "b")});
  Publish({Message(3, "c")});
  Browser& stream = Stream(After(1));
  EXPECT_THAT(stream.Heard(),
              ElementsAre(StartsWith("retry"), HasSubstr("hello"), HasSubstr("subscribed"),
                          StartsWith(Id(2)), StartsWith(Id(3))));
}

TEST_F(StreamTest, OnlyAWholeSnapshotIsAPosition) {
  Begin(5);
  Browser& stream = Stream(From(SubscribeFrom::Kind::kSnapshot));
  v1::Snapshot snapshot;
  for (int i = 0; i < 2; ++i) snapshot.add_tickets()->set_description(std::string(600, 'd'));
  FeedPart part;
  part.snapshot = EncodeSnapshot(snapshot, 5, 1000);
  part.snapshot_complete = true;
  part.events = Block(5, {});
  ASSERT_THAT(part.snapshot, SizeIs(2));
  commands_.feeds.at(0)->receiver(std::move(part));
  EXPECT_THAT(
      stream.Heard(),
      ElementsAre(StartsWith("retry"), Not(HasSubstr("id:")),
                  "data: {\"type\":\"subscribed\",\"up_to\":5}\n\n",
                  StartsWith("data: {\"type\":\"snapshot\""),
                  StartsWith(absl::StrCat(Id(5), "data: {\"type\":\"snapshot\",\"up_to\":5,"))));
}

TEST_F(StreamTest, AGapIsToldAndThenASnapshot) {
  Begin(5);
  Browser& stream = Stream(After(77));
  stream.Heard();
  ASSERT_THAT(commands_.feeds, SizeIs(1));
  EXPECT_EQ(commands_.feeds[0]->from.after, 77);
  commands_.feeds[0]->receiver(WithDetail(
      absl::OutOfRangeError("no"), {.reason = "ahead",
                                    .field = {},
                                    .retry_after = std::nullopt,
                                    .metadata = {{"desk_id", kDesk}, {"available_from", "4"}}}));
  EXPECT_THAT(stream.Heard(),
              ElementsAre(absl::StrCat("data: {\"type\":\"gap\",\"reason\":\"ahead\",\"desk\":\"",
                                       kDesk, "\",\"available_from\":4}\n\n")));
  ASSERT_THAT(commands_.feeds, SizeIs(2));
  EXPECT_EQ(commands_.feeds[1]->from.kind, SubscribeFrom::Kind::kSnapshot);
}

TEST_F(StreamTest, PositionsMoveAFilteredStreamOn) {
  Begin();
  Subscribe subscribe = From(SubscribeFrom::Kind::kLive);
  subscribe.filter.add_session_ids(kOtherSession);
  Browser& stream = Stream(subscribe);
  Browser& socket = Full(SubscribeFrom{});
  stream.Heard();
  socket.Heard();
  Publish({Message(1, "a"), Message(2, "b", kOtherSession), Message(3, "c")});
  EXPECT_THAT(stream.Heard(), ElementsAre(StartsWith(Id(2))));
  Pass(kHeartbeat);
  EXPECT_THAT(
      stream.Heard(),
      ElementsAre(StartsWith(absl::StrCat(Id(3), "data: {\"type\":\"position\",\"up_to\":3,"))));
  EXPECT_THAT(socket.Heard().back(), StartsWith("{\"type\":\"position\",\"up_to\":3,"));
}

TEST_F(StreamTest, AHeartbeatOnTheWayToTheFirstEventIsNoPosition) {
  Begin(5);
  Browser& stream = Stream(From(SubscribeFrom::Kind::kSnapshot));
  stream.Heard();
  Pass(kHeartbeat);
  EXPECT_THAT(stream.Heard(), ElementsAre(StartsWith("data: {\"type\":\"position\",\"up_to\":0,")));
}

TEST_F(StreamTest, ASlowReaderGetsNoMoreThanFitsAndTheRestWhenItReads) {
  Begin();
  Browser& stream = Stream(From(SubscribeFrom::Kind::kLive));
  stream.Heard();
  stream.socket->Stall();
  const std::string content(30'000, 'x');
  for (int64_t i = 1; i <= 20; ++i) Publish({Message(i, content)});
  EXPECT_LT(stream.socket->queued_bytes(), EventCursor::kHighWater + 2 * content.size());
  std::vector<std::string> heard;
  while (stream.socket->waiting() > 0) {
    stream.socket->Take();
    if (stream.socket->waiting() == 0) stream.handler->OnDrained();
    for (std::string& text : stream.Heard()) heard.push_back(std::move(text));
  }
  ASSERT_THAT(heard, SizeIs(20));
  for (int64_t i = 1; i <= 20; ++i)
    EXPECT_THAT(heard[static_cast<size_t>(i - 1)], StartsWith(Id(i)));
}

TEST_F(StreamTest, ADrainEndsItAtAPosition) {
  Begin(3);
  Browser& stream = Stream(From(SubscribeFrom::Kind::kLive));
  stream.Heard();
  hub_->StartDrain(absl::ZeroDuration());
  EXPECT_THAT(stream.Heard(), ElementsAre(AllOf(StartsWith(Id(3)), HasSubstr("position"))));
  EXPECT_EQ(stream.socket->close_code(), 1012);
}

TEST_F(StreamTest, WaitsForTheCore) {
  Browser& stream = Stream(From(SubscribeFrom::Kind::kLive));
  EXPECT_THAT(stream.Heard(), ElementsAre(StartsWith("retry")));
  Pass(kHeartbeat);
  EXPECT_THAT(stream.Heard(), IsEmpty());
  Begin(2);
  EXPECT_THAT(stream.Heard(), ElementsAre(HasSubstr("hello"), StartsWith(Id(2))));
}

}  // namespace
}  // namespace agentdesk::gateway
