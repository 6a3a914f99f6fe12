#include "ws_gateway/event_cursor.h"

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/gateway/gateway_fixture.h"

namespace agentdesk::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A log of messages whose content is their sequence, in blocks.
class EventCursorTest : public ::testing::Test {
 protected:
  EventCursorTest() { recent_.Begin(kDesk, 0); }

  void Append(const std::vector<v1::Event>& events) {
    recent_.Append(Block(recent_.head(), events));
  }
  void AppendMessages(int count, const std::string& padding = "") {
    std::vector<v1::Event> events;
    for (int64_t i = 1; i <= count; ++i) {
      const int64_t sequence = recent_.head() + i;
      events.push_back(Message(sequence, std::to_string(sequence) + padding));
    }
    Append(events);
  }
  // The sequences of the v1 messages that were written.
  std::vector<int64_t> Written() {
    std::vector<int64_t> sequences;
    for (const std::string& text : socket_.TakeTexts()) {
      sequences.push_back(std::stoll(text.substr(text.find("\"sequence\":") + 11)));
    }
    return sequences;
  }

  int64_t ShownAsOf() { return cursor_.ShownAsOf(kThisSession); }

  const Uuid kThisSession = *Uuid::Parse(kSession);
  RecentEvents recent_{{.events = 100, .bytes = 4 << 20}};
  FakeSocket socket_;
  EventCursor cursor_{recent_, Protocol::kV1};
};

TEST_F(EventCursorTest, GoesOnAfterAnyPosition) {
  AppendMessages(3);
  AppendMessages(3);
  for (int64_t after = 0; after <= 6; ++after) {
    cursor_.Open(socket_, 6);
    cursor_.Start(after, EntryFilter());
    EXPECT_TRUE(cursor_.Pump());
    std::vector<int64_t> expected;
    for (int64_t sequence = after + 1; sequence <= 6; ++sequence) expected.push_back(sequence);
    EXPECT_EQ(Written(), expected);
    EXPECT_EQ(cursor_.position(), 6);
  }
}

TEST_F(EventCursorTest, AheadOfTheHubItWaitsForItsTurn) {
  AppendMessages(2);
  cursor_.Open(socket_, 2);
  cursor_.Start(4, EntryFilter());
  EXPECT_TRUE(cursor_.Pump());
  AppendMessages(4);
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_THAT(Written(), ElementsAre(5, 6));
}

TEST_F(EventCursorTest, NeverQueuesMoreThanFits) {
  cursor_.Open(socket_, 0);
  cursor_.Start(0, EntryFilter());
  socket_.Stall();
  for (int i = 0; i < 40; ++i) {
    AppendMessages(1, std::string(20000, 'x'));
    EXPECT_TRUE(cursor_.Pump());
  }
  EXPECT_LT(socket_.queued_bytes(), EventCursor::kHighWater + 21000);
  std::vector<int64_t> all;
  while (socket_.waiting() > 0) {
    socket_.Take();
    EXPECT_TRUE(cursor_.Pump());
    for (const int64_t sequence : Written()) all.push_back(sequence);
  }
  EXPECT_THAT(all, SizeIs(40));
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

TEST_F(EventCursorTest, ABlockLargerThanTheQueueIsSentInParts) {
  cursor_.Open(socket_, 0);
  cursor_.Start(0, EntryFilter());
  socket_.Stall();
  AppendMessages(100, std::string(10000, 'x'));
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_LT(cursor_.position(), 100);
  std::vector<int64_t> all;
  while (socket_.waiting() > 0) {
    socket_.Take();
    EXPECT_TRUE(cursor_.Pump());
    for (const int64_t sequence : Written()) all.push_back(sequence);
  }
  EXPECT_THAT(all, SizeIs(100));
  EXPECT_EQ(cursor_.position(), 100);
}

TEST_F(EventCursorTest, SaysWhenTheRecentEventsHaveGoneOn) {
  cursor_.Open(socket_, 0);
  cursor_.Start(0, EntryFilter());
  for (int i = 0; i < 30; ++i) AppendMessages(10);
  EXPECT_FALSE(cursor_.Pump());
  EXPECT_THAT(Written(), IsEmpty());
}

TEST_F(EventCursorTest, FiltersByEveryListThatIsNotEmpty) {
  Append({Message(1, "a"), Message(2, "b", kOtherSession), TicketCreated(3, "t"), Message(4, "c")});
  v1::EventFilter filter;
  filter.add_session_ids(kSession);
  filter.add_types(v1::EVENT_TYPE_AGENT_MESSAGE);
  cursor_.Open(socket_, 0);
  cursor_.Start(0, EntryFilter(filter));
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_THAT(Written(), ElementsAre(1, 4));
  EXPECT_EQ(cursor_.position(), 4);

  filter.add_ticket_ids("00000000-0000-0000-0000-000000000001");
  cursor_.Start(0, EntryFilter(filter));
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_THAT(Written(), IsEmpty());
  EXPECT_EQ(cursor_.position(), 4) << "a filtered stream says how far it is complete";
}

TEST_F(EventCursorTest, PausedItSendsNothingAndLosesNothing) {
  cursor_.Open(socket_, 0);
  cursor_.Start(0, EntryFilter());
  cursor_.Pause();
  AppendMessages(2);
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_THAT(Written(), IsEmpty());
  cursor_.Resume();
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_THAT(Written(), ElementsAre(1, 2));
}

TEST_F(EventCursorTest, AWholeViewShowsUpToTheLastEventFullyWritten) {
  AppendMessages(5);
  cursor_.Open(socket_, 5);
  EXPECT_EQ(ShownAsOf(), 5) << "at first: where the log stood";
  cursor_.Start(5, EntryFilter());
  socket_.Stall();
  Append({Message(6, "6"), Question(7, "q"), Message(8, "8"), Message(9, "9")});
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_EQ(cursor_.position(), 9);
  EXPECT_EQ(ShownAsOf(), 5);
  socket_.Take();
  EXPECT_EQ(ShownAsOf(), 7) << "a question counts from its last byte on";
  socket_.Take();
  EXPECT_EQ(ShownAsOf(), 9);
}

TEST_F(EventCursorTest, WhatAProtocolDoesNotKnowCountsAsShownInItsPlace) {
  EventCursor plain(recent_, Protocol::kPlain);
  plain.Open(socket_, 0);
  plain.Start(0, EntryFilter());
  v1::Event waiting = Message(2, "");
  waiting.mutable_job_waiting();
  socket_.Stall();
  Append({Message(1, "1"), waiting});
  Append({[] {
    v1::Event event = Message(3, "");
    event.mutable_job_waiting();
    return event;
  }()});
  EXPECT_TRUE(plain.Pump());
  EXPECT_EQ(plain.ShownAsOf(kThisSession), 0);
  socket_.Take();
  EXPECT_EQ(plain.ShownAsOf(kThisSession), 3);
  EXPECT_THAT(socket_.TakeTexts(), ElementsAre(HasSubstr("\"content\":\"1\"")));
}

TEST_F(EventCursorTest, BehindAFilterOnlyQuestionsThatWereSentCount) {
  AppendMessages(3);
  cursor_.Open(socket_, 3);
  v1::EventFilter messages;
  messages.add_types(v1::EVENT_TYPE_AGENT_MESSAGE);
  cursor_.Start(3, EntryFilter(messages));
  Append({Question(4, "hidden"), Message(5, "5")});
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_THAT(Written(), ElementsAre(5));
  EXPECT_EQ(ShownAsOf(), 3) << "an event that leaps over a hidden question shows nothing of it";

  cursor_.Stop();
  v1::EventFilter session;
  session.add_session_ids(kSession);
  cursor_.Start(5, EntryFilter(session));
  socket_.Stall();
  Append({Question(6, "shown"), Message(7, "7")});
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_EQ(ShownAsOf(), 3);
  socket_.Take();
  EXPECT_EQ(ShownAsOf(), 6);
  EXPECT_EQ(cursor_.ShownAsOf(*Uuid::Parse(kOtherSession)), 3);

  cursor_.Stop();
  EXPECT_EQ(ShownAsOf(), 3) << "what comes next may not follow on what this filter let through";
}

TEST_F(EventCursorTest, ALiveStartShowsNothingOfWhatItLeapsOver) {
  cursor_.Open(socket_, 0);
  Append({Question(1, "never sent")});
  cursor_.Start(1, EntryFilter());
  AppendMessages(1);
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_EQ(ShownAsOf(), 0);
  Append({Question(3, "sent")});
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_EQ(ShownAsOf(), 3);
}

TEST_F(EventCursorTest, AStateMakesTheViewWholeAgain) {
  cursor_.Open(socket_, 0);
  AppendMessages(2);
  cursor_.Start(2, EntryFilter());
  cursor_.Stop();
  socket_.Stall();
  cursor_.SendState(MakeFrame("{}"), 2);
  cursor_.Start(2, EntryFilter());
  EXPECT_EQ(ShownAsOf(), 0);
  socket_.Take();
  EXPECT_EQ(ShownAsOf(), 2);
}

// What the hub does for each block, beside what Pump alone does: nobody can tell which it was.
class WholeBlockTest : public ::testing::TestWithParam<Protocol> {
 protected:
  struct Reader {
    explicit Reader(const RecentEvents& recent) : cursor(recent, GetParam()) {
      cursor.Open(socket, recent.head());
    }
    FakeSocket socket;
    EventCursor cursor;
    int64_t messages = 0;
  };

  WholeBlockTest() { recent_.Begin(kDesk, 0); }

  void Start(int64_t position, const EntryFilter& filter = EntryFilter()) {
    for (Reader* reader : {&quick_, &slow_}) reader->cursor.Start(position, filter);
  }
  // Whether the block was sent whole.
  bool Publish(std::vector<v1::Event> events, const std::string& tenant = "") {
    for (v1::Event& event : events) event.set_tenant(tenant);
    const auto block = Block(recent_.head(), events);
    const WholeBlock whole(*block);
    recent_.Append(block);
    EXPECT_TRUE(slow_.cursor.Pump());
    slow_.messages += slow_.cursor.TakeSent();
    const std::optional<int64_t> sent = quick_.cursor.SendWhole(whole);
    if (!sent.has_value()) {
      EXPECT_TRUE(quick_.cursor.Pump());
    }
    quick_.messages += sent.value_or(0) + quick_.cursor.TakeSent();
    Compare();
    return sent.has_value();
  }
  void Compare() {
    EXPECT_EQ(quick_.socket.TakeTexts(), slow_.socket.TakeTexts());
    EXPECT_EQ(quick_.socket.queued_bytes(), slow_.socket.queued_bytes());
    EXPECT_EQ(quick_.cursor.position(), slow_.cursor.position());
    EXPECT_EQ(quick_.messages, slow_.messages);
    for (const char* const session : {kSession, kOtherSession}) {
      const Uuid id = *Uuid::Parse(session);
      EXPECT_EQ(quick_.cursor.ShownAsOf(id), slow_.cursor.ShownAsOf(id));
    }
  }

  RecentEvents recent_{{.events = 1000, .bytes = 4 << 20}};
  Reader quick_{recent_};
  Reader slow_{recent_};
};

TEST_P(WholeBlockTest, GoesToWhoStandsBeforeIt) {
  Start(0);
  EXPECT_TRUE(Publish({Message(1, "a"), TicketCreated(2, "t"), Message(3, "b")}));
  EXPECT_TRUE(Publish({}));
  EXPECT_TRUE(Publish({Message(4, "c"), Question(5, "last")}));
  EXPECT_EQ(quick_.cursor.position(), 5);
}

TEST_P(WholeBlockTest, IsForPumpWhereAQuestionEndsARun) {
  Start(0);
  EXPECT_FALSE(Publish({Question(1, "first"), Message(2, "b")}));
  EXPECT_TRUE(Publish({Message(3, "c")}));
}

TEST_P(WholeBlockTest, IsForPumpWhereItIsTooLargeForOneRun) {
  Start(0);
  EXPECT_FALSE(
      Publish({Message(1, std::string(90'000, 'x')), Message(2, std::string(90'000, 'y'))}));
}

TEST_P(WholeBlockTest, IsForPumpInTheMidstOfIt) {
  for (Reader* reader : {&quick_, &slow_}) reader->cursor.Reopen(1);
  Start(1);
  EXPECT_FALSE(Publish({Message(1, "seen"), Message(2, "b")}));
  EXPECT_TRUE(Publish({Message(3, "c")}));
}

TEST_P(WholeBlockTest, IsForPumpUntilAllIsWritten) {
  Start(0);
  for (Reader* reader : {&quick_, &slow_}) reader->socket.Stall();
  EXPECT_TRUE(Publish({Message(1, "a")}));
  EXPECT_FALSE(Publish({Message(2, "b")}));
  for (Reader* reader : {&quick_, &slow_}) reader->socket.Take(2);
  Compare();
}

TEST_P(WholeBlockTest, IsForPumpWhereSomethingIsKeptBack) {
  Start(0);
  for (Reader* reader : {&quick_, &slow_}) reader->cursor.Pause();
  EXPECT_FALSE(Publish({Message(1, "a")}));
  for (Reader* reader : {&quick_, &slow_}) {
    reader->cursor.Resume();
    EXPECT_TRUE(reader->cursor.Pump());
    reader->messages += reader->cursor.TakeSent();
    reader->cursor.RestrictTo("acme");
  }
  EXPECT_FALSE(Publish({Message(2, "theirs")}, "globex"));
  EXPECT_FALSE(Publish({Message(3, "ours")}, "acme"));
  for (Reader* reader : {&quick_, &slow_}) reader->cursor.Stop();
  EXPECT_FALSE(Publish({Message(4, "to nobody")}));
}

TEST_P(WholeBlockTest, IsForPumpWhereTheViewIsPartial) {
  v1::EventFilter filter;
  filter.add_session_ids(kSession);
  Start(0, EntryFilter(filter));
  EXPECT_FALSE(Publish({Message(1, "a"), Message(2, "b", kOtherSession)}));
  for (Reader* reader : {&quick_, &slow_}) reader->cursor.Stop();
  Start(recent_.head());
  EXPECT_FALSE(Publish({Question(3, "shown")})) << "which question was shown is to be remembered";
}

INSTANTIATE_TEST_SUITE_P(Protocols, WholeBlockTest,
                         ::testing::Values(Protocol::kPlain, Protocol::kV1));

TEST_F(EventCursorTest, AnotherLogStartsItsOwnCount) {
  AppendMessages(50);
  cursor_.Open(socket_, 0);
  cursor_.Start(0, EntryFilter());
  EXPECT_TRUE(cursor_.Pump());
  recent_.Begin(kOtherDesk, 3);
  cursor_.Reopen(3);
  EXPECT_EQ(ShownAsOf(), 3);
  cursor_.Start(3, EntryFilter());
  AppendMessages(1);
  EXPECT_TRUE(cursor_.Pump());
  EXPECT_EQ(ShownAsOf(), 4);
}

}  // namespace
}  // namespace agentdesk::gateway
