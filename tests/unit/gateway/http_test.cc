#include "ws_gateway/http.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/gateway/gateway_fixture.h"

namespace agentdesk::gateway {
namespace {

using ::agentdesk::testing::Value;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;

class HttpTest : public ::testing::Test {
 protected:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // Sends a request; the answer is in `answer_` as soon as there is one.
  void Ask(const std::string& method, const std::string& target, const std::string& body = "",
           const Headers& headers = {}) {
    HttpRequest request;
    request.method = method;
    request.target = target;
    request.body = body;
    request.headers = headers;
    answer_.reset();
    http_.OnRequest(std::move(request),
                    [this](HttpResponse response) { answer_ = std::move(response); });
  }
  int Status() { return answer_.has_value() ? answer_->status : 0; }

  ::agentdesk::testing::FakeClock clock_;
  FakeCommands commands_;
  LoadLimits limits_{{}, clock_};
  Metrics metrics_;
  ConnectionMetrics connection_metrics_{metrics_};
  Hub hub_{commands_, clock_, IdSource::Real(), {}, limits_, connection_metrics_};
  GatewayState state_;
  WebFiles web_;
  Http http_{commands_, hub_, state_, web_, Value(OriginList::Parse({"http://localhost:*"})),
             metrics_};
  std::optional<HttpResponse> answer_;
};

TEST_F(HttpTest, ShowsMetrics) {
  metrics_.AddCounter("agentdesk_trials_total", "Trials.").Increment();
  Ask("GET", "/metrics");
  EXPECT_EQ(answer_->content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(answer_->body, HasSubstr("agentdesk_trials_total 1\n"));
  Ask("POST", "/metrics", "{}");
  EXPECT_EQ(Status(), 405);
}

TEST_F(HttpTest, CreatesATicket) {
  Ask("POST", "/tickets/create", R"({"ticket_name":"A"})",
      {{"content-type", "application/json; charset=utf-8"},
       {"idempotency-key", "\"k\""},
       {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}});
  ASSERT_THAT(commands_.creates, SizeIs(1));
  auto& asked = commands_.creates.front();
  EXPECT_EQ(asked.caller.actor, "anonymous");
  EXPECT_EQ(asked.caller.via, "http");
  EXPECT_THAT(asked.caller.traceparent, StartsWith("00-0af7"));
  EXPECT_EQ(asked.request.request_id(), "k");
  v1::CreateTicketResponse made;
  made.set_ticket_id(kTicket);
  made.mutable_ticket()->set_ticket_name("A");
  made.set_job_id("job-1");
  made.set_status(v1::JOB_STATUS_QUEUED);
  asked.reply(made);
  EXPECT_EQ(Status(), 200);
  EXPECT_EQ(answer_->body,
            absl::StrCat(R"({"ticket_id":")", kTicket,
                         R"(","ticket_name":"A","job_id":"job-1","status":"queued"})"));
}

TEST_F(HttpTest, ATicketIdInUseShowsTheTicket) {
  Ask("POST", "/tickets/create",
      absl::StrCat(R"({"ticket_name":"A","ticket_id":")", kTicket, "\"}"));
  commands_.creates.front().reply(absl::AlreadyExistsError("in use"));
  ASSERT_THAT(commands_.ticket_gets, SizeIs(1));
  EXPECT_EQ(commands_.ticket_gets.front().request.ticket_id(), kTicket);
  v1::GetTicketResponse found;
  found.mutable_ticket()->set_ticket_name("The first");
  commands_.ticket_gets.front().reply(found);
  EXPECT_EQ(Status(), 409);
  EXPECT_THAT(answer_->body, HasSubstr(R"("code":"already_exists")"));
  EXPECT_THAT(answer_->body, HasSubstr(R"("ticket":{"ticket_id":"","ticket_name":"The first")"));
}

TEST_F(HttpTest, RoutesAndMethods) {
  const struct {
    std::string method;
    std::string target;
    int status;
  } cases[] = {
      {"GET", "/nowhere", 404},
      {"GET", "/tickets/", 404},
      {"GET", "/tickets/no-id", 404},
      {"GET", absl::StrCat("/jobs/", kTicket), 404},
      {"GET", "//tickets", 404},
      {"GET", "/tickets/%zz", 404},
      {"GET", "/tickets/create", 405},
      {"DELETE", "/tickets", 405},
      {"POST", "/health", 405},
      {"GET", "/health", 200},
      {"HEAD", "/health", 200},
      {"GET", "/livez", 200},
      {"GET", "/", 200},
      {"GET", "/tickets?page_size=0", 422},
      {"GET", "/tickets?status=x", 422},
      {"GET", "/questions?state=x", 422},
  };
  for (const auto& c : cases) {
    Ask(c.method, c.target);
    EXPECT_EQ(Status(), c.status) << c.method << " " << c.target;
  }
  Ask("PUT", "/tickets");
  EXPECT_THAT(answer_->headers, Contains(Pair("Allow", "GET, HEAD, OPTIONS")));
}

TEST_F(HttpTest, ServesTheWebPage) {
  const ::agentdesk::testing::TempDir dir;
  std::filesystem::create_directory(dir.File("assets"));
  std::ofstream(dir.File("index.html")) << "<p>console</p>";
  std::ofstream(dir.File("assets/a.css")) << "p{}";
  web_ = Value(WebFiles::Read(dir.path()));

  Ask("GET", "/?x=1");
  EXPECT_EQ(Status(), 200);
  EXPECT_EQ(answer_->body, "<p>console</p>");
  EXPECT_THAT(answer_->headers, Contains(Pair("Cache-Control", "no-cache")));
  EXPECT_THAT(answer_->headers, Contains(Pair("X-Content-Type-Options", "nosniff")));
  EXPECT_THAT(answer_->headers,
              Contains(Pair("Content-Security-Policy", StartsWith("default-src 'none'"))));

  Ask("GET", "/assets/a.css");
  EXPECT_EQ(answer_->content_type, "text/css; charset=utf-8");
  EXPECT_THAT(answer_->headers, Contains(Pair("Cache-Control", HasSubstr("immutable"))));
  std::string etag;
  for (const auto& [name, value] : answer_->headers) {
    if (name == "ETag") etag = value;
  }
  Ask("GET", "/assets/a.css", "", {{"if-none-match", absl::StrCat("\"x\", W/", etag)}});
  EXPECT_EQ(Status(), 304);
  EXPECT_THAT(answer_->headers, Contains(Pair("ETag", etag)));
  Ask("GET", "/assets/a.css", "", {{"if-none-match", "\"x\""}});
  EXPECT_EQ(Status(), 200);
  Ask("POST", "/assets/a.css", "{}");
  EXPECT_EQ(Status(), 404);
}

TEST_F(HttpTest, BodiesThatAreNotJson) {
  Ask("POST", "/tickets/create", "a=b", {{"content-type", "application/x-www-form-urlencoded"}});
  EXPECT_EQ(Status(), 415);
  Ask("POST", "/tickets/create", "{");
  EXPECT_EQ(Status(), 400);
  Ask("POST", "/tickets/create", "[]");
  EXPECT_EQ(Status(), 422);
  EXPECT_THAT(commands_.creates, IsEmpty());
}

TEST_F(HttpTest, ForeignPagesMayNotChangeAnything) {
  const Headers foreign = {{"origin", "http://evil.example"}, {"host", "127.0.0.1:8000"}};
  Ask("POST", absl::StrCat("/tickets/", kTicket, "/cancel"), "", foreign);
  EXPECT_EQ(Status(), 403);
  EXPECT_THAT(commands_.cancels, IsEmpty());
  Ask("GET", "/health", "", foreign);
  EXPECT_THAT(answer_->headers, Not(Contains(Key("Access-Control-Allow-Origin"))));
  EXPECT_THAT(answer_->headers, Contains(Pair("Vary", "Origin")));
  Ask("OPTIONS", "/tickets/create", "", foreign);
  EXPECT_THAT(answer_->headers, Not(Contains(Key("Access-Control-Allow-Origin"))));
}

TEST_F(HttpTest, AllowedPagesArePreflighted) {
  Ask("OPTIONS", "/tickets/create", "",
      {{"origin", "http://localhost:5173"}, {"access-control-request-method", "POST"}});
  EXPECT_EQ(Status(), 204);
  EXPECT_THAT(answer_->headers,
              Contains(Pair("Access-Control-Allow-Origin", "http://localhost:5173")));
  EXPECT_THAT(answer_->headers, Contains(Pair("Access-Control-Allow-Methods", HasSubstr("POST"))));
}

TEST_F(HttpTest, ReadinessFollowsTheCoreAndTheDrain) {
  Ask("GET", "/readyz");
  EXPECT_EQ(Status(), 503);
  EXPECT_THAT(answer_->headers, Contains(Key("Retry-After")));
  state_.core_live = true;
  Ask("GET", "/readyz");
  EXPECT_EQ(Status(), 200);
  state_.draining = true;
  Ask("GET", "/readyz");
  EXPECT_EQ(Status(), 503);
}

TEST_F(HttpTest, AResponseIsJudged) {
  const std::string target = absl::StrCat("/sessions/", kSession, "/responses");
  Ask("POST", target, R"({"response":"yes"})");
  EXPECT_EQ(Status(), 422);
  EXPECT_THAT(answer_->body, HasSubstr(R"("field":"question_id")"));
  Ask("POST", target,
      absl::StrCat(R"({"response":"yes","as_of_sequence":7,"desk":")", kDesk, "\"}"));
  EXPECT_EQ(commands_.responses.front().request.desk_id(), kDesk);
  commands_.responses.clear();
  Ask("POST", target, R"({"response":"yes","as_of_sequence":7,"desk":7})");
  EXPECT_EQ(Status(), 422);
  EXPECT_THAT(answer_->body, HasSubstr(R"("field":"desk")"));
  Ask("POST", target, R"({"response":"yes","as_of_sequence":7,"request_id":"r"})");
  EXPECT_EQ(commands_.responses.front().request.desk_id(), "");
  v1::SubmitResponseResponse outcome;
  outcome.set_outcome(v1::RESPONSE_OUTCOME_RECEIVED);
  outcome.set_question_id("q");
  outcome.set_sequence(8);
  EXPECT_EQ(commands_.responses.front().request.as_of_sequence(), 7);
  commands_.responses.front().reply(outcome);
  EXPECT_EQ(answer_->body, absl::StrCat(R"({"session_id":")", kSession,
                                        R"(","status":"received","question_id":"q","sequence":8,)",
                                        R"("request_id":"r"})"));
  Ask("POST", "/sessions/nobody/responses", R"({"response":"yes","question_id":"q"})");
  EXPECT_EQ(Status(), 200);
  EXPECT_THAT(answer_->body, HasSubstr(R"("status":"unknown_session")"));
}

TEST_F(HttpTest, StreamsEvents) {
  Ask("GET", "/events", "", {{"origin", "http://localhost:5173"}});
  EXPECT_EQ(Status(), 200);
  EXPECT_EQ(answer_->content_type, "text/event-stream");
  EXPECT_THAT(answer_->headers, Contains(Pair("Cache-Control", "no-store")));
  EXPECT_THAT(answer_->headers,
              Contains(Pair("Access-Control-Allow-Origin", "http://localhost:5173")));
  EXPECT_NE(answer_->stream, nullptr);
  Ask("GET", "/events?after=7");
  EXPECT_EQ(Status(), 422);
  EXPECT_THAT(answer_->body, HasSubstr("\"field\":\"after\""));
  EXPECT_EQ(answer_->stream, nullptr);
}

TEST_F(HttpTest, ASessionComesWithItsTranscript) {
  const std::string target = absl::StrCat("/sessions/", kSession, "?page_size=2&after=");
  hub_.Publish(Block(9, {}), clock_.Now());
  Ask("GET", absl::StrCat(target, "3&desk=", kOtherDesk));
  v1::GetSessionResponse session;
  session.set_sequence(8);
  session.mutable_session()->set_session_id(kSession);
  session.mutable_session()->set_state(v1::SESSION_STATE_OPEN);
  commands_.session_gets.front().reply(session);
  ASSERT_THAT(commands_.event_lists, SizeIs(1));
  const v1::ListEventsRequest& asked = commands_.event_lists.front().request;
  EXPECT_EQ(asked.after_sequence(), 3);
  EXPECT_EQ(asked.page_size(), 2);
  EXPECT_EQ(asked.desk_id(), kOtherDesk) << "the core says which desk it is";
  EXPECT_EQ(asked.filter().session_ids(0), kSession);
  v1::ListEventsResponse page;
  *page.add_events() = Message(5, "Hi");
  page.set_up_to_sequence(5);
  page.set_sequence(9);
  page.set_next_page_token("more");
  commands_.event_lists.front().reply(page);
  EXPECT_EQ(Status(), 200);
  EXPECT_THAT(answer_->body, StartsWith(absl::StrCat(R"({"session_id":")", kSession, "\"")));
  EXPECT_THAT(answer_->body, HasSubstr(R"("transcript":[{"type":"agent_message","sequence":5,)"));
  EXPECT_THAT(answer_->body, HasSubstr(R"("up_to":5,"more":true,"sequence":8})"))
      << "as of when the session was read: what happened to it since is yet to be told";
  Ask("GET", absl::StrCat(target, "0"));
  commands_.session_gets.back().reply(session);
  EXPECT_EQ(commands_.event_lists.back().request.desk_id(), kDesk);
}

TEST_F(HttpTest, TheSamePageTwiceIsOneTicket) {
  const std::string body = absl::StrCat(R"({"page_id":")", kTicket, R"(","event_type":"e"})");
  Ask("POST", "/webhook/notion", body);
  EXPECT_EQ(commands_.creates.front().request.ticket_id(), kTicket);
  EXPECT_EQ(commands_.creates.front().request.ticket_name(), absl::StrCat("Notion page ", kTicket));
  commands_.creates.front().reply(absl::AlreadyExistsError("in use"));
  v1::GetTicketResponse found;
  found.mutable_ticket()->set_ticket_id(kTicket);
  found.mutable_ticket()->set_job_id("job-1");
  found.mutable_ticket()->set_status(v1::JOB_STATUS_CANCELLED);
  commands_.ticket_gets.front().reply(found);
  EXPECT_EQ(answer_->body, absl::StrCat(R"({"job_id":"job-1","status":"cancelled","ticket_id":")",
                                        kTicket, "\"}"));
}

TEST_F(HttpTest, TheCoreAwayIsSaidWithAWait) {
  Ask("GET", absl::StrCat("/tickets/", kTicket));
  commands_.ticket_gets.front().reply(absl::UnavailableError("away"));
  EXPECT_EQ(Status(), 503);
  EXPECT_THAT(answer_->headers, Contains(Key("Retry-After")));
  EXPECT_THAT(answer_->body, HasSubstr(R"("code":"unavailable")"));
}

}  // namespace
}  // namespace agentdesk::gateway
