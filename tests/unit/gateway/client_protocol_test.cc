#include "ws_gateway/client_protocol.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core_service/base/error.h"
#include "core_service/domain/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gateway/gateway_fixture.h"
#include "ws_gateway/server_message.h"
#include "ws_gateway/transport.h"

namespace agentdesk::gateway {
namespace {

using ::agentdesk::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

template <typename Command>
Command Parsed(absl::string_view text, Protocol protocol = Protocol::kPlain) {
  ClientMessage message = ParseClientMessage(text, protocol);
  EXPECT_THAT(message.status, IsOk()) << text;
  const Command* command = std::get_if<Command>(&message.command);
  EXPECT_NE(command, nullptr) << text;
  return command == nullptr ? Command() : *command;
}

// The error's code, and the field that its message names.
std::string Complaint(absl::string_view text, Protocol protocol = Protocol::kPlain) {
  const absl::Status status = ParseClientMessage(text, protocol).status;
  const ErrorDetail detail = DetailOf(status);
  if (status.ok()) return "ok";
  return detail.field.empty() ? detail.reason : detail.reason + " " + detail.field;
}

TEST(HelloTest, TellsTheLimitsOfTheCore) {
  const std::string hello = HelloMessage({});
  for (const auto& [name, limit] : std::vector<std::pair<absl::string_view, size_t>>{
           {"ticket_name_characters", domain::kMaxTicketNameCharacters},
           {"content_bytes", domain::kMaxContentBytes},
           {"response_bytes", domain::kMaxResponseBytes},
           {"summary_bytes", domain::kMaxSummaryBytes},
           {"json_bytes", domain::kMaxJsonBytes},
           {"choices", domain::kMaxChoices},
           {"choice_characters", domain::kMaxChoiceCharacters},
           {"question_bytes", domain::kMaxQuestionBytes},
           {"labels", domain::kMaxLabels},
           {"message_bytes", TransportOptions().max_message_bytes},
           {"open_questions", domain::kMaxOpenQuestions}}) {
    EXPECT_THAT(hello, HasSubstr(absl::StrCat("\"", name, "\":", limit, ",")));
  }
}

TEST(ClientMessageTest, PingMayCarryAnything) {
  Parsed<Ping>(R"({"type":"ping"})");
  Parsed<Ping>(R"({"type":"ping","request_id":5,"x":[{"y":null}]})");
}

TEST(ClientMessageTest, UserResponse) {
  const auto request = Parsed<v1::SubmitResponseRequest>(
      R"({"type":"user_response","session_id":"Nobody","response":"é\n","question_id":"q",)"
      R"("request_id":"r","more":1})");
  EXPECT_EQ(request.session_id(), "Nobody");
  EXPECT_EQ(request.response(), "é\n");
  EXPECT_EQ(request.question_id(), "q");
  EXPECT_EQ(request.request_id(), "r");
  const auto several = Parsed<v1::SubmitResponseRequest>(
      R"({"type":"user_response","session_id":"s","response":["a","b"],"question_id":null})");
  EXPECT_THAT(several.responses(), ElementsAre("a", "b"));
}

TEST(ClientMessageTest, WrongMessages) {
  const std::string deep =
      R"({"type":"ping","x":)" + std::string(40, '[') + std::string(40, ']') + "}";
  const struct {
    std::string text;
    std::string complaint;
  } cases[] = {
      {"", "invalid_json"},
      {"{", "invalid_json"},
      {R"({"type":"ping"} x)", "invalid_json"},
      {R"({'type':'ping'})", "invalid_json"},
      {R"({"type":"ping",})", "invalid_json"},
      {R"({"type":"ping","x":NaN})", "invalid_json"},
      {"{\"type\":\"p\ning\"}", "invalid_json"},
      {"{\"type\":\"\xff\"}", "invalid_json"},
      {deep, "invalid_json"},
      {std::string(100000, '['), "invalid_json"},
      {R"({"type":"ping","x":"\ud800"})", "invalid_json"},
      {R"({"type":"ping","x":"\udc00\ud800"})", "invalid_json"},
      {"[]", "invalid_message"},
      {"3", "invalid_message"},
      {"null", "invalid_message"},
      {"{}", "invalid_message type"},
      {R"({"type":null})", "invalid_message type"},
      {R"({"type":["ping"]})", "invalid_message type"},
      {R"({"type":"PING"})", "unknown_type"},
      {R"({"type":"subscribe","from":"live"})", "unknown_type"},
      {R"({"type":"user_response","response":"x"})", "invalid_message session_id"},
      {R"({"type":"user_response","session_id":1,"response":"x"})", "invalid_message session_id"},
      {R"({"type":"user_response","session_id":"s"})", "invalid_message response"},
      {R"({"type":"user_response","session_id":"s","response":{}})", "invalid_message response"},
      {R"({"type":"user_response","session_id":"s","response":["a",1]})",
       "invalid_message response[1]"},
      {R"({"type":"user_response","session_id":"s","response":"x","question_id":1})",
       "invalid_message question_id"},
      {R"({"type":"user_response","session_id":"s","response":"x","request_id":{}})",
       "invalid_message request_id"},
  };
  for (const auto& c : cases) EXPECT_EQ(Complaint(c.text), c.complaint) << c.text.substr(0, 80);
}

TEST(ClientMessageTest, HugeNumbersAreNoTrouble) {
  for (const std::string number :
       {"1e308", "-0", "0.1", "123456789012345678901234567890", "1e-400", "18446744073709551615"}) {
    EXPECT_EQ(Complaint(R"({"type":"ping","x":)" + number + "}"), "ok") << number;
  }
  EXPECT_THAT(Complaint(R"({"type":"ping","x":1e400})"), ::testing::AnyOf("ok", "invalid_json"));
}

TEST(ClientMessageTest, OfARepeatedNameTheLastCounts) {
  EXPECT_EQ(Complaint(R"({"type":"ping","type":"nonsense"})"), "unknown_type");
  Parsed<Ping>(R"({"type":"nonsense","type":"ping"})");
}

TEST(ClientMessageTest, AnErrorKnowsWhatItAnswers) {
  const ClientMessage message = ParseClientMessage(
      R"({"type":"user_response","request_id":"r","question_id":"q"})", Protocol::kPlain);
  EXPECT_EQ(message.echo.request_id, "r");
  EXPECT_EQ(message.echo.question_id, "q");
  EXPECT_THAT(std::string(message.status.message()), HasSubstr("session_id"));
}

TEST(ClientMessageTest, Subscribe) {
  const auto after = Parsed<Subscribe>(
      R"({"type":"subscribe","from":{"desk":"d","after":9007199254740991},"filter":)"
      R"({"ticket_ids":["2BBAB0827928816F88E2F42F69157F7B"],"types":["agent_message"]}})",
      Protocol::kV1);
  EXPECT_EQ(after.from.kind, SubscribeFrom::Kind::kAfter);
  EXPECT_EQ(after.from.desk_id, "d");
  EXPECT_EQ(after.from.after, 9007199254740991);
  EXPECT_THAT(after.filter.ticket_ids(), ElementsAre("2bbab082-7928-816f-88e2-f42f69157f7b"));
  EXPECT_THAT(after.filter.types(), ElementsAre(v1::EVENT_TYPE_AGENT_MESSAGE));
  EXPECT_EQ(Parsed<Subscribe>(R"({"type":"subscribe","from":"snapshot"})", Protocol::kV1).from.kind,
            SubscribeFrom::Kind::kSnapshot);
  EXPECT_EQ(Parsed<Subscribe>(R"({"type":"subscribe","from":"live"})", Protocol::kV1).from.kind,
            SubscribeFrom::Kind::kLive);
}

TEST(ClientMessageTest, WrongSubscriptions) {
  const struct {
    std::string rest;
    std::string field;
  } cases[] = {
      {"", "from"},
      {R"(,"from":"somewhere")", "from"},
      {R"(,"from":{})", "from.after"},
      {R"(,"from":{"after":-1})", "from.after"},
      {R"(,"from":{"after":1.5})", "from.after"},
      {R"(,"from":{"after":9007199254740992})", "from.after"},
      {R"(,"from":{"after":"1"})", "from.after"},
      {R"(,"from":{"after":1,"desk":2})", "from.desk"},
      {R"(,"from":"live","filter":[])", "filter"},
      {R"(,"from":"live","filter":{"ticket_ids":["x"]})", "filter.ticket_ids"},
      {R"(,"from":"live","filter":{"session_ids":"x"})", "filter.session_ids"},
      {R"(,"from":"live","filter":{"types":["nonsense"]})", "filter.types"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Complaint(R"({"type":"subscribe")" + c.rest + "}", Protocol::kV1),
              "invalid_message " + c.field)
        << c.rest;
  }
}

TEST(SubscribeQueryTest, SaysWhereToBegin) {
  EXPECT_FALSE(ParseSubscribeQuery("")->has_value());
  const auto after = ParseSubscribeQuery("x=1&after=12&desk=a%2Db");
  ASSERT_THAT(after, IsOk());
  ASSERT_TRUE(after->has_value());
  EXPECT_EQ((*after)->from.after, 12);
  EXPECT_EQ((*after)->from.desk_id, "a-b");
  EXPECT_EQ((*ParseSubscribeQuery("live=1"))->from.kind, SubscribeFrom::Kind::kLive);
  EXPECT_EQ((*ParseSubscribeQuery("snapshot=1"))->from.kind, SubscribeFrom::Kind::kSnapshot);
  for (const std::string query : {"after=", "after=-1", "after=x", "after=99999999999999999999"}) {
    EXPECT_EQ(DetailOf(ParseSubscribeQuery(query).status()).field, "after") << query;
  }
}

TEST(CreateTicketTest, TakesEveryField) {
  const auto request = ParseCreateTicket(
      R"({"ticket_name":"A","description":"d","labels":{"k":"v"},"queue":"q","priority":0,)"
      R"("run_after":"2025-11-30T02:35:01.5+01:00","max_attempts":3,"timeout_s":60.0,)"
      R"("ticket_id":"t","request_id":"r","unknown":{}})");
  ASSERT_THAT(request, IsOk());
  EXPECT_EQ(request->ticket_name(), "A");
  EXPECT_EQ(request->labels().at("k"), "v");
  EXPECT_TRUE(request->has_priority());
  EXPECT_EQ(request->priority(), 0);
  EXPECT_EQ(request->run_after().seconds(), 1764466501);
  EXPECT_EQ(request->run_after().nanos(), 500000000);
  EXPECT_EQ(request->max_attempts(), 3);
  EXPECT_EQ(request->timeout_s(), 60);
  EXPECT_EQ(request->ticket_id(), "t");
  EXPECT_EQ(request->request_id(), "r");
}

TEST(CreateTicketTest, NamesTheWrongField) {
  const struct {
    std::string rest;
    std::string field;
  } cases[] = {
      {R"("ticket_name":5)", "ticket_name"},
      {R"("description":"d")", "ticket_name"},
      {R"("ticket_name":"A","description":[])", "description"},
      {R"("ticket_name":"A","labels":[])", "labels"},
      {R"("ticket_name":"A","labels":{"k":1})", "labels.k"},
      {R"("ticket_name":"A","priority":"high")", "priority"},
      {R"("ticket_name":"A","priority":4294967296)", "priority"},
      {R"("ticket_name":"A","priority":1e99)", "priority"},
      {R"("ticket_name":"A","max_attempts":1.5)", "max_attempts"},
      {R"("ticket_name":"A","run_after":"tomorrow")", "run_after"},
      {R"("ticket_name":"A","run_after":"infinite-future")", "run_after"},
      {R"("ticket_name":"A","timeout_s":true)", "timeout_s"},
  };
  for (const auto& c : cases) {
    const absl::Status status = ParseCreateTicket("{" + c.rest + "}").status();
    EXPECT_EQ(DetailOf(status).field, c.field) << c.rest;
    EXPECT_EQ(DetailOf(status).reason, "invalid_argument");
  }
  EXPECT_EQ(DetailOf(ParseCreateTicket("{").status()).reason, "invalid_json");
}

TEST(SubmitResponseTest, NeedsAQuestionOrAPosition) {
  EXPECT_EQ(DetailOf(ParseSubmitResponse(R"({"response":"x"})").status()).field, "question_id");
  const auto as_of = ParseSubmitResponse(R"({"response":"x","as_of_sequence":0})");
  ASSERT_THAT(as_of, IsOk());
  EXPECT_TRUE(as_of->has_as_of_sequence());
}

TEST(NotionPageTest, WritesThePageAsAgentDeskDoes) {
  const auto page = ParseNotionPage(
      R"({"page_id":"2BBAB0827928816F88E2F42F69157F7B","database_id":"d","event_type":"e"})");
  ASSERT_THAT(page, IsOk());
  EXPECT_EQ(page->page_id, "2bbab082-7928-816f-88e2-f42f69157f7b");
  EXPECT_EQ(DetailOf(ParseNotionPage(R"({"page_id":"x"})").status()).field, "page_id");
}

TEST(RequestIdTest, MayBeTheWholeBodyOrNone) {
  EXPECT_EQ(*ParseRequestId(""), "");
  EXPECT_EQ(*ParseRequestId(R"({"request_id":"r"})"), "r");
  EXPECT_EQ(DetailOf(ParseRequestId(R"({"request_id":1})").status()).field, "request_id");
}

TEST(PercentTest, DecodesOrRefuses) {
  EXPECT_EQ(DecodePercent("a%20b+c%C3%A9"), "a b cé");
  for (const std::string broken : {"%", "%1", "%zz", "%ff"}) {
    EXPECT_EQ(DecodePercent(broken), std::nullopt) << broken;
  }
}

TEST(StreamRequestTest, SaysWhereToBegin) {
  using Kind = SubscribeFrom::Kind;
  const std::string position = absl::StrCat(kDesk, ":7");
  const struct {
    std::string query;
    std::string last_event_id;
    Kind kind;
    std::string desk_id;
    int64_t after;
  } cases[] = {
      {"", "", Kind::kLive, "", 0},
      {"live=1", "", Kind::kLive, "", 0},
      {"snapshot=1", "", Kind::kSnapshot, "", 0},
      {"after=0", "", Kind::kAfter, "", 0},
      {absl::StrCat("after=", position), "", Kind::kAfter, kDesk, 7},
      {absl::StrCat("after=", absl::StrReplaceAll(position, {{":", "%3A"}})), "", Kind::kAfter,
       kDesk, 7},
      // The browser comes back to the address that it came to first.
      {"snapshot=1", position, Kind::kAfter, kDesk, 7},
      {"after=0", position, Kind::kAfter, kDesk, 7},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<Subscribe> subscribe = ParseStreamRequest(c.query, c.last_event_id);
    ASSERT_THAT(subscribe, IsOk()) << c.query;
    EXPECT_EQ(subscribe->from.kind, c.kind) << c.query;
    EXPECT_EQ(subscribe->from.desk_id, c.desk_id) << c.query;
    EXPECT_EQ(subscribe->from.after, c.after) << c.query;
  }
}

TEST(StreamRequestTest, Filters) {
  const absl::StatusOr<Subscribe> subscribe = ParseStreamRequest(
      absl::StrCat("types=agent_question,question_answered&session_ids=", kSession), "");
  ASSERT_THAT(subscribe, IsOk());
  EXPECT_THAT(subscribe->filter.types(),
              ElementsAre(v1::EVENT_TYPE_AGENT_QUESTION, v1::EVENT_TYPE_QUESTION_ANSWERED));
  EXPECT_THAT(subscribe->filter.session_ids(), ElementsAre(kSession));
}

TEST(StreamRequestTest, RefusesWhatItCannotRead) {
  const struct {
    std::string query;
    std::string last_event_id;
    std::string field;
  } cases[] = {
      {"after=7", "", "after"},
      {"after=", "", "after"},
      {"after=x:7", "", "after"},
      {absl::StrCat("after=", kDesk), "", "after"},
      {absl::StrCat("after=", kDesk, ":-1"), "", "after"},
      {absl::StrCat("after=", kDesk, ":9007199254740992"), "", "after"},
      {"", "7", "Last-Event-ID"},
      {"", absl::StrCat(kDesk, ":7:8"), "Last-Event-ID"},
      {"types=nonsense", "", "types"},
      {"ticket_ids=x", "", "ticket_ids"},
      {absl::StrCat("session_ids=", kSession, ","), "", "session_ids"},
  };
  for (const auto& c : cases) {
    const absl::Status status = ParseStreamRequest(c.query, c.last_event_id).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.query << c.last_event_id;
    EXPECT_EQ(DetailOf(status).field, c.field);
  }
}

}  // namespace
}  // namespace agentdesk::gateway
