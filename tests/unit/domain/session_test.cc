#include "core_service/domain/session.h"

#include <string>

#include "core_service/domain/limits.h"
#include "tests/unit/domain/ticket_in_memory.h"

namespace agentdesk::domain {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::Value;

TEST(SendMessageTest, IsInTheLogAsInput) {
  TicketInMemory desk;
  desk.Create();
  const v1::SendMessageResponse response = Value(desk.Send("look at the logs"));
  EXPECT_EQ(response.sequence(), 2);
  EXPECT_EQ(desk.NewEvents(), "ticket_created user_message");
  EXPECT_EQ(desk.log().events[1].user_message().content(), "look at the logs");
  EXPECT_EQ(desk.ticket().last_input_sequence(), 2);
}

TEST(SendMessageTest, WakesAParkedJob) {
  TicketInMemory desk;
  desk.Create();
  desk.Claim();
  ASSERT_THAT(desk.Park(), IsOk());
  desk.NewEvents();
  EXPECT_EQ(Value(desk.Send()).sequence(), 4) << "the position of the message itself";
  EXPECT_EQ(desk.NewEvents(), "user_message job_requeued");
  EXPECT_EQ(desk.log().events.back().job_requeued().reason(), v1::REQUEUE_REASON_INPUT);
  EXPECT_EQ(desk.Claim().reason(), v1::START_REASON_INPUT);
}

TEST(SendMessageTest, DoesNotHurryADelayedJob) {
  TicketInMemory desk;
  desk.Create();
  desk.Claim();
  ASSERT_THAT(desk.FailWith("broken", true), IsOk());
  desk.NewEvents();
  ASSERT_THAT(desk.Send(), IsOk());
  EXPECT_EQ(desk.NewEvents(), "user_message");
  EXPECT_FALSE(desk.job().claimable());
}

TEST(SendMessageTest, NamesTheFieldAndTheRule) {
  using Request = v1::SendMessageRequest;
  EXPECT_THAT(Validate(Parse<Request>("session_id: 's' content: 'c' request_id: 'r'")), IsOk());
  EXPECT_THAT(Validate(Parse<Request>("content: 'c'")),
              IsInvalidField("session_id", "is required"));
  EXPECT_THAT(Validate(Parse<Request>("session_id: 's'")),
              IsInvalidField("content", "must have 1 to 32768 bytes of UTF-8, has 0"));
  EXPECT_THAT(Validate(Parse<Request>("session_id: 's' content: 'c' request_id: '\\177'")),
              IsInvalidField("request_id", "printable"));
  TicketInMemory desk;
  desk.Create();
  EXPECT_THAT(desk.Send(std::string(kMaxContentBytes, 'c')), IsOk());
  EXPECT_THAT(desk.Send(std::string(kMaxContentBytes + 1, 'c')),
              IsInvalidField("content", "has 32769"));
  EXPECT_THAT(desk.Send("\xFF"), IsInvalidField("content", "UTF-8"));
}

TEST(SendMessageTest, IsRefusedOnceTheTicketHasEnded) {
  TicketInMemory desk;
  desk.Create();
  ASSERT_THAT(desk.Cancel(), IsOk());
  EXPECT_THAT(desk.Send(), IsRefused("session_closed", "its ticket is cancelled"));
  EXPECT_THAT(desk.Send(), HasCode(absl::StatusCode::kFailedPrecondition));
  ASSERT_THAT(desk.Retry(), IsOk());
  EXPECT_THAT(desk.Send(), IsOk());
}

}  // namespace
}  // namespace agentdesk::domain
