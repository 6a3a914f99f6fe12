// Where the events of a full connection come from: the hub's recent events, the core, or a
// snapshot.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
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
using ::testing::SizeIs;
using ::testing::StartsWith;

class SubscriptionTest : public GatewayTest {
 protected:
  static std::string After(int64_t after, absl::string_view desk = kDesk) {
    return absl::StrCat(R"({"type":"subscribe","from":{"desk":")", desk, R"(","after":)", after,
                        "}}");
  }
  // A connection that has said its hello.
  Browser& Connected() {
    Browser& browser = Full();
    browser.Heard();
    return browser;
  }
  static absl::Status GapError(absl::string_view reason) {
    return WithDetail(absl::OutOfRangeError("no"),
                      {.reason = std::string(reason),
                       .field = {},
                       .retry_after = std::nullopt,
                       .metadata = {{"desk_id", kDesk}, {"available_from", "4"}}});
  }
  static FeedPart Part(int64_t after, const std::vector<v1::Event>& events) {
    FeedPart part;
    part.events = Block(after, events);
    return part;
  }
  static FeedPart SnapshotPart(int64_t up_to, absl::string_view ticket, bool more) {
    v1::Snapshot snapshot;
    snapshot.add_tickets()->set_ticket_name(std::string(ticket));
    snapshot.set_more(more);
    FeedPart part;
    part.snapshot = EncodeSnapshot(snapshot, up_to, kMaxSnapshotFrame);
    part.snapshot_complete = !more;
    part.events = Block(up_to, {});
    return part;
  }
};

constexpr char kSubscribed[] = R"({"type":"subscribed","up_to":)";

TEST_F(SubscriptionTest, HelloComesFirstAndNoEventUnasked) {
  Begin(12);
  Browser& browser = Full();
  EXPECT_THAT(
      browser.Heard(),
      ElementsAre(AllOf(
          StartsWith(absl::StrCat(R"({"type":"hello","protocol":"agentdesk.v1",)", R"("desk":")",
                                  kDesk, R"(","sequence":12,)",
                                  R"("user":"guest-0002","heartbeat_ms":15000,)", R"("limits":{)")),
          HasSubstr(R"("time":"2025-11-30T01:35:01.000000+00:00"})"))));
  Publish({Message(13, "x")});
  EXPECT_THAT(browser.Heard(), IsEmpty());
}

TEST_F(SubscriptionTest, HelloWaitsForTheCore) {
  Browser& browser = Full(std::optional<SubscribeFrom>(SubscribeFrom{}));
  EXPECT_THAT(browser.Heard(), IsEmpty());
  Begin(3);
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("hello"), absl::StrCat(kSubscribed, "3}")));
}

TEST_F(SubscriptionTest, AnswersWaitForTheHello) {
  Browser& browser = Full();
  Browser& asks_much = Full();
  Browser& waits_long = Full();
  Browser& asks_nothing = Full();
  browser.Say(R"({"type":"ping"})");
  browser.Say("no JSON");
  for (int i = 0; i < 65; ++i) asks_much.Say(R"({"type":"ping"})");
  EXPECT_EQ(asks_much.socket->close_code(), 1013);
  EXPECT_EQ(asks_much.socket->close_reason(), "the desk cannot be reached, retry in 5 s");
  Pass(absl::Seconds(5));
  waits_long.Say(R"({"type":"ping"})");
  EXPECT_THAT(browser.Heard(), IsEmpty());
  Begin(3);
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("hello"), R"({"type":"pong"})",
                                           HasSubstr(R"("code":"invalid_json")")));
  EXPECT_THAT(waits_long.Heard(), ElementsAre(HasSubstr("hello"), R"({"type":"pong"})"));
  Pass(absl::Seconds(11));
  for (const Browser* each : {&browser, &waits_long, &asks_nothing}) {
    EXPECT_EQ(each->socket->close_code(), 0);
  }
}

TEST_F(SubscriptionTest, WhoIsOwedAnAnswerComesBackWhereThereIsNoDesk) {
  Browser& browser = Full();
  Browser& asks_nothing = Full();
  Pass(absl::Seconds(60));
  browser.Say(R"({"type":"ping"})");
  Pass(absl::Seconds(9));
  EXPECT_EQ(browser.socket->close_code(), 0);
  Pass(absl::Seconds(2));
  EXPECT_EQ(browser.socket->close_code(), 1013);
  EXPECT_THAT(browser.Heard(), IsEmpty());
  EXPECT_EQ(asks_nothing.socket->close_code(), 0);
}

TEST_F(SubscriptionTest, LiveIsEachEventOnceInBothForms) {
  Begin();
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"live"})");
  v1::Event waiting = Message(2, "");
  waiting.mutable_job_waiting();
  Publish({Message(1, "a"), waiting});
  EXPECT_THAT(browser.Heard(), ElementsAre(absl::StrCat(kSubscribed, "0}"),
                                           StartsWith(R"({"type":"agent_message","sequence":1)"),
                                           StartsWith(R"({"type":"job_waiting","sequence":2)")));
}

TEST_F(SubscriptionTest, ResumesFromTheRecentEvents) {
  Begin();
  for (int64_t i = 1; i <= 6; i += 2) Publish({Message(i, "x"), Message(i + 1, "y")});
  for (int64_t after = 0; after <= 6; ++after) {
    Browser& browser = Connected();
    browser.Say(After(after));
    const std::vector<std::string> heard = browser.Heard();
    ASSERT_THAT(heard, SizeIs(static_cast<size_t>(7 - after)));
    EXPECT_EQ(heard[0], absl::StrCat(kSubscribed, after, "}"));
    for (size_t i = 1; i < heard.size(); ++i) {
      EXPECT_THAT(heard[i],
                  HasSubstr(absl::StrCat("\"sequence\":", after + static_cast<int64_t>(i), ",")));
    }
  }
  EXPECT_THAT(commands_.feeds, IsEmpty());
}

TEST_F(SubscriptionTest, ALaterSubscriptionReplacesTheOneBefore) {
  Begin();
  Publish({Message(1, "a"), Message(2, "b", kOtherSession)});
  Browser& browser = Connected();
  browser.Say(After(0));
  EXPECT_THAT(browser.Events(), SizeIs(2));
  browser.Say(absl::StrCat(R"({"type":"subscribe","from":{"after":0},"filter":{"session_ids":[")",
                           kOtherSession, "\"]}}"));
  EXPECT_THAT(browser.Events(), ElementsAre(HasSubstr("\"b\"")));
  Publish({Message(3, "c"), Message(4, "d", kOtherSession)});
  EXPECT_THAT(browser.Events(), ElementsAre(HasSubstr("\"d\"")));
}

TEST_F(SubscriptionTest, OlderEventsComeFromTheCoreAndMeetTheHubsWithoutASeam) {
  Begin(10);
  Publish({Message(11, "11")});
  Browser& browser = Connected();
  browser.Say(After(3));
  ASSERT_THAT(commands_.feeds, SizeIs(1));
  FakeCommands::FeedEnd& feed = *commands_.feeds[0];
  EXPECT_EQ(feed.from.after, 3);
  EXPECT_EQ(feed.from.desk_id, kDesk);
  EXPECT_THAT(browser.Heard(), IsEmpty()) << "not subscribed before the core has taken it";
  Publish({Message(12, "12")});
  feed.receiver(Part(3, {Message(4, "4"), Message(5, "5")}));
  EXPECT_EQ(feed.next, 1);
  feed.receiver(Part(5, {Message(6, "6"), Message(7, "7"), Message(8, "8"), Message(9, "9"),
                         Message(10, "10"), Message(11, "11")}));
  EXPECT_TRUE(feed.ended);
  Publish({Message(13, "13")});
  const std::vector<std::string> heard = browser.Heard();
  ASSERT_THAT(heard, SizeIs(11));
  EXPECT_EQ(heard[0], absl::StrCat(kSubscribed, "3}"));
  for (size_t i = 1; i <= 10; ++i) {
    EXPECT_THAT(heard[i], HasSubstr(absl::StrCat("\"sequence\":", 3 + i, ",")));
  }
}

TEST_F(SubscriptionTest, OneStreamTooManyForTheCoreIsToldWhenToComeBack) {
  Begin(10);
  Browser& browser = Connected();
  browser.Say(After(3));
  commands_.feeds[0]->receiver(absl::ResourceExhaustedError("256 streams are open"));
  EXPECT_EQ(browser.socket->close_code(), 4429);
  EXPECT_EQ(browser.socket->close_reason(), "too many streams, retry in 5 s");
  Browser& other = Connected();
  other.Say(After(3));
  commands_.feeds[1]->receiver(absl::UnavailableError("the core is away"));
  EXPECT_EQ(other.socket->close_code(), 1012);
}

TEST_F(SubscriptionTest, TheCoreIsReadOnlyAsFastAsTheSocketTakes) {
  Begin(1000);
  Browser& browser = Connected();
  browser.Say(After(0));
  FakeCommands::FeedEnd& feed = *commands_.feeds[0];
  browser.socket->Stall();
  int64_t sent = 0;
  while (feed.next == static_cast<int>(sent)) {
    feed.receiver(Part(sent, {Message(sent + 1, std::string(50000, 'x'))}));
    ++sent;
    ASSERT_LT(sent, 100);
  }
  EXPECT_LT(browser.socket->queued_bytes(), EventCursor::kHighWater + 60000);
  while (browser.socket->waiting() > 0) browser.socket->Take();
  browser.handler->OnDrained();
  EXPECT_EQ(feed.next, static_cast<int>(sent));
  while (browser.socket->waiting() > 0) browser.socket->Take();
  EXPECT_EQ(browser.Events().size(), static_cast<size_t>(sent));
}

TEST_F(SubscriptionTest, AFilteredFeedJoinsByItsProgress) {
  Begin(10);
  Browser& browser = Connected();
  browser.Say(absl::StrCat(R"({"type":"subscribe","from":{"desk":")", kDesk,
                           R"(","after":2},"filter":{"types":["agent_message"]}})"));
  FakeCommands::FeedEnd& feed = *commands_.feeds[0];
  EXPECT_THAT(feed.filter.types(), ElementsAre(v1::EVENT_TYPE_AGENT_MESSAGE));
  FeedPart progress = Part(2, {});
  progress.events = EncodeEvents(kDesk, 2, 10, {});
  feed.receiver(std::move(progress));
  EXPECT_TRUE(feed.ended);
  Publish({TicketCreated(11, "t"), Message(12, "m")});
  EXPECT_THAT(browser.Heard(),
              ElementsAre(absl::StrCat(kSubscribed, "2}"), HasSubstr("\"sequence\":12,")));
}

TEST_F(SubscriptionTest, SnapshotThenEventsAfterIt) {
  Begin(5);
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"snapshot"})");
  ASSERT_THAT(commands_.feeds, SizeIs(1));
  FakeCommands::FeedEnd& feed = *commands_.feeds[0];
  EXPECT_EQ(feed.from.kind, SubscribeFrom::Kind::kSnapshot);
  Publish({Message(6, "6"), Message(7, "7"), Message(8, "8")});
  feed.receiver(Part(7, {}));
  feed.receiver(SnapshotPart(7, "one", true));
  EXPECT_EQ(feed.next, 2);
  feed.receiver(SnapshotPart(7, "two", false));
  EXPECT_TRUE(feed.ended) << "the hub has what comes after";
  EXPECT_THAT(browser.Heard(), ElementsAre(absl::StrCat(kSubscribed, "7}"),
                                           AllOf(StartsWith(R"({"type":"snapshot","up_to":7)"),
                                                 HasSubstr("one"), HasSubstr(R"("more":true})")),
                                           AllOf(HasSubstr("two"), HasSubstr(R"("more":false})")),
                                           HasSubstr("\"sequence\":8,")));
}

// How long a frame waits tells who is slow: what waits has to fit through a slow link in time.
TEST_F(SubscriptionTest, LittleOfASnapshotWaitsForASlowSocket) {
  Begin(5);
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"snapshot"})");
  browser.socket->Stall();
  v1::Snapshot snapshot;
  for (int i = 0; i < 250; ++i) {
    snapshot.add_tickets()->set_description(std::string(1000, 'x'));
  }
  FeedPart part;
  part.snapshot = EncodeSnapshot(snapshot, 5, kMaxSnapshotFrame);
  part.snapshot_complete = true;
  part.events = Block(5, {});
  const size_t frames = part.snapshot.size();
  commands_.feeds[0]->receiver(std::move(part));
  size_t heard = 0;
  while (!commands_.feeds[0]->ended) {
    EXPECT_LE(browser.socket->queued_bytes(), 2 * kMaxSnapshotFrame);
    ASSERT_GT(browser.socket->waiting(), 0U);
    while (browser.socket->waiting() > 0) browser.socket->Take();
    heard += browser.Heard().size();
    browser.handler->OnDrained();
  }
  while (browser.socket->waiting() > 0) browser.socket->Take();
  heard += browser.Heard().size();
  EXPECT_EQ(heard, frames + 1) << "and the answer";
}

TEST_F(SubscriptionTest, ASnapshotThatGaveWayToOthersIsToldSo) {
  Begin(5);
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"snapshot"})");
  commands_.feeds[0]->receiver(SnapshotPart(7, "one", true));
  commands_.feeds[0]->receiver(
      ErrorWithReason(absl::StatusCode::kAborted, "slow_reader", "others wait"));
  EXPECT_EQ(browser.socket->close_code(), 4430);
}

TEST_F(SubscriptionTest, ASnapshotThatIsAheadOfTheHubWaitsForIt) {
  Begin(5);
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"snapshot"})");
  commands_.feeds[0]->receiver(SnapshotPart(7, "t", false));
  browser.Heard();
  Publish({Message(6, "6"), Message(7, "7")});
  Publish({Message(8, "8")});
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("\"sequence\":8,")));
}

TEST_F(SubscriptionTest, ARefusedPositionIsAGapAndThenASnapshot) {
  for (const std::string reason : {"compacted", "other_desk", "ahead"}) {
    commands_.feeds.clear();
    Begin(5);
    Browser& browser = Connected();
    browser.Say(After(99));
    commands_.feeds[0]->receiver(GapError(reason));
    EXPECT_THAT(browser.Heard(),
                ElementsAre(absl::StrCat(R"({"type":"gap","reason":")", reason, R"(","desk":")",
                                         kDesk, R"(","available_from":4})")));
    ASSERT_THAT(commands_.feeds, SizeIs(2));
    EXPECT_TRUE(commands_.feeds[0]->ended);
    commands_.feeds[1]->receiver(SnapshotPart(5, "t", false));
    EXPECT_THAT(browser.Heard(),
                ElementsAre(absl::StrCat(kSubscribed, "5}"), HasSubstr("snapshot")));
  }
}

TEST_F(SubscriptionTest, APositionWithoutADeskBelongsToAnother) {
  Begin(5);
  for (const std::string from : {R"({"after":1})", R"({"after":1,"desk":"no id"})"}) {
    commands_.feeds.clear();
    Connected().Say(absl::StrCat(R"({"type":"subscribe","from":)", from, "}"));
    ASSERT_THAT(commands_.feeds, SizeIs(1)) << "the core says what can be served";
    EXPECT_EQ(commands_.feeds[0]->from.desk_id, Uuid{}.ToString());
  }
}

TEST_F(SubscriptionTest, AnotherDeskIsAGapForWhoeverFollowed) {
  Begin(5);
  Browser& follower = Connected();
  follower.Say(R"({"type":"subscribe","from":"live"})");
  Browser& idle = Connected();
  follower.Heard();
  hub_->ReportGap({.reason = "other_desk", .desk_id = kOtherDesk, .available_from = 1});
  EXPECT_THAT(follower.Heard(),
              ElementsAre(absl::StrCat(R"({"type":"gap","reason":"other_desk","desk":")",
                                       kOtherDesk, R"(","available_from":1})")));
  EXPECT_THAT(commands_.feeds, IsEmpty()) << "the desk is not known yet";
  Begin(2, kOtherDesk);
  ASSERT_THAT(commands_.feeds, SizeIs(1));
  FeedPart part = SnapshotPart(2, "t", false);
  part.events = Block(2, {}, kOtherDesk);
  commands_.feeds[0]->receiver(std::move(part));
  Publish({Message(3, "3")});
  EXPECT_THAT(follower.Heard(), ElementsAre(HasSubstr("snapshot"), HasSubstr("\"sequence\":3,")));
  EXPECT_EQ(follower.socket->close_code(), 0);
  EXPECT_EQ(idle.socket->close_code(), 1012) << "its hello named a desk that is no longer there";
}

TEST_F(SubscriptionTest, AResponseIsJudgedAsOfWhatAResumingClientHasSeen) {
  Begin();
  Publish({Message(1, "a"), Question(2, "q"), Message(3, "c")});
  Browser& browser = Connected();
  const std::string response =
      absl::StrCat(R"({"type":"user_response","session_id":")", kSession, R"(","response":"yes"})");
  browser.socket->Stall();
  browser.Say(After(1));
  browser.Say(response);
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 1);
  browser.socket->Take(2);
  browser.Say(response);
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 2);
}

TEST_F(SubscriptionTest, AResponseIsJudgedAsOfWhatAClientHasSeenThatWaitsForItsFeed) {
  const std::string response =
      absl::StrCat(R"({"type":"user_response","session_id":")", kSession, R"(","response":"yes"})");
  Begin(10);
  Browser& browser = Connected();
  browser.Say(After(3));
  browser.Say(response);
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 3);
  commands_.feeds.back()->receiver(Part(3, {Message(4, "4"), Question(5, "q")}));
  browser.Say(response);
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 5);

  Browser& stranger = Connected();
  stranger.Say(After(3, kOtherDesk));
  stranger.Say(response);
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 0);

  Browser& ahead = Connected();
  ahead.Say(After(99));
  ahead.Say(response);
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 99)
      << "the core says whether its log reaches so far";
  commands_.feeds.back()->receiver(GapError("ahead"));
  ahead.Say(response);
  EXPECT_EQ(commands_.responses.back().request.as_of_sequence(), 0)
      << "what was seen there is not in this log";
}

TEST_F(SubscriptionTest, ASnapshotBehindAFilterShowsNoQuestions) {
  Begin(5);
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"snapshot","filter":{"types":["agent_message"]}})");
  Publish({Message(6, "x"), Question(7, "hidden")});
  commands_.feeds.back()->receiver(SnapshotPart(7, "whole", false));
  browser.Say(absl::StrCat(R"({"type":"user_response","response":"yes","session_id":")", kSession,
                           R"("})"));
  ASSERT_THAT(commands_.responses, SizeIs(1));
  EXPECT_EQ(commands_.responses.front().request.as_of_sequence(), 5);
}

TEST_F(SubscriptionTest, HeartbeatsGoOnWhileTheFirstEventsAreOnTheirWay) {
  Begin(5);
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"snapshot"})");
  Pass(kHeartbeat);
  EXPECT_THAT(browser.Heard(), ElementsAre(StartsWith(R"({"type":"position","up_to":0,"time":)")));
}

TEST_F(SubscriptionTest, ABrokenSnapshotSendsTheClientToResume) {
  Begin(5);
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"snapshot"})");
  commands_.feeds[0]->receiver(SnapshotPart(5, "t", true));
  commands_.feeds[0]->receiver(absl::AbortedError("broken"));
  EXPECT_EQ(browser.socket->close_code(), 1012);
}

TEST_F(SubscriptionTest, PositionsComeAtLeastEveryHeartbeat) {
  Begin(5);
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"live"})");
  browser.Heard();
  Pass(absl::Seconds(15));
  EXPECT_THAT(browser.Heard(), ElementsAre(StartsWith(R"({"type":"position","up_to":5,"time":)")));
  Publish({Message(6, "6")});
  browser.Heard();
  Pass(absl::Seconds(15));
  EXPECT_THAT(browser.Heard(), ElementsAre(StartsWith(R"({"type":"position","up_to":6,"time":)")));
}

TEST_F(SubscriptionTest, TimeIsTheCores) {
  Begin(5);
  clock_.JumpWall(absl::Hours(-1));
  hub_->Publish(Block(5, {}), absl::FromUnixSeconds(1764470000));
  EXPECT_THAT(Full().Heard(), ElementsAre(HasSubstr(R"("time":"2025-11-30T02:33:20)")));
}

TEST_F(SubscriptionTest, ADrainTellsThePositionFirst) {
  Begin(5);
  Browser& browser = Connected();
  browser.Say(R"({"type":"subscribe","from":"live"})");
  browser.Heard();
  hub_->StartDrain(absl::ZeroDuration());
  EXPECT_THAT(browser.Heard(), ElementsAre(HasSubstr("position")));
  EXPECT_EQ(browser.socket->close_code(), 1012);
}

TEST_F(SubscriptionTest, HeartbeatsGoOnDuringADrain) {
  Begin(5);
  for (int i = 0; i < 600; ++i) Full(SubscribeFrom{}).Heard();
  hub_->StartDrain(absl::Seconds(40));
  Pass(kHeartbeat);
  int waiting = 0;
  for (const auto& browser : browsers_) {
    if (browser->socket->close_code() != 0) continue;
    ++waiting;
    EXPECT_THAT(browser->Heard(), ElementsAre(StartsWith(R"({"type":"position","up_to":5,)")));
  }
  EXPECT_GT(waiting, 100);
}

TEST_F(SubscriptionTest, AWrongUrlIsSaidInWords) {
  Begin(5);
  Browser& browser = Full(ParseSubscribeQuery("after=x").status());
  EXPECT_THAT(browser.Heard(),
              ElementsAre(HasSubstr("hello"),
                          AllOf(HasSubstr(R"("code":"invalid_message")"), HasSubstr("after"))));
}

}  // namespace
}  // namespace agentdesk::gateway
