// The log of a store.

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/conformance/store_conformance.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"

namespace agentdesk::testing {
namespace {

using record::v1::JobRecord;
using record::v1::TicketRecord;
using store::EventQuery;
using store::EventRead;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int64_t> Sequences(const EventRead& read) {
  std::vector<int64_t> sequences;
  const store::EventBlock block = Value(store::EventBlock::Parse(*read.bytes));
  for (const auto& entry : block.entries()) sequences.push_back(entry.sequence);
  return sequences;
}

bool Passes(const v1::EventFilter& filter, const v1::Event& event) {
  const auto has = [](const auto& list, const auto& value) {
    return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
  };
  return has(filter.ticket_ids(), event.ticket_id()) &&
         has(filter.session_ids(), event.session_id()) &&
         has(filter.types(), static_cast<int>(store::TypeOf(event)));
}

TEST_P(StoreConformance, ReadsRangesOfTheLog) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  for (int64_t sequence = 2; sequence <= 10; ++sequence) {
    EXPECT_THAT(transaction->Append(AgentMessageEvent(ticket, sequence, "hello")), IsOk());
  }
  Commit(std::move(transaction));
  auto view = OpenView();
  const auto read = [&](int64_t after, int64_t up_to, int max_events) {
    EventQuery query;
    query.after = after;
    query.up_to = up_to;
    query.max_events = max_events;
    return Value(view->ReadEvents(query));
  };
  EXPECT_THAT(Sequences(read(0, 3, 10)), ElementsAre(1, 2, 3));
  EXPECT_EQ(read(0, 3, 10).complete_up_to, 3);
  EXPECT_THAT(Sequences(read(2, INT64_MAX, 3)), ElementsAre(3, 4, 5));
  EXPECT_EQ(read(2, INT64_MAX, 3).complete_up_to, 5);
  EXPECT_THAT(Sequences(read(8, INT64_MAX, 10)), ElementsAre(9, 10));
  EXPECT_EQ(read(8, INT64_MAX, 10).complete_up_to, 10);
  // What lies ahead of the log is not known yet.
  EXPECT_THAT(Sequences(read(10, INT64_MAX, 10)), IsEmpty());
  EXPECT_EQ(read(10, INT64_MAX, 10).complete_up_to, 10);
  EXPECT_EQ(read(20, INT64_MAX, 10).complete_up_to, 10);
  EXPECT_EQ(read(0, 20, 20).complete_up_to, 10);
  EXPECT_THAT(Sequences(read(5, 3, 10)), IsEmpty());
}

TEST_P(StoreConformance, BlocksEndBeforeTheyAreTooLarge) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  for (int64_t sequence = 2; sequence <= 6; ++sequence) {
    const size_t size = sequence == 4 ? 100000 : 1000;
    EXPECT_THAT(transaction->Append(AgentMessageEvent(ticket, sequence, std::string(size, 'x'))),
                IsOk());
  }
  Commit(std::move(transaction));
  auto view = OpenView();
  EventQuery query;
  query.max_bytes = 5000;
  query.after = 1;
  EventRead read = Value(view->ReadEvents(query));
  EXPECT_THAT(Sequences(read), ElementsAre(2, 3));
  EXPECT_EQ(read.complete_up_to, 3);
  // One that is larger than the limit comes alone.
  query.after = 3;
  read = Value(view->ReadEvents(query));
  EXPECT_THAT(Sequences(read), ElementsAre(4));
  EXPECT_EQ(read.complete_up_to, 4);
  query.after = 4;
  read = Value(view->ReadEvents(query));
  EXPECT_THAT(Sequences(read), ElementsAre(5, 6));
  query.max_bytes = 0;
  EXPECT_THAT(Sequences(Value(view->ReadEvents(query))), ElementsAre(5));
}

TEST_P(StoreConformance, StoredEventsAreWhatCommitReturned) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  const JobRecord job = NewJob(*ids_, ticket);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  EXPECT_THAT(transaction->Append(UserMessageEvent(ticket, 2, "hello")), IsOk());
  const auto committed = Value(transaction->Commit());
  transaction.reset();
  const EventRead read = Value(OpenView()->ReadEvents({}));
  EXPECT_EQ(*read.bytes, committed->bytes());
  const store::EventBlock block = Value(store::EventBlock::Parse(*read.bytes));
  ASSERT_EQ(block.entries().size(), committed->entries().size());
  for (size_t i = 0; i < committed->entries().size(); ++i) {
    const auto& stored = block.entries()[i];
    const auto& fresh = committed->entries()[i];
    EXPECT_EQ(stored.sequence, fresh.sequence);
    EXPECT_EQ(stored.type, fresh.type);
    EXPECT_EQ(stored.ticket_id, fresh.ticket_id);
    EXPECT_EQ(stored.session_id, fresh.session_id);
    EXPECT_EQ(stored.offset, fresh.offset);
    EXPECT_EQ(stored.size, fresh.size);
  }
}

// Random filters and limits against the plain definition: reading on from where each read was
// complete gives every event that passes, once, in order.
TEST_P(StoreConformance, FiltersLetThroughWhatTheyName) {
  constexpr int64_t kEvents = 300;
  std::mt19937_64 random(5);
  const auto below = [&random](size_t bound) { return static_cast<size_t>(random() % bound); };
  std::vector<TicketRecord> tickets;
  std::vector<v1::Event> events;
  auto transaction = Begin();
  for (int i = 0; i < 6; ++i) {
    TicketRecord ticket = NewTicket(*ids_, absl::StrCat("t", i));
    const JobRecord job = NewJob(*ids_, ticket);
    PutNew(*transaction, ticket, job);
    events.push_back(TicketCreatedEvent(ticket, transaction->head()));
    tickets.push_back(ticket);
  }
  while (transaction->head() < kEvents) {
    const TicketRecord& ticket = tickets[below(5)];
    const int64_t sequence = transaction->head() + 1;
    events.push_back(below(10) == 0
                         ? UserMessageEvent(ticket, sequence, "hi")
                         : AgentMessageEvent(ticket, sequence, std::string(below(400), 'x')));
    EXPECT_THAT(transaction->Append(events.back()), IsOk());
  }
  Commit(std::move(transaction));

  auto view = OpenView();
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    v1::EventFilter filter;
    for (size_t i = below(3); i > 0; --i) {
      filter.add_ticket_ids(below(8) == 0 ? ids_->NewUuid(TimeOf(0)).ToString()
                                          : tickets[below(6)].ticket().ticket_id());
    }
    for (size_t i = below(3) * below(2); i > 0; --i) {
      filter.add_session_ids(below(8) == 0 ? std::string("no session")
                                           : tickets[below(6)].ticket().session_id());
    }
    for (size_t i = below(3); i > 0; --i) {
      filter.add_types(std::vector<v1::EventType>{
          v1::EVENT_TYPE_TICKET_CREATED, v1::EVENT_TYPE_AGENT_MESSAGE, v1::EVENT_TYPE_USER_MESSAGE,
          v1::EVENT_TYPE_TOOL_CALL}[below(4)]);
    }
    EventQuery query;
    query.filter = &filter;
    query.after = static_cast<int64_t>(below(kEvents));
    query.up_to = below(2) == 0 ? INT64_MAX : static_cast<int64_t>(below(kEvents + 20));
    query.max_events = static_cast<int>(1 + below(40));
    query.max_bytes = 1 + below(8000);
    const int64_t end = std::min(query.up_to, kEvents);

    std::vector<int64_t> expected;
    for (const v1::Event& event : events) {
      if (event.sequence() > query.after && event.sequence() <= end && Passes(filter, event)) {
        expected.push_back(event.sequence());
      }
    }
    std::vector<int64_t> found;
    while (query.after < end) {
      const EventRead read = Value(view->ReadEvents(query));
      ASSERT_GT(read.complete_up_to, query.after);
      EXPECT_LE(read.complete_up_to, end);
      const store::EventBlock block = Value(store::EventBlock::Parse(*read.bytes));
      EXPECT_LE(block.entries().size(), static_cast<size_t>(query.max_events));
      for (const auto& entry : block.entries()) {
        found.push_back(entry.sequence);
        EXPECT_LE(entry.sequence, read.complete_up_to);
        EXPECT_EQ(block.Decode(entry).SerializeAsString(),
                  events[static_cast<size_t>(entry.sequence - 1)].SerializeAsString());
      }
      query.after = read.complete_up_to;
    }
    EXPECT_EQ(found, expected);
  }
}

// However many tickets a query names, a read looks at so many events and then says how far it came.
TEST_P(StoreConformance, ASearchForRareEventsAnswersAfterAWhile) {
  constexpr int64_t kEvents = 150000;
  std::vector<TicketRecord> tickets;
  auto transaction = Begin();
  for (const char* name : {"one", "two", "three"}) {
    tickets.push_back(NewTicket(*ids_, name));
    PutNew(*transaction, tickets.back(), NewJob(*ids_, tickets.back()));
  }
  const std::vector<int64_t> rare = {100, 70000, kEvents};
  while (transaction->head() < kEvents) {
    const int64_t sequence = transaction->head() + 1;
    const TicketRecord& ticket = tickets[sequence % 10 == 0 ? 0 : 1];
    const bool is_rare = std::find(rare.begin(), rare.end(), sequence) != rare.end();
    ASSERT_THAT(transaction->Append(is_rare ? UserMessageEvent(ticket, sequence, "rare")
                                            : AgentMessageEvent(ticket, sequence, "often")),
                IsOk());
  }
  Commit(std::move(transaction));
  auto view = OpenView();
  for (size_t named = 0; named <= tickets.size(); ++named) {
    SCOPED_TRACE(named);
    v1::EventFilter filter;
    filter.add_types(v1::EVENT_TYPE_USER_MESSAGE);
    for (size_t i = 0; i < named; ++i) filter.add_ticket_ids(tickets[i].ticket().ticket_id());
    EventQuery query;
    query.filter = &filter;
    std::vector<int64_t> found;
    int reads = 0;
    for (; query.after < kEvents; ++reads) {
      const EventRead read = Value(view->ReadEvents(query));
      ASSERT_GT(read.complete_up_to, query.after);
      for (int64_t sequence : Sequences(read)) found.push_back(sequence);
      query.after = read.complete_up_to;
    }
    EXPECT_EQ(found, rare);
    // The first ticket alone has few events.
    EXPECT_EQ(reads > 1, named != 1);
    EXPECT_LT(reads, 12);
  }
}

TEST_P(StoreConformance, AgentSpeaksByMessageToolAndQuestion) {
  TicketRecord ticket = NewTicket(*ids_, "one");
  TicketRecord other = NewTicket(*ids_, "other");
  const JobRecord job = NewJob(*ids_, ticket);
  const JobRecord other_job = NewJob(*ids_, other);
  auto transaction = Begin();
  PutNew(*transaction, ticket, job);
  PutNew(*transaction, other, other_job);
  const auto append = [&](v1::Event event) { EXPECT_THAT(transaction->Append(event), IsOk()); };
  append(UserMessageEvent(ticket, 3, "hi"));
  append(AgentMessageEvent(other, 4, "not this session"));
  v1::Event tool = NewEvent(ticket, 5);
  tool.mutable_tool_call()->set_tool_name("ls");
  append(tool);
  append(UserMessageEvent(ticket, 6, "hm"));
  v1::Event question = NewEvent(ticket, 7);
  question.mutable_agent_question();
  append(question);
  append(AgentMessageEvent(ticket, 8, "so"));
  v1::Event requeued = NewEvent(ticket, 9);
  requeued.mutable_job_requeued();
  append(requeued);
  const std::string session = ticket.ticket().session_id();
  for (int64_t spoke : {5, 7, 8})
    EXPECT_TRUE(Value(transaction->AgentSpoke(session, spoke - 1, spoke)));
  Commit(std::move(transaction));
  auto view = OpenView();
  EXPECT_FALSE(Value(view->AgentSpoke(session, 0, 4)));
  EXPECT_TRUE(Value(view->AgentSpoke(session, 0, 5)));
  EXPECT_FALSE(Value(view->AgentSpoke(session, 5, 6)));
  EXPECT_TRUE(Value(view->AgentSpoke(session, 6, INT64_MAX)));
  EXPECT_FALSE(Value(view->AgentSpoke(session, 8, INT64_MAX)));
  EXPECT_FALSE(Value(view->AgentSpoke("no session", 0, INT64_MAX)));
}

}  // namespace
}  // namespace agentdesk::testing
