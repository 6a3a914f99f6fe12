#include "core_service/domain/ticket.h"

#include <functional>
#include <string>
#include <utility>
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

v1::CreateTicketRequest Request(const std::string& more = "") {
  return Parse<v1::CreateTicketRequest>("ticket_name: 'Fix the login page' " + more);
}

TEST(NormalizeTicketTest, FillsInDefaults) {
  const v1::CreateTicketRequest request = Value(Normalize(Request()));
  EXPECT_EQ(request.queue(), "default");
  EXPECT_EQ(request.priority(), 5);
  EXPECT_EQ(request.max_attempts(), 5);
  EXPECT_EQ(request.timeout_s(), 0);
  EXPECT_EQ(request.ticket_id(), "");
}

TEST(NormalizeTicketTest, KeepsWhatIsSet) {
  const v1::CreateTicketRequest request =
      Value(Normalize(Request("queue: 'q' priority: 0 max_attempts: 1 timeout_s: 604800")));
  EXPECT_EQ(request.queue(), "q");
  EXPECT_EQ(request.priority(), 0);
  EXPECT_EQ(request.max_attempts(), 1);
  EXPECT_EQ(request.timeout_s(), 604800);
}

TEST(NormalizeTicketTest, WritesAnOwnIdInTheOneForm) {
  EXPECT_EQ(Value(Normalize(Request("ticket_id: '2BBAB0827928816F88E2F42F69157F7B'"))).ticket_id(),
            "2bbab082-7928-816f-88e2-f42f69157f7b");
}

TEST(NormalizeTicketTest, KeepsTimesToTheMicrosecond) {
  EXPECT_EQ(Value(Normalize(Request("run_after { seconds: 7 nanos: 1999 }"))).run_after().nanos(),
            1000);
}

TEST(NormalizeTicketTest, TakesTheLargest) {
  v1::CreateTicketRequest request;
  for (int i = 0; i < kMaxTicketNameCharacters; ++i) request.mutable_ticket_name()->append("👍");
  request.set_description(std::string(kMaxContentBytes, 'd'));
  for (int i = 0; i < kMaxLabels; ++i) {
    (*request.mutable_labels())[absl::StrCat(i + 10, std::string(61, 'k'))] = std::string(255, 'v');
  }
  request.set_queue(std::string(64, 'q'));
  request.set_priority(9);
  request.set_max_attempts(100);
  request.set_request_id(std::string(128, 'r'));
  TicketInMemory ticket;
  EXPECT_EQ(ticket.Create(request).ticket().labels_size(), kMaxLabels);
}

struct BadTicket {
  std::string field;
  std::string rule;
  std::function<void(v1::CreateTicketRequest&)> spoil;
};

TEST(NormalizeTicketTest, NamesTheFieldAndTheRule) {
  using Request = v1::CreateTicketRequest;
  const std::vector<BadTicket> table = {
      {"ticket_name", "must have 1 to 500 characters, has 0",
       [](Request& r) { r.clear_ticket_name(); }},
      {"ticket_name", "must have 1 to 500 characters, has 501",
       [](Request& r) { r.set_ticket_name(std::string(501, 'n')); }},
      {"ticket_name", "UTF-8", [](Request& r) { r.set_ticket_name("\xFF"); }},
      {"description", "must have at most 32768 bytes of UTF-8, has 32769",
       [](Request& r) { r.set_description(std::string(32769, 'd')); }},
      {"description", "UTF-8", [](Request& r) { r.set_description("\xC0\x80"); }},
      {"labels", "must have at most 20 entries, has 21",
       [](Request& r) {
         for (int i = 0; i < 21; ++i) (*r.mutable_labels())[absl::StrCat(i)] = "";
       }},
      {"labels.key", "must have 1 to 63 characters, has 0",
       [](Request& r) { (*r.mutable_labels())[""] = "v"; }},
      {"labels.key", "has 64",
       [](Request& r) { (*r.mutable_labels())[std::string(64, 'k')] = "v"; }},
      {"labels[k]", "must have at most 255 characters, has 256",
       [](Request& r) { (*r.mutable_labels())["k"] = std::string(256, 'v'); }},
      {"queue", "`a-z 0-9 . _ -`", [](Request& r) { r.set_queue("A"); }},
      {"queue", "must have 1 to 64 characters, has 65",
       [](Request& r) { r.set_queue(std::string(65, 'q')); }},
      {"priority", "must be 0 to 9, is -1", [](Request& r) { r.set_priority(-1); }},
      {"priority", "must be 0 to 9, is 10", [](Request& r) { r.set_priority(10); }},
      {"run_after", "years 1 to 9999", [](Request& r) { r.mutable_run_after()->set_nanos(-1); }},
      {"max_attempts", "must be 1 to 100, is 0", [](Request& r) { r.set_max_attempts(0); }},
      {"max_attempts", "must be 1 to 100, is 101", [](Request& r) { r.set_max_attempts(101); }},
      {"timeout_s", "must be 0 to 604800, is -1", [](Request& r) { r.set_timeout_s(-1); }},
      {"timeout_s", "must be 0 to 604800, is 604801", [](Request& r) { r.set_timeout_s(604801); }},
      {"ticket_id", "must be a UUID", [](Request& r) { r.set_ticket_id("7"); }},
      {"ticket_id", "all zeros",
       [](Request& r) { r.set_ticket_id("00000000-0000-0000-0000-000000000000"); }},
      {"request_id", "must have at most 128 characters, has 129",
       [](Request& r) { r.set_request_id(std::string(129, 'r')); }},
      {"request_id", "printable ASCII", [](Request& r) { r.set_request_id("\t"); }},
  };
  for (const BadTicket& bad : table) {
    v1::CreateTicketRequest request;
    request.set_ticket_name("Fix the login page");
    bad.spoil(request);
    EXPECT_THAT(Normalize(request), IsInvalidField(bad.field, bad.rule));
  }
}

TEST(CreateTicketTest, MakesTicketSessionAndJob) {
  TicketInMemory desk;
  v1::CreateTicketRequest request =
      Request("description: 'now' queue: 'web' priority: 7 max_attempts: 2 timeout_s: 60");
  // Not in the text: the packaged protobuf cannot reach a map by its text under the thread
  // sanitizer.
  (*request.mutable_labels())["team"] = "web";
  const v1::CreateTicketResponse response = desk.Create(request);
  const v1::Ticket& ticket = desk.ticket().ticket();
  EXPECT_EQ(ticket.ticket_id(), "00000000-0000-0001-0000-000000000001");
  EXPECT_EQ(ticket.ticket_name(), "Fix the login page");
  EXPECT_EQ(ticket.description(), "now");
  EXPECT_EQ(ticket.labels().at("team"), "web");
  EXPECT_EQ(ticket.queue(), "web");
  EXPECT_EQ(ticket.priority(), 7);
  EXPECT_EQ(ticket.max_attempts(), 2);
  EXPECT_EQ(ticket.timeout_s(), 60);
  EXPECT_EQ(ticket.status(), v1::JOB_STATUS_QUEUED);
  EXPECT_EQ(ticket.created_by().id(), "ada");
  EXPECT_EQ(ticket.tenant(), "tenant-1");
  EXPECT_EQ(ticket.trace_id(), "trace-0");
  EXPECT_EQ(FromProto(ticket.create_time()), desk.log().now);
  EXPECT_EQ(FromProto(ticket.update_time()), desk.log().now);

  const v1::Session& session = desk.ticket().session();
  EXPECT_EQ(session.session_id(), ticket.session_id());
  EXPECT_EQ(session.ticket_id(), ticket.ticket_id());
  EXPECT_EQ(session.state(), v1::SESSION_STATE_OPEN);
  EXPECT_EQ(session.created_by().id(), "ada");
  EXPECT_EQ(session.tenant(), "tenant-1");

  const v1::Job& job = desk.job().job();
  EXPECT_EQ(job.job_id(), ticket.job_id());
  EXPECT_TRUE(job.job_id().starts_with("job-00000000-"));
  EXPECT_EQ(job.ticket_id(), ticket.ticket_id());
  EXPECT_EQ(job.session_id(), ticket.session_id());
  EXPECT_EQ(job.attempt(), 0);
  EXPECT_EQ(job.queue(), "web");
  EXPECT_EQ(job.priority(), 7);
  EXPECT_EQ(job.created_by().id(), "ada");
  EXPECT_TRUE(desk.job().claimable());
  EXPECT_EQ(desk.job().start_reason(), v1::START_REASON_NEW);

  EXPECT_EQ(response.ticket_id(), ticket.ticket_id());
  EXPECT_EQ(response.job_id(), job.job_id());
  EXPECT_EQ(response.status(), v1::JOB_STATUS_QUEUED);
  EXPECT_EQ(response.sequence(), 1);
  EXPECT_FALSE(response.replayed());
  EXPECT_EQ(response.ticket().ticket_name(), "Fix the login page");
  EXPECT_EQ(desk.NewEvents(), "ticket_created");
  EXPECT_EQ(desk.log().events[0].ticket_created().ticket().ticket_id(), ticket.ticket_id());
}

TEST(CreateTicketTest, TakesAnIdOfTheCallersOwn) {
  TicketInMemory desk;
  EXPECT_EQ(desk.Create(Request("ticket_id: '2BBAB0827928816F88E2F42F69157F7B'")).ticket_id(),
            "2bbab082-7928-816f-88e2-f42f69157f7b");
}

TEST(CreateTicketTest, WaitsForRunAfter) {
  TicketInMemory desk;
  v1::CreateTicketRequest request = Request();
  *request.mutable_run_after() = ToProto(desk.log().now + absl::Hours(1));
  desk.Create(request);
  EXPECT_FALSE(desk.job().claimable());
  EXPECT_EQ(FromProto(desk.job().job().next_attempt_at()), desk.log().now + absl::Hours(1));
  desk.log().now += absl::Hours(1);
  desk.BecomeDue();
  EXPECT_TRUE(desk.job().claimable());
}

TEST(CreateTicketTest, ARunAfterOfThePastIsNow) {
  TicketInMemory desk;
  v1::CreateTicketRequest request = Request();
  *request.mutable_run_after() = ToProto(desk.log().now);
  desk.Create(request);
  EXPECT_TRUE(desk.job().claimable());
  EXPECT_FALSE(desk.job().job().has_next_attempt_at());
}

TEST(TicketExistsTest, NamesTheTicket) {
  TicketInMemory desk;
  desk.Create();
  const absl::Status status = TicketExists(desk.ticket());
  EXPECT_THAT(status, HasCode(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(status, IsRefused("already_exists", "\"Fix the login page\", which is queued"));
  EXPECT_EQ(DetailOf(status).field, "ticket_id");
  EXPECT_THAT(DetailOf(status).metadata, ::testing::ElementsAre(std::make_pair(
                                             "ticket_id", desk.ticket().ticket().ticket_id())));
}

TEST(ValidateTicketCallsTest, NamesTheField) {
  EXPECT_THAT(Validate(Parse<v1::CancelTicketRequest>("ticket_id: 't' request_id: 'r'")), IsOk());
  EXPECT_THAT(Validate(Parse<v1::RetryTicketRequest>("ticket_id: 't' request_id: 'r'")), IsOk());
  EXPECT_THAT(Validate(v1::CancelTicketRequest()), IsInvalidField("ticket_id", "is required"));
  EXPECT_THAT(Validate(v1::RetryTicketRequest()), IsInvalidField("ticket_id", "is required"));
  EXPECT_THAT(Validate(Parse<v1::CancelTicketRequest>("ticket_id: 't' request_id: '\\n'")),
              IsInvalidField("request_id", "printable"));
  EXPECT_THAT(Validate(Parse<v1::RetryTicketRequest>("ticket_id: 't' request_id: '\\n'")),
              IsInvalidField("request_id", "printable"));
}

TEST(CancelTicketTest, EndsAQueuedTicketAtOnce) {
  TicketInMemory desk;
  desk.Create();
  desk.NewEvents();
  const v1::CancelTicketResponse response = Value(desk.Cancel());
  EXPECT_EQ(response.ticket().status(), v1::JOB_STATUS_CANCELLED);
  EXPECT_EQ(response.sequence(), 3);
  EXPECT_EQ(desk.NewEvents(), "ticket_cancelled agent_complete");
  EXPECT_EQ(desk.log().events[1].ticket_cancelled().status(), v1::JOB_STATUS_CANCELLED);
  EXPECT_EQ(desk.log().events[1].ticket_cancelled().ticket_name(), "Fix the login page");
  EXPECT_EQ(desk.log().events[2].agent_complete().status(), v1::JOB_STATUS_CANCELLED);
}

TEST(CancelTicketTest, ForgetsTheTimeOfTheNextAttempt) {
  TicketInMemory desk;
  desk.Create();
  desk.Claim();
  ASSERT_THAT(desk.FailWith("broken", true), IsOk());
  ASSERT_TRUE(desk.job().job().has_next_attempt_at());
  ASSERT_THAT(desk.Cancel(), IsOk());
  EXPECT_FALSE(desk.job().job().has_next_attempt_at());
}

TEST(CancelTicketTest, WithdrawsTheQuestionsOfAParkedJob) {
  TicketInMemory desk;
  desk.Create();
  desk.Claim();
  desk.AskKey("a");
  desk.AskKey("b");
  ASSERT_THAT(desk.Park(), IsOk());
  desk.NewEvents();
  EXPECT_EQ(Value(desk.Cancel()).ticket().open_questions(), 0);
  EXPECT_EQ(desk.NewEvents(),
            "ticket_cancelled question_withdrawn question_withdrawn agent_complete");
  EXPECT_EQ(desk.Question("a")->question().state(), v1::QUESTION_STATE_WITHDRAWN);
  EXPECT_EQ(desk.Question("b")->question().state(), v1::QUESTION_STATE_WITHDRAWN);
}

TEST(CancelTicketTest, TellsARunningAgentAndLeavesItsLease) {
  TicketInMemory desk;
  desk.Create();
  const int64_t token = desk.Claim().lease_token();
  desk.AskKey("a");
  desk.NewEvents();
  EXPECT_EQ(Value(desk.Cancel()).ticket().status(), v1::JOB_STATUS_CANCELLING);
  EXPECT_EQ(desk.NewEvents(), "ticket_cancelled question_withdrawn");
  EXPECT_EQ(desk.job().lease_token(), token);
  EXPECT_EQ(desk.ticket().session().state(), v1::SESSION_STATE_OPEN);
  ASSERT_THAT(desk.Complete(), IsOk());
  EXPECT_EQ(desk.status(), v1::JOB_STATUS_CANCELLED);
}

TEST(CancelTicketTest, ChangesNothingTheSecondTime) {
  TicketInMemory desk;
  desk.Create();
  desk.Claim();
  ASSERT_THAT(desk.Cancel(), IsOk());
  desk.NewEvents();
  const Decision<v1::CancelTicketResponse> again =
      Value(CancelTicket(desk.state(), desk.context()));
  EXPECT_TRUE(again.change.empty());
  EXPECT_EQ(again.response.ticket().status(), v1::JOB_STATUS_CANCELLING);
  EXPECT_EQ(again.response.sequence(), desk.log().head());
}

TEST(RetryTicketTest, MakesANewJobInTheSameSession) {
  TicketInMemory desk;
  desk.Create();
  const std::string session_id = desk.ticket().session().session_id();
  const std::string first_job = desk.Claim().job().job_id();
  ASSERT_THAT(desk.Report(Parse<v1::ReportActivityRequest>("checkpoint_json: '{\"step\":3}'")),
              IsOk());
  ASSERT_THAT(desk.FailWith("broken", false), IsOk());
  ASSERT_EQ(desk.status(), v1::JOB_STATUS_FAILED);
  desk.NewEvents();
  desk.log().now += absl::Minutes(1);
  desk.log().actor.set_id("grace");

  const v1::RetryTicketResponse response = Value(desk.Retry());
  EXPECT_EQ(desk.NewEvents(), "ticket_updated");
  EXPECT_EQ(response.sequence(), desk.log().head());
  EXPECT_NE(response.job_id(), first_job);
  EXPECT_EQ(response.ticket().job_id(), response.job_id());
  EXPECT_EQ(response.ticket().status(), v1::JOB_STATUS_QUEUED);
  const v1::Ticket& told = desk.log().events.back().ticket_updated().ticket();
  EXPECT_EQ(told.SerializeAsString(), desk.ticket().ticket().SerializeAsString());
  EXPECT_EQ(desk.job().job().attempt(), 1);
  EXPECT_EQ(desk.job().job().failed_attempts(), 0);
  EXPECT_EQ(desk.job().job().created_by().id(), "grace");
  EXPECT_EQ(desk.ticket().ticket().created_by().id(), "ada");
  EXPECT_EQ(desk.ticket().session().session_id(), session_id);

  const v1::ClaimJobResponse claim = desk.Claim();
  EXPECT_EQ(claim.reason(), v1::START_REASON_RETRY);
  EXPECT_EQ(claim.job().attempt(), 2);
  EXPECT_EQ(claim.checkpoint_json(), "{\"step\":3}");
}

TEST(RetryTicketTest, HonoursARunAfterStillToCome) {
  TicketInMemory desk;
  v1::CreateTicketRequest request = Request();
  *request.mutable_run_after() = ToProto(desk.log().now + absl::Hours(1));
  desk.Create(request);
  ASSERT_THAT(desk.Cancel(), IsOk());
  ASSERT_THAT(desk.Retry(), IsOk());
  EXPECT_FALSE(desk.job().claimable());
  EXPECT_EQ(FromProto(desk.job().job().next_attempt_at()), desk.log().now + absl::Hours(1));
}

TEST(RetryTicketTest, TheLeaseOfTheJobBeforeIsWorthNothing) {
  TicketInMemory desk;
  desk.Create();
  const v1::ClaimJobResponse before = desk.Claim();
  ASSERT_THAT(desk.FailWith("broken", false), IsOk());
  ASSERT_THAT(desk.Retry(), IsOk());
  desk.Claim();
  v1::CompleteJobRequest late;
  late.set_job_id(before.job().job_id());
  late.set_lease_token(before.lease_token());
  EXPECT_THAT(desk.Complete(late), IsRefused("lease_lost", "Stop the agent"));
  late.set_lease_token(desk.job().lease_token());
  EXPECT_THAT(desk.Complete(late), IsRefused("lease_lost", "Stop the agent"));
}

}  // namespace
}  // namespace agentdesk::domain
