#include "core_service/store/event_block.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"

namespace agentdesk::store {
namespace {

using testing::AgentMessageEvent;
using testing::HasCode;
using testing::NewEvent;
using testing::SeededIds;
using testing::TicketCreatedEvent;
using testing::Value;

class EventBlockTest : public ::testing::Test {
 protected:
  SeededIds ids_{1};
  record::v1::TicketRecord ticket_ = testing::NewTicket(ids_, "one");
};

TEST_F(EventBlockTest, AnyRunOfEventsIsAResponse) {
  EventBlock block;
  v1::SubscribeResponse expected;
  for (int64_t sequence = 1; sequence <= 5; ++sequence) {
    const v1::Event event =
        AgentMessageEvent(ticket_, sequence, std::string(static_cast<size_t>(sequence) * 60, 'x'));
    block.Append(event);
    if (sequence > 1 && sequence < 5) *expected.add_events() = event;
  }
  const EventBlock::Entry& first = block.entries()[1];
  const EventBlock::Entry& last = block.entries()[3];
  v1::SubscribeResponse response;
  ASSERT_TRUE(response.ParseFromString(
      std::string(block.bytes().substr(first.offset, last.offset + last.size - first.offset))));
  EXPECT_EQ(response.SerializeAsString(), expected.SerializeAsString());
}

TEST_F(EventBlockTest, EntriesTakenFromTheEncodingAreTheSame) {
  EventBlock made;
  v1::Event created = TicketCreatedEvent(ticket_, 300);
  created.set_tenant("acme");
  made.Append(created);
  v1::Event bare;
  bare.set_sequence(301);
  bare.mutable_job_waiting();
  made.Append(bare);
  const EventBlock copied = Value(EventBlock::Parse(std::string(made.bytes())));
  EXPECT_EQ(copied.bytes(), made.bytes());
  ASSERT_EQ(copied.entries().size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const EventBlock::Entry& expected = made.entries()[i];
    const EventBlock::Entry& entry = copied.entries()[i];
    EXPECT_EQ(entry.sequence, expected.sequence);
    EXPECT_EQ(entry.type, expected.type);
    EXPECT_EQ(entry.ticket_id, expected.ticket_id);
    EXPECT_EQ(entry.session_id, expected.session_id);
    EXPECT_EQ(entry.offset, expected.offset);
    EXPECT_EQ(entry.size, expected.size);
    EXPECT_EQ(entry.tenant, i == 0 ? "acme" : "");
    EXPECT_EQ(expected.tenant, entry.tenant);
    EXPECT_EQ(copied.Decode(entry).SerializeAsString(), made.Decode(expected).SerializeAsString());
  }
  EXPECT_EQ(made.entries()[0].ticket_id.ToString(), ticket_.ticket().ticket_id());
}

TEST_F(EventBlockTest, WhatIsNoRunOfEventsIsNoBlock) {
  EXPECT_TRUE(Value(EventBlock::Parse("")).empty());
  EventBlock made;
  made.Append(TicketCreatedEvent(ticket_, 1));
  const std::string whole(made.bytes());
  EXPECT_EQ(Value(EncodedSize(whole)), whole.size());
  EXPECT_EQ(Value(EncodedSize(whole + "x")), whole.size());
  const auto is_refused = [](const std::string& bytes) {
    EXPECT_THAT(EncodedSize(bytes), HasCode(absl::StatusCode::kDataLoss));
    EXPECT_THAT(EventBlock::Parse(bytes), HasCode(absl::StatusCode::kDataLoss));
  };
  for (size_t size = 1; size < whole.size(); ++size) is_refused(whole.substr(0, size));
  is_refused("x" + whole);
  is_refused("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  EXPECT_THAT(EncodedSize(""), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(EventBlock::Parse(whole + "x"), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(EventBlock::Parse("\x0a"
                                "\x02"
                                "\x1a\x7f"),
              HasCode(absl::StatusCode::kDataLoss));
}

// The number of each payload's field follows from its type; stored events are read by that.
TEST_F(EventBlockTest, EveryPayloadHasItsType) {
  const auto* descriptor = v1::Event::descriptor();
  const auto* payload = descriptor->FindOneofByName("payload");
  const auto* types = v1::EventType_descriptor();
  ASSERT_EQ(payload->field_count(), types->value_count() - 1);
  for (int i = 0; i < payload->field_count(); ++i) {
    v1::Event event;
    event.set_sequence(1);
    event.GetReflection()->MutableMessage(&event, payload->field(i));
    const v1::EventType type = TypeOf(event);
    EXPECT_EQ(static_cast<int>(type), i + 1) << payload->field(i)->name();
    EventBlock block;
    block.Append(event);
    EXPECT_EQ(Value(EventBlock::Parse(std::string(block.bytes()))).entries()[0].type, type);
  }
}

}  // namespace
}  // namespace agentdesk::store
