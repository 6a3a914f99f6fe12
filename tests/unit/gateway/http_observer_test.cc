#include "ws_gateway/http_observer.h"

#include <memory>
#include <string>
#include <utility>

#include "core_service/base/trace_context.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"

namespace agentdesk::gateway {
namespace {

using ::testing::HasSubstr;

// Answers everything with the status that stands in its path, and the trace that it was told.
class EchoStatus final : public RequestHandler {
 public:
  void OnRequest(HttpRequest request, Responder respond) override {
    HttpResponse response;
    if (request.target == "/metrics") return respond(std::move(response));
    response.status = std::stoi(request.target.substr(1));
    response.body = std::string(request.Header("traceparent"));
    respond(std::move(response));
  }
};

class HttpObserverTest : public ::testing::Test {
 protected:
  HttpResponse Ask(const std::string& method, const std::string& target,
                   const std::string& trace = "") {
    HttpRequest request;
    if (!trace.empty()) request.headers.emplace_back("traceparent", trace);
    request.method = method;
    request.target = target;
    HttpResponse answer;
    handler_.OnRequest(std::move(request),
                       [&answer](HttpResponse response) { answer = std::move(response); });
    return answer;
  }

  agentdesk::testing::FakeClock clock_;
  Metrics metrics_;
  HttpObserver handler_{std::make_unique<EchoStatus>(), metrics_, clock_, IdSource::Real(),
                        nullptr};
};

TEST_F(HttpObserverTest, CountsWhatOthersAnswerByStatus) {
  EXPECT_EQ(Ask("GET", "/200").status, 200);
  EXPECT_EQ(Ask("POST", "/200").status, 200);
  EXPECT_EQ(Ask("GET", "/404").status, 404);
  EXPECT_EQ(Ask("GET", "/metrics").status, 200);
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("agentdesk_http_requests_total{code=\"200\"} 2\n"))
      << "to read metrics counts for nothing";
  EXPECT_THAT(text, HasSubstr("agentdesk_http_requests_total{code=\"404\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("agentdesk_http_request_seconds_count 3\n"));
}

TEST_F(HttpObserverTest, TheHandlerIsPartOfTheSendersTraceOrOfANewOne) {
  const std::string sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto told = TraceContext::Parse(Ask("GET", "/200", sent).body);
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_NE(told->span_id, "b7ad6b7169203331") << "a span of its own";
  const auto made = TraceContext::Parse(Ask("GET", "/200", "nonsense").body);
  ASSERT_TRUE(made.has_value());
  EXPECT_NE(made->trace_id, told->trace_id);
}

}  // namespace
}  // namespace agentdesk::gateway
