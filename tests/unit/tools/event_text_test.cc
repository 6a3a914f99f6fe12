#include "tools/agentdesk/event_text.h"

#include "core_service/base/timestamp.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/event_json.h"

namespace agentdesk::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

v1::Event AnEvent() {
  v1::Event event;
  event.set_sequence(7);
  *event.mutable_time() = ToProto(absl::FromUnixSeconds(1764466501) + absl::Microseconds(946551));
  event.set_ticket_id("t-1");
  event.set_session_id("s-1");
  event.mutable_actor()->set_id("ada");
  event.mutable_actor()->set_via("grpc");
  return event;
}

TEST(EventTextTest, RemembersTheTicketsName) {
  EventText text(false, absl::UTCTimeZone(), "agentdesk");
  v1::Event event = AnEvent();
  event.mutable_agent_message()->set_content("hello");
  EXPECT_EQ(text.Of(event), "01:35:01      7 agent     [t-1] hello\n");
  event.mutable_ticket_created()->mutable_ticket()->set_ticket_name("Fix it");
  text.Of(event);
  event.mutable_agent_message()->set_content("hello\nagain");
  EXPECT_EQ(text.Of(event),
            "01:35:01      7 agent     [Fix it] hello\n                    again\n");
}

TEST(EventTextTest, QuestionShowsHowToAnswer) {
  EventText text(false, absl::UTCTimeZone(), "agentdesk");
  v1::Event event = AnEvent();
  v1::Question& question = *event.mutable_agent_question()->mutable_question();
  question.set_question_id("q-1");
  question.set_content("Which?");
  question.add_choices()->set_value("the red one");
  EXPECT_THAT(text.Of(event), HasSubstr("agentdesk answer q-1 'the red one'"));
}

TEST(EventTextTest, NothingSteersTheTerminal) {
  EventText text(false, absl::UTCTimeZone(), "agentdesk");
  v1::Event event = AnEvent();
  event.mutable_ticket_created()->mutable_ticket()->set_ticket_name("\x1b[2Jname");
  EXPECT_THAT(text.Of(event), Not(HasSubstr("\x1b")));
  event.mutable_tool_call()->set_content("\x1b]0;title\x07");
  EXPECT_THAT(text.Of(event), Not(HasSubstr("\x1b")));
  EventText coloured(true, absl::UTCTimeZone(), "agentdesk");
  EXPECT_THAT(coloured.Of(event), HasSubstr("\x1b[2m"));
}

TEST(EventJsonTest, NamesAndOrderOfTheFullProtocol) {
  v1::Event event = AnEvent();
  event.set_job_id("job-1");
  event.set_attempt(2);
  event.mutable_question_answered()->set_question_id("q");
  event.mutable_question_answered()->set_key("k");
  event.mutable_question_answered()->set_response("ja — \"ok\"");
  EXPECT_EQ(
      tools::ToJson(event),
      R"({"type":"question_answered","sequence":7,"timestamp":"2025-11-30T01:35:01.946551+00:00",)"
      R"("ticket_id":"t-1","session_id":"s-1","job_id":"job-1","attempt":2,)"
      R"("actor":{"id":"ada","via":"grpc"},"question_id":"q","response":"ja — \"ok\"","answered_by":"ada","key":"k"})");
}

TEST(EventJsonTest, EveryTypeHasItsWord) {
  const auto* payload = v1::Event::descriptor()->FindOneofByName("payload");
  for (int i = 0; i < payload->field_count(); ++i) {
    v1::Event event = AnEvent();
    event.GetReflection()->MutableMessage(&event, payload->field(i));
    EXPECT_THAT(tools::ToJson(event), HasSubstr("\"type\":\"" + payload->field(i)->name() + "\""));
  }
  EXPECT_EQ(tools::Word(v1::JOB_STATUS_CANCELLING), "cancelling");
  EXPECT_EQ(tools::StatusOfWord("running"), v1::JOB_STATUS_RUNNING);
  EXPECT_EQ(tools::StatusOfWord("nonsense"), v1::JOB_STATUS_UNSPECIFIED);
}

TEST(EventJsonTest, StoredJsonPassesThroughUnchanged) {
  v1::Event event = AnEvent();
  event.mutable_agent_complete()->set_status(v1::JOB_STATUS_COMPLETED);
  event.mutable_agent_complete()->set_result_json("{\"n\":12345678901234567890123,\n\"x\":1.0}");
  EXPECT_THAT(tools::ToJson(event),
              HasSubstr(R"("result":{"n":12345678901234567890123, "x":1.0})"));
}

}  // namespace
}  // namespace agentdesk::cli
