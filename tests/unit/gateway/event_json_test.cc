#include "ws_gateway/event_json.h"

#include <string>
#include <vector>

#include "agentdesk/v1/event.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/unit/gateway/gateway_fixture.h"

namespace agentdesk::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

// The fields that every event has, and a payload in protobuf's text format.
v1::Event Make(const std::string& payload) {
  v1::Event event;
  const std::string text =
      "sequence: 7 time { seconds: 1764466504 nanos: 91323000 }"
      "ticket_id: '2bbab082-7928-816f-88e2-f42f69157f7b'"
      "session_id: 'ca35686a-9be9-4437-868c-54b9976b71ec'"
      "job_id: 'job-1' actor { id: 'guest-1a2b' via: 'websocket' } " +
      payload;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &event)) << text;
  return event;
}

std::string Plain(const std::string& payload) {
  std::string text;
  EXPECT_TRUE(AppendPlainEvent(Make(payload), text)) << payload;
  return text;
}

std::string Full(const std::string& payload) {
  std::string text;
  AppendV1Event(Make(payload), text);
  return text;
}

TEST(PlainEventTest, TheExampleOfTheContract) {
  EXPECT_EQ(
      Plain("agent_started { ticket_name: 'WebSocket Test Ticket' worker: 'w' }"),
      R"({"type":"agent_started","ticket_id":"2bbab082-7928-816f-88e2-f42f69157f7b","ticket_name":"WebSocket Test Ticket","session_id":"ca35686a-9be9-4437-868c-54b9976b71ec","timestamp":"2025-11-30T01:35:04.091323+00:00"})");
}

// Where a text below says T, S and NOW, the message has the ticket, the session and the timestamp.
std::string Spelled(std::string text) {
  for (const auto& [name, value] :
       {std::pair<std::string, std::string>{
            "$T", R"("ticket_id":"2bbab082-7928-816f-88e2-f42f69157f7b")"},
        {"$S", R"("session_id":"ca35686a-9be9-4437-868c-54b9976b71ec")"},
        {"$NOW", R"("timestamp":"2025-11-30T01:35:04.091323+00:00")"}}) {
    for (size_t at; (at = text.find(name)) != std::string::npos;) {
      text.replace(at, name.size(), value);
    }
  }
  return text;
}

TEST(PlainEventTest, EachTypeByteForByte) {
  const struct {
    std::string payload;
    std::string text;
  } cases[] = {
      {"ticket_created { ticket { ticket_name: 'A' description: 'not shown' } }",
       R"({"type":"ticket_created",$T,"ticket_name":"A",$NOW})"},
      {"agent_question { question { question_id: 'q' content: 'Yes?' free_text: true } }",
       R"({"type":"agent_question","content":"Yes?",$S,$T,"question_id":"q",$NOW})"},
      {"agent_question { question { question_id: 'q' content: 'Which?' "
       "choices { value: 'a' label: 'The A' } choices { value: 'b' } "
       "expires_at { seconds: 1764466505 } } }",
       R"({"type":"agent_question","content":"Which?",$S,$T,"question_id":"q","choices":["a","b"],)"
       R"("expires_at":"2025-11-30T01:35:05.000000+00:00",$NOW})"},
      {"agent_message { content: 'Hi' key: 'k' }",
       R"({"type":"agent_message","content":"Hi",$S,$T,$NOW})"},
      {"tool_call { tool_name: 'grep' title: 'Looks' content: 'c' output_type: 'text' }",
       R"({"type":"tool_call","tool_name":"grep","title":"Looks","content":"c",)"
       R"("output_type":"text",$S,$NOW})"},
      {"user_message { content: 'Stop' }",
       R"({"type":"user_message","content":"Stop",$S,$T,"from":"guest-1a2b",$NOW})"},
      {"question_answered { question_id: 'q' response: 'yes' }",
       R"({"type":"question_answered",$S,$T,"question_id":"q","response":"yes",)"
       R"("answered_by":"guest-1a2b",$NOW})"},
      {"question_answered { question_id: 'q' responses: 'a' responses: 'b' }",
       R"({"type":"question_answered",$S,$T,"question_id":"q","response":["a","b"],)"
       R"("answered_by":"guest-1a2b",$NOW})"},
      {"question_expired { question_id: 'q' default_response: 'no' }",
       R"({"type":"question_expired",$S,$T,"question_id":"q",$NOW})"},
      {"question_withdrawn { question_id: 'q' }",
       R"({"type":"question_withdrawn",$S,$T,"question_id":"q",$NOW})"},
      {"agent_complete { status: JOB_STATUS_COMPLETED summary: 's' }",
       R"({"type":"agent_complete","job_id":"job-1",$T,"status":"completed"})"},
      {"agent_complete { status: JOB_STATUS_CANCELLED }",
       R"({"type":"agent_complete","job_id":"job-1",$T,"status":"cancelled"})"},
      {"agent_error { error: 'It broke' }",
       R"({"type":"agent_error","job_id":"job-1","error":"It broke"})"},
      {"ticket_cancelled { ticket_name: 'A' }", R"({"type":"ticket_cancelled",$T,$NOW})"},
  };
  for (const auto& c : cases) EXPECT_EQ(Plain(c.payload), Spelled(c.text));
}

TEST(PlainEventTest, WhatThePlainProtocolDoesNotKnowIsNotSent) {
  for (const std::string payload : {"ticket_updated {}", "job_requeued {}", "job_waiting {}", ""}) {
    std::string text = "kept";
    EXPECT_FALSE(AppendPlainEvent(Make(payload), text));
    EXPECT_EQ(text, "kept");
  }
}

TEST(PlainEventTest, OnlyWhatMustBeEscapedIs) {
  EXPECT_THAT(Plain(R"(agent_message { content: "\"\\/\b\f\n\r\t\001\037\177\u00e9\u2028😀<" })"),
              HasSubstr("\"content\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xc3\xa9"
                        "\xe2\x80\xa8\xf0\x9f\x98\x80<\","));
}

TEST(V1EventTest, BeginsWithWhatAllEventsHave) {
  EXPECT_EQ(Full("attempt: 2 trace_id: 'abc' job_waiting {}"),
            Spelled(R"({"type":"job_waiting","sequence":7,$NOW,$T,$S,"job_id":"job-1","attempt":2,)"
                    R"("actor":{"id":"guest-1a2b","via":"websocket"},"trace_id":"abc"})"));
}

TEST(V1EventTest, HasAllOfAQuestion) {
  EXPECT_THAT(
      Full("agent_question { question { question_id: 'q' content: 'Which?' multiple: true "
           "choices { value: 'a' label: 'The A' description: 'first' } default_responses: 'a' "
           "details_json: '{\"n\": 12345678901234567890}' may_answer { users: 'ann' } } }"),
      HasSubstr(R"("question_id":"q","content":"Which?","choices":[{"value":"a","label":"The A",)"
                R"("description":"first"}],"free_text":false,"multiple":true,"default":["a"],)"
                R"("may_answer":{"users":["ann"]},"details":{"n": 12345678901234567890}})"));
}

TEST(V1EventTest, ATicketIsWholeAndItsLabelsAreSorted) {
  v1::Event event = Make(
      "ticket_created { ticket { ticket_id: 't' ticket_name: 'A' priority: 5 "
      "status: JOB_STATUS_QUEUED } }");
  // Not by text: the packaged protobuf lays out a map's reflection otherwise than headers compiled
  // for the thread sanitizer.
  auto& labels = *event.mutable_ticket_created()->mutable_ticket()->mutable_labels();
  labels["b\""] = "2";
  labels["a"] = "1";
  std::string text;
  AppendV1Event(event, text);
  EXPECT_THAT(text, HasSubstr(R"("ticket_name":"A","ticket":{"ticket_id":"t","ticket_name":"A",)"
                              R"("description":"","labels":{"a":"1","b\"":"2"},"queue":"",)"
                              R"("priority":5,"max_attempts":0,"timeout_s":0,"status":"queued")"));
}

TEST(V1EventTest, HasWhatEachTypeAdds) {
  EXPECT_THAT(Full("agent_started { ticket_name: 'A' worker: 'w' }"),
              HasSubstr(R"("ticket_name":"A","worker":"w"})"));
  EXPECT_THAT(Full("tool_call { tool_name: 'x' truncated: true size: 99 }"),
              HasSubstr(R"("truncated":true,"size":99})"));
  EXPECT_THAT(Full("agent_complete { status: JOB_STATUS_COMPLETED summary: 's' "
                   "result_json: '[1.50]' }"),
              HasSubstr(R"("status":"completed","summary":"s","result":[1.50]})"));
  EXPECT_THAT(Full("agent_error { error: 'e' failed_attempts: 3 }"),
              HasSubstr(R"("error":"e","failed_attempts":3})"));
  EXPECT_THAT(Full("job_requeued { reason: REQUEUE_REASON_LEASE_LOST error: 'e' "
                   "next_attempt_at { seconds: 1764466505 } failed_attempts: 1 }"),
              HasSubstr(R"("reason":"lease_lost","error":"e",)"
                        R"("next_attempt_at":"2025-11-30T01:35:05.000000+00:00",)"
                        R"("failed_attempts":1})"));
  EXPECT_THAT(Full("question_expired { question_id: 'q' default_response: '' }"),
              HasSubstr(R"("question_id":"q","default":""})"));
  EXPECT_THAT(Full("question_answered { question_id: 'q' sensitive: true }"),
              HasSubstr(R"("response":"","answered_by":"guest-1a2b","sensitive":true})"));
}

TEST(EventTypeTest, NamesGoBothWays) {
  for (int value = 1; value <= v1::EventType_MAX; ++value) {
    const auto type = static_cast<v1::EventType>(value);
    EXPECT_EQ(ParseEventType(EventTypeName(type)), type);
  }
  EXPECT_EQ(ParseEventType("unknown"), std::nullopt);
}

TEST(EventBlockTest, HoldsTheFramesOfBothProtocols) {
  v1::Event waiting = Message(5, "");
  waiting.mutable_job_waiting();
  const auto block = Block(3, {Message(4, "a"), waiting, Message(6, std::string(200, 'x'))});
  EXPECT_EQ(block->after, 3);
  EXPECT_EQ(block->up_to, 6);
  ASSERT_THAT(block->entries, SizeIs(3));
  EXPECT_EQ(block->entries[0].plain_end, block->entries[1].plain_end) << "nothing for plain";
  EXPECT_EQ(block->entries[2].plain_end, block->plain.bytes.size());
  EXPECT_EQ(block->entries[2].v1_end, block->v1.bytes.size());
  EXPECT_EQ(block->entries[0].ticket, *Uuid::Parse(kTicket));
  EXPECT_THAT(Payloads(block->plain.bytes), ElementsAre(HasSubstr("\"a\""), HasSubstr("xxx")));
  EXPECT_THAT(Payloads(block->v1.bytes),
              ElementsAre(StartsWith(R"({"type":"agent_message","sequence":4)"),
                          StartsWith(R"({"type":"job_waiting","sequence":5)"),
                          StartsWith(R"({"type":"agent_message","sequence":6)")));
}

TEST(EventBlockTest, MakesTheBytesOfStreamsOnce) {
  const auto block = Block(3, {Message(4, "a"), Message(5, std::string(200, 'x'))});
  const std::string first = Payloads(block->v1.bytes)[0];
  EXPECT_THAT(Payloads(block->frames(Protocol::kStream).bytes),
              ElementsAre(absl::StrCat("id: ", kDesk, ":4\ndata: ", first, "\n\n"),
                          StartsWith(absl::StrCat("id: ", kDesk, ":5\ndata: {"))));
  EXPECT_EQ(block->end(Protocol::kStream, 1), block->frames(Protocol::kStream).bytes.size());
  const char* const made = block->frames(Protocol::kStream).bytes.data();
  EXPECT_EQ(block->frames(Protocol::kStream).bytes.data(), made);
}

TEST(SnapshotTest, IsCutBetweenItems) {
  v1::Snapshot snapshot;
  for (int i = 0; i < 3; ++i) snapshot.add_tickets()->set_description(std::string(600, 'd'));
  snapshot.add_questions()->set_content("Why?");
  std::vector<std::string> texts;
  for (const Frames& frames : EncodeSnapshot(snapshot, 9, 1500)) {
    for (std::string& text : Payloads(frames.bytes)) texts.push_back(std::move(text));
  }
  ASSERT_THAT(texts, SizeIs(3));
  for (const std::string& text : texts) {
    EXPECT_THAT(text, StartsWith(R"({"type":"snapshot","up_to":9,"tickets":[)"));
    EXPECT_LE(text.size(), 1500u);
  }
  EXPECT_THAT(texts[0], HasSubstr("\"more\":true}"));
  EXPECT_THAT(texts[2], HasSubstr("Why?"));
  EXPECT_THAT(texts[2], HasSubstr("\"more\":false}"));
}

TEST(SnapshotTest, OfAnEmptyDeskIsOneEmptyPart) {
  const std::vector<Frames> frames = EncodeSnapshot(v1::Snapshot(), 0, 2000);
  ASSERT_THAT(frames, SizeIs(1));
  EXPECT_THAT(
      Payloads(frames[0].bytes),
      ElementsAre(
          R"({"type":"snapshot","up_to":0,"tickets":[],"sessions":[],"questions":[],"more":false})"));
}

TEST(EventBlockTest, JoinedBlocksAreWhatOneBlockWouldBe) {
  const auto of = [](v1::Event event, const std::string& tenant) {
    event.set_tenant(tenant);
    return event;
  };
  const std::vector<v1::Event> events = {
      of(TicketCreated(1, "A"), "acme"), of(Message(2, "two"), "zenith"),
      of(Make("job_waiting {}"), "acme"), of(Message(8, "eight"), "acme")};
  const std::shared_ptr<const EventBlock> whole = Block(0, events);
  const std::shared_ptr<const EventBlock> joined =
      JoinBlocks({Block(0, {events[0]}), Block(1, {events[1]}), Block(2, {}),
                  Block(2, {events[2], events[3]})});

  EXPECT_EQ(joined->desk_id, whole->desk_id);
  EXPECT_EQ(joined->after, 0);
  EXPECT_EQ(joined->up_to, 8);
  EXPECT_EQ(joined->committed, whole->committed);
  EXPECT_EQ(joined->tenants, whole->tenants);
  ASSERT_EQ(joined->entries.size(), whole->entries.size());
  for (const Protocol protocol : {Protocol::kPlain, Protocol::kV1, Protocol::kStream}) {
    EXPECT_EQ(joined->frames(protocol).bytes, whole->frames(protocol).bytes);
    for (size_t i = 0; i < joined->entries.size(); ++i) {
      EXPECT_EQ(joined->end(protocol, i), whole->end(protocol, i));
      EXPECT_EQ(joined->entries[i].tenant, whole->entries[i].tenant);
      EXPECT_EQ(joined->entries[i].sequence, whole->entries[i].sequence);
    }
  }
}

}  // namespace
}  // namespace agentdesk::gateway
