#include "core_service/domain/job.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "core_service/domain/limits.h"
#include "tests/unit/domain/ticket_in_memory.h"

namespace agentdesk::domain {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::Value;

// A ticket whose job a worker holds.
class HeldJobTest : public ::testing::Test {
 protected:
  HeldJobTest() {
    desk_.Create();
    desk_.Claim();
    desk_.NewEvents();
  }

  const v1::Event& LastEvent() { return desk_.log().events.back(); }

  TicketInMemory desk_;
};

template <typename Request>
struct Bad {
  std::string field;
  std::string rule;
  std::function<void(Request&)> spoil;
};

TEST(NormalizeClaimTest, FillsInDefaults) {
  const v1::ClaimJobRequest request = Value(Normalize(Parse<v1::ClaimJobRequest>("worker: 'w'")));
  EXPECT_THAT(request.queues(), ::testing::ElementsAre("default"));
  EXPECT_EQ(FromProto(request.lease_duration()), absl::Seconds(30));
  EXPECT_EQ(FromProto(request.wait()), absl::ZeroDuration());
}

TEST(NormalizeClaimTest, NamesEachQueueOnce) {
  const v1::ClaimJobRequest request = Value(Normalize(Parse<v1::ClaimJobRequest>(
      "worker: 'w' queues: 'b' queues: 'a' queues: 'b' queues: 'c' queues: 'a'")));
  EXPECT_THAT(request.queues(), ::testing::ElementsAre("b", "a", "c"));
}

TEST(NormalizeClaimTest, KeepsTheLeaseToTheMillisecond) {
  const v1::ClaimJobRequest request = Value(Normalize(
      Parse<v1::ClaimJobRequest>("worker: 'w' lease_duration { seconds: 1 nanos: 1999999 }")));
  EXPECT_EQ(FromProto(request.lease_duration()), absl::Milliseconds(1001));
}

TEST(NormalizeClaimTest, NamesTheFieldAndTheRule) {
  using Request = v1::ClaimJobRequest;
  const std::vector<Bad<Request>> table = {
      {"worker", "must have 1 to 200 characters, has 0", [](Request& r) { r.clear_worker(); }},
      {"worker", "has 201", [](Request& r) { r.set_worker(std::string(201, 'w')); }},
      {"queues", "must have at most 100 entries, has 101",
       [](Request& r) {
         for (int i = 0; i < 101; ++i) r.add_queues("q");
       }},
      {"queues[1]", "`a-z 0-9 . _ -`",
       [](Request& r) {
         r.add_queues("q");
         r.add_queues("Q");
       }},
      {"queues[0]", "must have 1 to 64 characters, has 0", [](Request& r) { r.add_queues(""); }},
      {"wait", "must be 0 to 1m, is 1m0.5s",
       [](Request& r) { *r.mutable_wait() = ToProto(absl::Seconds(60.5)); }},
      {"wait", "is -1s", [](Request& r) { *r.mutable_wait() = ToProto(-absl::Seconds(1)); }},
      {"lease_duration", "must be 1s to 10m, is 999ms",
       [](Request& r) { *r.mutable_lease_duration() = ToProto(absl::Milliseconds(999)); }},
      {"lease_duration", "must be 1s to 10m, is 10m1s",
       [](Request& r) { *r.mutable_lease_duration() = ToProto(absl::Seconds(601)); }},
      {"lease_duration", "is 0", [](Request& r) { r.mutable_lease_duration(); }},
      {"request_id", "printable", [](Request& r) { r.set_request_id("ä"); }},
  };
  for (const Bad<Request>& bad : table) {
    Request request = Parse<Request>("worker: 'w'");
    bad.spoil(request);
    EXPECT_THAT(Normalize(request), IsInvalidField(bad.field, bad.rule));
  }
}

TEST(ClaimJobTest, GivesALease) {
  TicketInMemory desk;
  desk.Create();
  desk.log().now += absl::Minutes(1);
  desk.NewEvents();
  const v1::ClaimJobResponse response = desk.Claim("worker-7");
  EXPECT_EQ(desk.NewEvents(), "agent_started");
  EXPECT_EQ(response.lease_token(), 2);
  EXPECT_EQ(response.sequence(), 2);
  EXPECT_EQ(FromProto(response.lease_duration()), absl::Seconds(30));
  EXPECT_EQ(FromProto(response.lease_expires_at()), desk.log().now + absl::Seconds(30));
  EXPECT_EQ(response.job().lease_expires_at().seconds(), response.lease_expires_at().seconds());
  EXPECT_EQ(response.reason(), v1::START_REASON_NEW);
  EXPECT_EQ(response.checkpoint_json(), "");
  EXPECT_EQ(response.job().status(), v1::JOB_STATUS_RUNNING);
  EXPECT_EQ(response.job().attempt(), 1);
  EXPECT_EQ(response.job().worker(), "worker-7");
  EXPECT_EQ(response.ticket().status(), v1::JOB_STATUS_RUNNING);
  EXPECT_EQ(FromProto(response.ticket().update_time()), desk.log().now);
  EXPECT_EQ(response.session().session_id(), response.ticket().session_id());
  EXPECT_EQ(desk.job().lease_ms(), 30000);
  const v1::Event& event = desk.log().events.back();
  EXPECT_EQ(event.attempt(), 1);
  EXPECT_EQ(event.agent_started().worker(), "worker-7");
  EXPECT_EQ(event.agent_started().ticket_name(), "Fix the login page");
}

TEST(ClaimJobTest, EachTokenIsGreaterThanTheOneBefore) {
  TicketInMemory desk;
  desk.Create();
  int64_t last = 0;
  for (int attempt = 1; attempt <= 4; ++attempt) {
    const v1::ClaimJobResponse response = desk.Claim(absl::StrCat("worker-", attempt));
    EXPECT_GT(response.lease_token(), last);
    EXPECT_EQ(response.job().attempt(), attempt);
    last = response.lease_token();
    ASSERT_THAT(desk.Release(), IsOk());
  }
}

// A restored log gives out the same sequence a second time.
TEST(ClaimJobTest, ATokenOfALostDeskIsNotThatOfTheRestoredOne) {
  TicketInMemory desk;
  desk.Create();
  v1::ClaimJobRequest request = Value(Normalize(Parse<v1::ClaimJobRequest>("worker: 'w'")));
  Context context = desk.context();
  const auto lost = ClaimJob(request, desk.state(), context);
  context.lease_epoch = LeaseEpoch(1, "0197a1b2-0000-7000-8000-000000000fff");
  const auto restored = ClaimJob(request, desk.state(), context);
  EXPECT_EQ(restored.response.sequence(), lost.response.sequence());
  EXPECT_GT(restored.response.lease_token(), lost.response.lease_token());
  EXPECT_EQ(LeaseStart(restored.response.lease_token()), lost.response.sequence());
  EXPECT_EQ(LeaseStart(lost.response.lease_token()), lost.response.sequence());
  EXPECT_THAT(CheckLease(*restored.change.job, lost.response.lease_token()),
              IsRefused("lease_lost", ""));
}

TEST(ValidateWorkerCallsTest, NamesTheFieldAndTheRule) {
  EXPECT_THAT(Validate(Parse<v1::RenewLeaseRequest>("job_id: 'j'")), IsOk());
  EXPECT_THAT(Validate(v1::RenewLeaseRequest()), IsInvalidField("job_id", "is required"));
  EXPECT_THAT(Validate(Parse<v1::ReceiveInputRequest>("job_id: 'j' after_sequence: 7")), IsOk());
  EXPECT_THAT(Validate(v1::ReceiveInputRequest()), IsInvalidField("job_id", "is required"));
  EXPECT_THAT(Validate(Parse<v1::ReceiveInputRequest>("job_id: 'j' after_sequence: -1")),
              IsInvalidField("after_sequence", "must not be negative"));
}

TEST_F(HeldJobTest, StoresActivity) {
  const v1::ReportActivityResponse response = Value(desk_.Report(Parse<v1::ReportActivityRequest>(
      "activities { message { content: 'reading' key: 'm' } } activities { tool_call { tool_name: "
      "'ls' title: 'List' content: 'a b' output_type: 'text' key: 't' truncated: true size: 99 } "
      "} activities { message { content: 'done' } } checkpoint_json: '[1]'")));
  EXPECT_EQ(response.appended(), 3);
  EXPECT_EQ(response.sequence(), 5);
  EXPECT_EQ(desk_.NewEvents(), "agent_message tool_call agent_message");
  EXPECT_EQ(desk_.log().events[2].agent_message().content(), "reading");
  EXPECT_EQ(desk_.log().events[2].attempt(), 1);
  EXPECT_EQ(desk_.log().events[3].tool_call().size(), 99);
  EXPECT_EQ(desk_.ticket().checkpoint_json(), "[1]");
}

TEST_F(HeldJobTest, ActivityLeavesTheTicketAsItIs) {
  const auto request = Parse<v1::ReportActivityRequest>("activities { message { content: 'm' } }");
  v1::ReportActivityRequest held = request;
  held.set_job_id(desk_.job().job().job_id());
  held.set_lease_token(desk_.job().lease_token());
  const auto decision = Value(ReportActivity(held, {}, desk_.state(), desk_.context()));
  EXPECT_FALSE(decision.change.ticket.has_value());
  EXPECT_FALSE(decision.change.job.has_value());
}

TEST_F(HeldJobTest, StoresAKeyOnce) {
  const auto report = [this](const std::string& text) {
    return Value(desk_.Report(Parse<v1::ReportActivityRequest>(text)));
  };
  EXPECT_EQ(report("activities { message { content: 'a' key: 'k' } } "
                   "activities { message { content: 'b' key: 'k' } }")
                .appended(),
            1);
  EXPECT_EQ(report("activities { message { content: 'c' key: 'k' } } "
                   "activities { message { content: 'd' key: 'l' } } "
                   "activities { message { content: 'e' } } "
                   "activities { message { content: 'e' } }")
                .appended(),
            3);
  const v1::ReportActivityResponse response =
      report("activities { tool_call { tool_name: 't' key: 'k' } }");
  EXPECT_EQ(response.appended(), 0) << "messages and tool calls share their keys";
  EXPECT_EQ(response.sequence(), desk_.log().head());
}

TEST_F(HeldJobTest, AnEmptyReportChangesNothing) {
  EXPECT_EQ(Value(desk_.Report({})).appended(), 0);
  EXPECT_EQ(desk_.NewEvents(), "");
}

TEST_F(HeldJobTest, AnEmptyCheckpointForgetsTheLast) {
  ASSERT_THAT(desk_.Report(Parse<v1::ReportActivityRequest>("checkpoint_json: '1'")), IsOk());
  ASSERT_THAT(desk_.Report({}), IsOk());
  EXPECT_EQ(desk_.ticket().checkpoint_json(), "1");
  ASSERT_THAT(desk_.Report(Parse<v1::ReportActivityRequest>("checkpoint_json: ''")), IsOk());
  EXPECT_EQ(desk_.ticket().checkpoint_json(), "");
}

TEST_F(HeldJobTest, ReportsWhileCancelling) {
  ASSERT_THAT(desk_.Cancel(), IsOk());
  EXPECT_THAT(
      desk_.Report(Parse<v1::ReportActivityRequest>("activities { message { content: 'bye' } }")),
      IsOk());
}

TEST_F(HeldJobTest, RefusesABadReport) {
  using Request = v1::ReportActivityRequest;
  const auto message = [](Request& r) { return r.add_activities()->mutable_message(); };
  const auto tool = [](Request& r) {
    v1::ToolCall* call = r.add_activities()->mutable_tool_call();
    call->set_tool_name("t");
    return call;
  };
  const std::vector<Bad<Request>> table = {
      {"activities", "must have at most 100 entries, has 101",
       [&](Request& r) {
         for (int i = 0; i < 101; ++i) message(r)->set_content("m");
       }},
      {"activities[0]", "must have `message` or `tool_call`",
       [](Request& r) { r.add_activities(); }},
      {"activities[2].message.content", "must have 1 to 32768 bytes of UTF-8, has 0",
       [&](Request& r) {
         message(r)->set_content("m");
         tool(r);
         message(r);
       }},
      {"activities[0].message.content", "has 32769",
       [&](Request& r) { message(r)->set_content(std::string(32769, 'm')); }},
      {"activities[0].message.content", "UTF-8",
       [&](Request& r) { message(r)->set_content("\xED\xA0\x80"); }},
      {"activities[0].message.key", "must have at most 200 characters, has 201",
       [&](Request& r) {
         message(r)->set_content("m");
         r.mutable_activities(0)->mutable_message()->set_key(std::string(201, 'k'));
       }},
      {"activities[0].tool_call.tool_name", "must have 1 to 200 characters, has 0",
       [&](Request& r) { tool(r)->clear_tool_name(); }},
      {"activities[0].tool_call.tool_name", "has 201",
       [&](Request& r) { tool(r)->set_tool_name(std::string(201, 't')); }},
      {"activities[0].tool_call.title", "must have at most 500 characters, has 501",
       [&](Request& r) { tool(r)->set_title(std::string(501, 't')); }},
      {"activities[0].tool_call.content", "must have at most 32768 bytes",
       [&](Request& r) { tool(r)->set_content(std::string(32769, 't')); }},
      {"activities[0].tool_call.output_type", "must have at most 64 characters, has 65",
       [&](Request& r) { tool(r)->set_output_type(std::string(65, 't')); }},
      {"activities[0].tool_call.key", "must have at most 200 characters",
       [&](Request& r) { tool(r)->set_key(std::string(201, 't')); }},
      {"activities[0].tool_call.size", "must be 0 where `truncated` is not set",
       [&](Request& r) { tool(r)->set_size(1); }},
      {"activities[0].tool_call.size", "must be the true size",
       [&](Request& r) { tool(r)->set_truncated(true); }},
      {"activities[0].tool_call.size", "must be the true size",
       [&](Request& r) {
         v1::ToolCall* call = tool(r);
         call->set_truncated(true);
         call->set_size(-1);
       }},
      {"checkpoint_json", "must be one JSON value", [](Request& r) { r.set_checkpoint_json("{"); }},
      {"checkpoint_json", "at most 32768 bytes",
       [](Request& r) { r.set_checkpoint_json(std::string(32769, '1')); }},
      {"request_id", "printable", [](Request& r) { r.set_request_id("\n"); }},
  };
  for (const Bad<Request>& bad : table) {
    Request request;
    bad.spoil(request);
    EXPECT_THAT(desk_.Report(request), IsInvalidField(bad.field, bad.rule));
  }
  EXPECT_THAT(Validate(Request()), IsInvalidField("job_id", "is required"));
  EXPECT_EQ(desk_.NewEvents(), "");
}

TEST_F(HeldJobTest, IsReleasedAtOnce) {
  const v1::ReleaseJobResponse response = Value(desk_.Release());
  EXPECT_EQ(response.job().status(), v1::JOB_STATUS_QUEUED);
  EXPECT_EQ(response.job().failed_attempts(), 0);
  EXPECT_EQ(response.sequence(), desk_.log().head());
  EXPECT_EQ(desk_.NewEvents(), "job_requeued");
  EXPECT_EQ(LastEvent().job_requeued().reason(), v1::REQUEUE_REASON_RELEASED);
  EXPECT_EQ(LastEvent().job_requeued().error(), "");
  EXPECT_FALSE(LastEvent().job_requeued().has_next_attempt_at());
  EXPECT_TRUE(desk_.job().claimable());
  EXPECT_EQ(desk_.Claim().reason(), v1::START_REASON_RELEASED);
}

TEST_F(HeldJobTest, IsReleasedUntilATime) {
  v1::ReleaseJobRequest request;
  *request.mutable_run_after() = ToProto(desk_.log().now + absl::Hours(8));
  ASSERT_THAT(desk_.Release(request), IsOk());
  EXPECT_FALSE(desk_.job().claimable());
  EXPECT_EQ(FromProto(LastEvent().job_requeued().next_attempt_at()),
            desk_.log().now + absl::Hours(8));
  EXPECT_EQ(FromProto(desk_.job().job().next_attempt_at()), desk_.log().now + absl::Hours(8));
}

TEST_F(HeldJobTest, IsReleasedAtOnceWhereTheTimeHasCome) {
  v1::ReleaseJobRequest request;
  *request.mutable_run_after() = ToProto(desk_.log().now);
  ASSERT_THAT(desk_.Release(request), IsOk());
  EXPECT_TRUE(desk_.job().claimable());
  EXPECT_FALSE(desk_.job().job().has_next_attempt_at());
}

TEST_F(HeldJobTest, IsParkedWithItsQuestionsOpen) {
  desk_.AskKey("a");
  desk_.NewEvents();
  ASSERT_THAT(desk_.Park(), IsOk());
  EXPECT_EQ(desk_.NewEvents(), "job_waiting");
  EXPECT_EQ(desk_.status(), v1::JOB_STATUS_WAITING);
  EXPECT_EQ(desk_.ticket().ticket().open_questions(), 1);
}

TEST_F(HeldJobTest, DoesNotSleepOverInput) {
  const int64_t message = Value(desk_.Send()).sequence();
  desk_.NewEvents();
  v1::ReleaseJobRequest request;
  request.set_input_after_sequence(message - 1);
  ASSERT_THAT(desk_.Release(request), IsOk());
  EXPECT_EQ(desk_.NewEvents(), "job_requeued");
  EXPECT_EQ(LastEvent().job_requeued().reason(), v1::REQUEUE_REASON_INPUT);
  EXPECT_EQ(desk_.Claim().reason(), v1::START_REASON_INPUT);
  request.set_input_after_sequence(message);
  ASSERT_THAT(desk_.Release(request), IsOk());
  EXPECT_EQ(desk_.status(), v1::JOB_STATUS_WAITING) << "that input was handed over";
}

TEST_F(HeldJobTest, IsWokenByAnAnswer) {
  desk_.AskKey("a");
  ASSERT_THAT(desk_.Park(), IsOk());
  desk_.NewEvents();
  EXPECT_EQ(desk_.Answer("a", "yes").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_EQ(desk_.NewEvents(), "question_answered job_requeued");
  EXPECT_TRUE(desk_.job().claimable());
  EXPECT_EQ(desk_.Claim().reason(), v1::START_REASON_INPUT);
}

TEST_F(HeldJobTest, IsWokenByAnExpiry) {
  desk_.AskKey("a");
  ASSERT_THAT(desk_.Park(), IsOk());
  desk_.NewEvents();
  desk_.Expire("a");
  EXPECT_EQ(desk_.NewEvents(), "question_expired job_requeued");
  EXPECT_EQ(desk_.Claim().reason(), v1::START_REASON_INPUT);
}

TEST_F(HeldJobTest, AWithdrawalIsNoInput) {
  desk_.AskKey("a");
  ASSERT_THAT(desk_.Withdraw(Parse<v1::WithdrawQuestionRequest>("key: 'a'")), IsOk());
  EXPECT_EQ(desk_.ticket().last_input_sequence(), 0);
  ASSERT_THAT(desk_.Park(), IsOk());
  EXPECT_EQ(desk_.status(), v1::JOB_STATUS_WAITING);
}

TEST_F(HeldJobTest, RefusesABadRelease) {
  v1::ReleaseJobRequest request;
  request.mutable_run_after()->set_nanos(-1);
  EXPECT_THAT(desk_.Release(request), IsInvalidField("run_after", "years 1 to 9999"));
  request.set_input_after_sequence(-1);
  EXPECT_THAT(desk_.Release(request),
              IsInvalidField("input_after_sequence", "must not be negative"));
  request.set_input_after_sequence(desk_.log().head() + 1);
  EXPECT_THAT(desk_.Release(request),
              IsInvalidField("input_after_sequence", "must not lie ahead of the log"));
  request.set_input_after_sequence(desk_.log().head());
  request.set_request_id("\n");
  EXPECT_THAT(desk_.Release(request), IsInvalidField("request_id", "printable"));
  EXPECT_THAT(Validate(v1::ReleaseJobRequest()), IsInvalidField("job_id", "is required"));
}

TEST_F(HeldJobTest, Completes) {
  desk_.AskKey("a");
  desk_.AskKey("b");
  desk_.NewEvents();
  const v1::CompleteJobResponse response = Value(desk_.Complete(
      Parse<v1::CompleteJobRequest>("summary: 'fixed' result_json: '{\"files\": 3}'")));
  EXPECT_EQ(desk_.NewEvents(), "question_withdrawn question_withdrawn agent_complete");
  EXPECT_EQ(response.job().status(), v1::JOB_STATUS_COMPLETED);
  EXPECT_EQ(response.job().summary(), "fixed");
  EXPECT_EQ(response.job().result_json(), "{\"files\": 3}");
  EXPECT_EQ(FromProto(response.job().end_time()), desk_.log().now);
  EXPECT_EQ(response.sequence(), desk_.log().head());
  EXPECT_EQ(LastEvent().agent_complete().status(), v1::JOB_STATUS_COMPLETED);
  EXPECT_EQ(LastEvent().agent_complete().summary(), "fixed");
  EXPECT_EQ(LastEvent().agent_complete().result_json(), "{\"files\": 3}");
  EXPECT_EQ(FromProto(desk_.ticket().session().close_time()), desk_.log().now);
}

TEST_F(HeldJobTest, ALateCompleteEndsAsCancelledAndKeepsWhatItSays) {
  ASSERT_THAT(desk_.Cancel(), IsOk());
  const v1::CompleteJobResponse response =
      Value(desk_.Complete(Parse<v1::CompleteJobRequest>("summary: 'fixed' result_json: 'true'")));
  EXPECT_EQ(response.job().status(), v1::JOB_STATUS_CANCELLED);
  EXPECT_EQ(LastEvent().agent_complete().status(), v1::JOB_STATUS_CANCELLED);
  EXPECT_EQ(LastEvent().agent_complete().summary(), "fixed");
  EXPECT_EQ(response.job().result_json(), "true");
}

TEST_F(HeldJobTest, RefusesABadCompletion) {
  using Request = v1::CompleteJobRequest;
  const std::vector<Bad<Request>> table = {
      {"summary", "must have at most 4096 bytes of UTF-8, has 4097",
       [](Request& r) { r.set_summary(std::string(4097, 's')); }},
      {"summary", "UTF-8", [](Request& r) { r.set_summary("\xFF"); }},
      {"result_json", "must be one JSON value", [](Request& r) { r.set_result_json("nope"); }},
      {"result_json", "at most 32768 bytes",
       [](Request& r) { r.set_result_json(std::string(32769, '1')); }},
      {"request_id", "printable", [](Request& r) { r.set_request_id("\n"); }},
  };
  for (const Bad<Request>& bad : table) {
    Request request;
    bad.spoil(request);
    EXPECT_THAT(desk_.Complete(request), IsInvalidField(bad.field, bad.rule));
  }
  EXPECT_THAT(Validate(Request()), IsInvalidField("job_id", "is required"));
}

TEST_F(HeldJobTest, AFailureIsOfferedAgainLater) {
  desk_.AskKey("a");
  desk_.log().ids.fraction = 0.5;
  desk_.NewEvents();
  ASSERT_THAT(desk_.FailWith("broken", true), IsOk());
  EXPECT_EQ(desk_.NewEvents(), "job_requeued");
  const v1::JobRequeued& requeued = LastEvent().job_requeued();
  EXPECT_EQ(requeued.reason(), v1::REQUEUE_REASON_FAILED);
  EXPECT_EQ(requeued.error(), "broken");
  EXPECT_EQ(requeued.failed_attempts(), 1);
  EXPECT_EQ(FromProto(requeued.next_attempt_at()), desk_.log().now + absl::Milliseconds(750));
  EXPECT_EQ(desk_.job().job().last_error(), "broken");
  EXPECT_EQ(desk_.job().job().next_attempt_at().nanos(), requeued.next_attempt_at().nanos());
  EXPECT_FALSE(desk_.job().claimable());
  EXPECT_EQ(desk_.ticket().ticket().open_questions(), 1) << "open between attempts";
  desk_.BecomeDue();
  EXPECT_TRUE(desk_.job().job().has_next_attempt_at()) << "what readers see did not change";
  EXPECT_EQ(desk_.Claim().reason(), v1::START_REASON_FAILED);
}

TEST_F(HeldJobTest, FailsForGoodWhenNoAttemptIsLeft) {
  for (int failed = 1; failed < kDefaultAttempts; ++failed) {
    ASSERT_THAT(desk_.FailWith(absl::StrCat("error ", failed), true), IsOk());
    ASSERT_EQ(desk_.status(), v1::JOB_STATUS_QUEUED) << failed;
    desk_.BecomeDue();
    desk_.Claim();
  }
  desk_.AskKey("a");
  desk_.NewEvents();
  ASSERT_THAT(desk_.FailWith("error 5", true), IsOk());
  EXPECT_EQ(desk_.NewEvents(), "question_withdrawn agent_error");
  EXPECT_EQ(LastEvent().agent_error().error(), "error 5");
  EXPECT_EQ(LastEvent().agent_error().failed_attempts(), 5);
  EXPECT_EQ(desk_.job().job().last_error(), "error 5");
  EXPECT_EQ(desk_.job().job().failed_attempts(), 5);
  EXPECT_EQ(desk_.status(), v1::JOB_STATUS_FAILED);
}

TEST_F(HeldJobTest, FailsForGoodWhenItMayNotBeRetried) {
  ASSERT_THAT(desk_.FailWith("no such page", false), IsOk());
  EXPECT_EQ(desk_.NewEvents(), "agent_error");
  EXPECT_EQ(desk_.status(), v1::JOB_STATUS_FAILED);
  EXPECT_EQ(LastEvent().agent_error().failed_attempts(), 1);
}

TEST_F(HeldJobTest, AFailureWhileCancellingIsTheEndOfTheCancel) {
  ASSERT_THAT(desk_.Cancel(), IsOk());
  desk_.NewEvents();
  ASSERT_THAT(desk_.FailWith("killed", true), IsOk());
  EXPECT_EQ(desk_.NewEvents(), "agent_complete");
  EXPECT_EQ(desk_.status(), v1::JOB_STATUS_CANCELLED);
  EXPECT_EQ(desk_.job().job().failed_attempts(), 0);
  EXPECT_EQ(desk_.job().job().last_error(), "");
}

TEST_F(HeldJobTest, RefusesABadFailure) {
  EXPECT_THAT(desk_.FailWith("", true),
              IsInvalidField("error", "must have 1 to 4096 bytes of UTF-8, has 0"));
  EXPECT_THAT(desk_.FailWith(std::string(4097, 'e'), true), IsInvalidField("error", "has 4097"));
  EXPECT_THAT(desk_.FailWith("\xFF", true), IsInvalidField("error", "UTF-8"));
  EXPECT_THAT(desk_.Fail(Parse<v1::FailJobRequest>("error: 'e' request_id: '\\n'")),
              IsInvalidField("request_id", "printable"));
  EXPECT_THAT(Validate(Parse<v1::FailJobRequest>("error: 'e'")),
              IsInvalidField("job_id", "is required"));
}

TEST_F(HeldJobTest, ALostLeaseCountsAsFailedAttempt) {
  desk_.Lose();
  EXPECT_EQ(desk_.NewEvents(), "job_requeued");
  EXPECT_EQ(LastEvent().job_requeued().reason(), v1::REQUEUE_REASON_LEASE_LOST);
  EXPECT_EQ(LastEvent().job_requeued().error(), "the worker lost its lease");
  EXPECT_EQ(LastEvent().job_requeued().failed_attempts(), 1);
  EXPECT_FALSE(desk_.job().claimable());
  EXPECT_TRUE(desk_.job().job().has_next_attempt_at());
  EXPECT_EQ(desk_.job().job().last_error(), "the worker lost its lease");
  desk_.BecomeDue();
  EXPECT_EQ(desk_.Claim().reason(), v1::START_REASON_LEASE_LOST);
}

TEST_F(HeldJobTest, ALostLeaseCountsNothingWhileAQuestionIsOpen) {
  desk_.AskKey("a");
  for (int i = 0; i < 2 * kDefaultAttempts; ++i) {
    desk_.NewEvents();
    desk_.Lose();
    EXPECT_EQ(desk_.NewEvents(), "job_requeued");
    EXPECT_EQ(LastEvent().job_requeued().failed_attempts(), 0);
    EXPECT_FALSE(desk_.job().claimable());
    // It waits like any other that went wrong: 1 s, doubled each time, less a chance.
    const absl::Duration wait =
        FromProto(LastEvent().job_requeued().next_attempt_at()) - desk_.log().now;
    EXPECT_GE(wait, Backoff(i + 1, 0) / 2);
    EXPECT_LE(wait, Backoff(i + 1, 0));
    desk_.BecomeDue();
    desk_.Claim();
  }
  EXPECT_EQ(desk_.Answer("a", "yes").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  desk_.Lose();
  EXPECT_EQ(desk_.job().job().failed_attempts(), 1);
}

TEST_F(HeldJobTest, LostLeasesExhaustTheAttempts) {
  for (int lost = 1; lost < kDefaultAttempts; ++lost) {
    desk_.Lose();
    desk_.BecomeDue();
    desk_.Claim();
  }
  desk_.NewEvents();
  desk_.Lose();
  EXPECT_EQ(desk_.NewEvents(), "agent_error");
  EXPECT_EQ(LastEvent().agent_error().error(), "the worker lost its lease");
  EXPECT_EQ(desk_.status(), v1::JOB_STATUS_FAILED);
}

TEST_F(HeldJobTest, ALeaseLostWhileCancellingIsTheEndOfTheCancel) {
  ASSERT_THAT(desk_.Cancel(), IsOk());
  desk_.NewEvents();
  desk_.Lose();
  EXPECT_EQ(desk_.NewEvents(), "agent_complete");
  EXPECT_EQ(desk_.status(), v1::JOB_STATUS_CANCELLED);
}

TEST_F(HeldJobTest, ReleasesAreNoFailedAttempts) {
  for (int i = 0; i < 2 * kDefaultAttempts; ++i) {
    ASSERT_THAT(desk_.Release(), IsOk());
    desk_.Claim();
  }
  EXPECT_EQ(desk_.job().job().failed_attempts(), 0);
  EXPECT_EQ(desk_.job().job().attempt(), 1 + 2 * kDefaultAttempts);
}

TEST(BackoffTest, DoublesToFiveMinutes) {
  const std::vector<int> seconds = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
  for (size_t i = 0; i < seconds.size(); ++i) {
    EXPECT_EQ(Backoff(static_cast<int>(i) + 1, 0), absl::Seconds(seconds[i]));
  }
  for (const int failed : {64, 100, 1000000, INT32_MAX}) {
    EXPECT_EQ(Backoff(failed, 0), absl::Minutes(5));
  }
}

TEST(BackoffTest, ChanceTakesAwayUpToHalf) {
  for (const int failed : {-1, 0, 1, 2, 9, 10, 100}) {
    EXPECT_EQ(Backoff(failed, 0.5), Backoff(failed, 0) * 0.75);
    const absl::Duration least = Backoff(failed, 0.9999999);
    EXPECT_GE(least, Backoff(failed, 0) / 2);
    EXPECT_GE(least, absl::Milliseconds(500));
    EXPECT_LE(Backoff(failed, 0), absl::Minutes(5));
  }
}

}  // namespace
}  // namespace agentdesk::domain
