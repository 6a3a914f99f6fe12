#include "tools/agentdesk-worker/agent_protocol.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "gtest/gtest.h"
#include "tools/agentdesk-worker/json_fields.h"
#include "tools/json_line.h"

namespace agentdesk::worker {
namespace {

template <typename Kind>
Kind Parse(const std::string& line) {
  AgentLine parsed = ParseAgentLine(line);
  if (auto* found = std::get_if<Kind>(&parsed)) return *found;
  ADD_FAILURE() << "read as alternative " << parsed.index() << ": " << line.substr(0, 200);
  return Kind();
}

std::string RefusedField(const std::string& line) {
  return DetailOf(Parse<Refused>(line).why).field;
}

TEST(ParseAgentLineTest, WhatIsNotForUsIsChatter) {
  for (const char* line :
       {"", "hello", "[1,2]", "\"text\"", "{}", "{\"type\":1}", "{\"type\":\"nonsense\"}",
        "{\"type\":\"message\",", "{\"type\":\"message\",\"content\":\"a\"} more"}) {
    EXPECT_TRUE(std::holds_alternative<Chatter>(ParseAgentLine(line))) << line;
  }
}

// As json.dumps of Python writes a file name that is not UTF-8, and as others print it.
TEST(ParseAgentLineTest, WhatIsNoTextIsShownAsThat) {
  for (const std::string name : {R"(a\udce9b)", R"(a\ud83db)",
                                 "a\xE9"
                                 "b"}) {
    SCOPED_TRACE(name);
    const auto question = Parse<v1::AskQuestionRequest>(
        absl::StrCat(R"({"type":"question","key":"k","content":"Delete )", name,
                     R"( \ud83d\ude00 \\ud83d?","details":{"of":")", name, R"("}})"));
    EXPECT_EQ(question.content(), "Delete a\uFFFDb \U0001F600 \\ud83d?");
    EXPECT_EQ(question.details_json().find("\\ud"), std::string::npos);
  }
}

std::string Nested(size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(ParseAgentLineTest, JsonThatIsKeptNestsAsDeepAsTheCoreTakesIt) {
  EXPECT_EQ(Parse<v1::CompleteJobRequest>(
                absl::StrCat(R"({"type":"complete","result":)", Nested(32), "}"))
                .result_json(),
            Nested(32));
  const std::vector<std::pair<std::string, std::string>> lines = {
      {"result", R"({"type":"complete","key":"k","result":)"},
      {"state", R"({"type":"checkpoint","key":"k","state":)"},
      {"details", R"({"type":"question","key":"k","content":"[[?","details":)"}};
  for (const auto& [field, line] : lines) {
    const auto refused = Parse<Refused>(absl::StrCat(line, Nested(33), "}"));
    EXPECT_EQ(DetailOf(refused.why).field, field);
    EXPECT_EQ(refused.key, "k");
  }
  EXPECT_EQ(Parse<Activities>(
                absl::StrCat(R"({"type":"message","content":"a","mood":)", Nested(400), "}"))
                .parts.size(),
            1u)
      << "a field that nobody knows";
}

TEST(ParseAgentLineTest, ALineThatNestsTooDeepIsRefusedWithItsKey) {
  for (const size_t levels : {size_t{512}, size_t{100000}}) {
    const auto refused = Parse<Refused>(absl::StrCat(
        R"({"type":"question","content":"?","details":)", Nested(levels), R"(,"key":"\u006b"})"));
    EXPECT_EQ(refused.key, "k");
    EXPECT_TRUE(absl::StrContains(refused.why.message(), "512 levels")) << refused.why;
  }
  const std::string deep(1000, '[');
  EXPECT_EQ(Parse<Refused>(R"({"type":"message","content":)" + deep + R"(,"key)").key, "");
  EXPECT_TRUE(std::holds_alternative<Chatter>(ParseAgentLine(R"({"type":"x","y":)" + deep)));
  EXPECT_TRUE(std::holds_alternative<Chatter>(ParseAgentLine(deep)));
}

TEST(ParseAgentLineTest, UnknownFieldsAreIgnored) {
  const auto said = Parse<Activities>(R"({"type":"message","content":"hi","key":"k","mood":{}})");
  ASSERT_EQ(said.parts.size(), 1u);
  EXPECT_EQ(said.parts[0].message().content(), "hi");
  EXPECT_EQ(said.parts[0].message().key(), "k");
}

TEST(ParseAgentLineTest, LongMessageIsSplitAtCharactersEachPartWithItsKey) {
  std::string content;
  while (content.size() < 2 * kMaxContentBytes + 10) content += "ä€x";
  const auto said = Parse<Activities>(absl::StrCat(
      "{\"type\":\"message\",\"key\":\"k\",\"content\":", tools::JsonString(content), "}"));
  ASSERT_EQ(said.parts.size(), 3u);
  std::string whole;
  for (const v1::Activity& part : said.parts) {
    EXPECT_LE(part.message().content().size(), kMaxContentBytes);
    whole += part.message().content();
  }
  EXPECT_EQ(whole, content);
  EXPECT_EQ(said.parts[0].message().key(), "k");
  EXPECT_EQ(said.parts[1].message().key(), "k#2");
  EXPECT_EQ(said.parts[2].message().key(), "k#3");
}

TEST(ParseAgentLineTest, KeyTooLongForPartsIsRefused) {
  const std::string content(kMaxContentBytes + 1, 'x');
  EXPECT_EQ(RefusedField(absl::StrCat("{\"type\":\"message\",\"key\":\"", std::string(200, 'k'),
                                      "\",\"content\":\"", content, "\"}")),
            "key");
  EXPECT_EQ(RefusedField(absl::StrCat("{\"type\":\"message\",\"key\":\"", std::string(201, 'k'),
                                      "\",\"content\":\"x\"}")),
            "key");
}

TEST(ParseAgentLineTest, AQuestionMayHaveAsManyBytesAsTheCoreAllows) {
  // What is counted is the text of all parts, and not how it travels.
  const auto question = [](absl::string_view key) {
    return absl::StrCat(R"({"type":"question","key":")", key, R"(","content":")",
                        std::string(kMaxContentBytes, 'x'), R"(","choices":["yes"],"details":")",
                        std::string(kMaxQuestionBytes - kMaxContentBytes - 6, 'y'), R"("})");
  };
  EXPECT_EQ(Parse<v1::AskQuestionRequest>(question("k")).key(), "k");
  EXPECT_EQ(RefusedField(question("kk")), "question");
}

TEST(ParseAgentLineTest, LongToolCallIsCutAndSaysItsSize) {
  const std::string content = absl::StrCat("HEAD", std::string(100000, '.'), "TAIL");
  const auto said = Parse<Activities>(absl::StrCat(
      R"({"type":"tool_call","tool_name":"ls","title":"list","content":")", content, "\"}"));
  const v1::ToolCall& call = said.parts.at(0).tool_call();
  EXPECT_LE(call.content().size(), kMaxContentBytes);
  EXPECT_TRUE(absl::StartsWith(call.content(), "HEAD"));
  EXPECT_TRUE(absl::EndsWith(call.content(), "TAIL"));
  EXPECT_TRUE(call.truncated());
  EXPECT_EQ(call.size(), static_cast<int64_t>(content.size()));
  EXPECT_EQ(call.output_type(), "text");

  const auto small = Parse<Activities>(R"({"type":"tool_call","tool_name":"ls","content":"x"})");
  EXPECT_FALSE(small.parts.at(0).tool_call().truncated());
  EXPECT_EQ(small.parts.at(0).tool_call().size(), 0);
}

TEST(ParseAgentLineTest, QuestionWithEverything) {
  const auto asked = Parse<v1::AskQuestionRequest>(
      R"({"type":"question","key":"k","content":"Which?","choices":["a",{"value":"b","label":"B","description":"the b"}],)"
      R"("free_text":true,"multiple":false,"expires_in_s":90.5,"default":"a","details":{"n":12345678901234567890123},"sensitive":true})");
  EXPECT_EQ(asked.key(), "k");
  ASSERT_EQ(asked.choices_size(), 2);
  EXPECT_EQ(asked.choices(0).value(), "a");
  EXPECT_EQ(asked.choices(1).label(), "B");
  EXPECT_EQ(asked.choices(1).description(), "the b");
  EXPECT_TRUE(asked.free_text());
  EXPECT_EQ(asked.expires_in().seconds(), 90);
  EXPECT_EQ(asked.expires_in().nanos(), 500000000);
  EXPECT_EQ(asked.default_response(), "a");
  EXPECT_EQ(asked.details_json(), R"({"n":12345678901234567890123})") << "exactly as written";
  EXPECT_TRUE(asked.sensitive());
}

TEST(ParseAgentLineTest, QuestionLeavesOutWhatWasNotGiven) {
  const auto asked = Parse<v1::AskQuestionRequest>(
      R"({"type":"question","content":"?","choices":null,"default":null,"details":null})");
  EXPECT_FALSE(asked.has_free_text());
  EXPECT_FALSE(asked.has_default_response());
  EXPECT_FALSE(asked.has_expires_in());
  EXPECT_TRUE(asked.details_json().empty());
}

TEST(ParseAgentLineTest, DefaultOfAMultipleQuestionIsAList) {
  const auto list = Parse<v1::AskQuestionRequest>(
      R"({"type":"question","content":"?","choices":["a","b"],"multiple":true,"default":["a","b"]})");
  EXPECT_EQ(list.default_responses_size(), 2);
  const auto one = Parse<v1::AskQuestionRequest>(
      R"({"type":"question","content":"?","choices":["a","b"],"multiple":true,"default":"a"})");
  EXPECT_EQ(one.default_responses_size(), 1);
  EXPECT_FALSE(one.has_default_response());
}

TEST(ParseAgentLineTest, WhoMayAnswerIsNeverDropped) {
  const auto asked = Parse<v1::AskQuestionRequest>(
      R"({"type":"question","content":"?","may_answer":{"users":["ada"],"roles":["lead"]}})");
  EXPECT_EQ(asked.may_answer().users(0), "ada");
  EXPECT_EQ(asked.may_answer().roles(0), "lead");
  EXPECT_EQ(RefusedField(R"({"type":"question","content":"?","may_answer":"ada"})"), "may_answer");
}

TEST(ParseAgentLineTest, QuestionThatCannotBeShownWholeIsRefused) {
  const auto refused = Parse<Refused>(absl::StrCat(R"({"type":"question","key":"k","content":")",
                                                   std::string(kMaxContentBytes + 1, 'x'), "\"}"));
  EXPECT_EQ(DetailOf(refused.why).field, "content");
  EXPECT_EQ(refused.key, "k");
  EXPECT_EQ(RefusedField(absl::StrCat(R"({"type":"question","content":"?","details":{"x":")",
                                      std::string(kMaxJsonBytes, 'x'), "\"}}")),
            "details");
  EXPECT_EQ(RefusedField(absl::StrCat(R"({"type":"question","key":"k","content":")",
                                      std::string(kMaxContentBytes, 'x'), R"(","details":")",
                                      std::string(kMaxJsonBytes - 2, 'x'), "\"}")),
            "question");
}

TEST(ParseAgentLineTest, WrongTypesNameTheField) {
  EXPECT_EQ(RefusedField(R"({"type":"message"})"), "content");
  EXPECT_EQ(RefusedField(R"({"type":"message","content":1})"), "content");
  EXPECT_EQ(RefusedField(R"({"type":"message","content":"x","key":7})"), "key");
  EXPECT_EQ(RefusedField(R"({"type":"tool_call"})"), "tool_name");
  EXPECT_EQ(RefusedField(R"({"type":"withdraw"})"), "key");
  EXPECT_EQ(RefusedField(R"({"type":"question","content":"?","choices":{}})"), "choices");
  EXPECT_EQ(RefusedField(R"({"type":"question","content":"?","choices":[1]})"), "choices[0]");
  EXPECT_EQ(RefusedField(R"({"type":"question","content":"?","choices":["a",{"label":"x"}]})"),
            "choices[1].value");
  EXPECT_EQ(RefusedField(R"({"type":"question","content":"?","free_text":"yes"})"), "free_text");
  EXPECT_EQ(RefusedField(R"({"type":"question","content":"?","expires_in_s":"1"})"),
            "expires_in_s");
  EXPECT_EQ(RefusedField(R"({"type":"question","content":"?","expires_in_s":-5})"), "expires_in_s");
  EXPECT_EQ(RefusedField(R"({"type":"question","content":"?","default":{}})"), "default");
  EXPECT_EQ(RefusedField(R"({"type":"fail","error":"x","retryable":1})"), "retryable");
}

TEST(ParseAgentLineTest, CheckpointKeepsItsStateAsWritten) {
  EXPECT_EQ(
      Parse<Checkpoint>(R"({"type":"checkpoint", "state" : { "a": 1.0, "b":"}\"" } })").state_json,
      R"({ "a": 1.0, "b":"}\"" })");
  EXPECT_EQ(Parse<Checkpoint>(R"({"type":"checkpoint","state":null})").state_json, "null");
  EXPECT_EQ(RefusedField(R"({"type":"checkpoint"})"), "state");
  EXPECT_EQ(RefusedField(absl::StrCat(R"({"type":"checkpoint","state":")",
                                      std::string(kMaxJsonBytes, 'x'), "\"}")),
            "state");
}

TEST(ParseAgentLineTest, Ends) {
  Parse<Park>(R"({"type":"park"})");
  const auto complete =
      Parse<v1::CompleteJobRequest>(R"({"type":"complete","summary":"s","result":[1,2]})");
  EXPECT_EQ(complete.summary(), "s");
  EXPECT_EQ(complete.result_json(), "[1,2]");
  EXPECT_EQ(Parse<v1::CompleteJobRequest>(
                absl::StrCat(R"({"type":"complete","summary":")", std::string(9999, 'x'), "\"}"))
                .summary()
                .size(),
            kMaxSummaryBytes);
  const auto fail = Parse<v1::FailJobRequest>(R"({"type":"fail","error":"e","retryable":false})");
  EXPECT_EQ(fail.error(), "e");
  EXPECT_FALSE(fail.retryable());
  EXPECT_TRUE(Parse<v1::FailJobRequest>(R"({"type":"fail"})").retryable());
  EXPECT_FALSE(Parse<v1::FailJobRequest>(R"({"type":"fail"})").error().empty());
}

TEST(RawMemberTest, FindsTheTextOfAValue) {
  EXPECT_EQ(RawMember(R"({"a":{"b":1},"b": [ 1, "]" ] ,"c":-1.50})", "b"), R"([ 1, "]" ])");
  EXPECT_EQ(RawMember(R"({"a":{"b":1},"c":-1.50})", "c"), "-1.50");
  EXPECT_EQ(RawMember(R"({"a":1,"a":2})", "a"), "2");
  EXPECT_EQ(RawMember(R"({"a":"\\\"","b":true})", "b"), "true");
  EXPECT_EQ(RawMember(R"({})", "b"), "");
}

TEST(EncodeTest, Start) {
  v1::ClaimJobResponse claim;
  claim.mutable_job()->set_job_id("job-1");
  claim.mutable_job()->set_session_id("s");
  claim.mutable_job()->set_attempt(3);
  claim.set_reason(v1::START_REASON_LEASE_LOST);
  claim.mutable_ticket()->set_ticket_id("t");
  claim.mutable_ticket()->set_ticket_name("N\n");
  (*claim.mutable_ticket()->mutable_labels())["b"] = "2";
  (*claim.mutable_ticket()->mutable_labels())["a"] = "1";
  claim.set_checkpoint_json("{\n\"x\":1}");
  EXPECT_EQ(
      EncodeStart({claim, {"{\"e\":1}", "{\"e\":2}"}, "/tmp/f"}),
      R"({"type":"start","protocol":1,"job_id":"job-1","session_id":"s","attempt":3,"reason":"lease_lost",)"
      R"("ticket":{"ticket_id":"t","ticket_name":"N\n","description":"","labels":{"a":"1","b":"2"}},)"
      R"("state":{ "x":1},"transcript":[{"e":1},{"e":2}],"transcript_file":"/tmp/f"})"
      "\n");
}

TEST(EncodeTest, Inputs) {
  v1::ReceiveInputResponse input;
  input.mutable_actor()->set_id("ada");
  input.mutable_answer()->set_key("k");
  input.mutable_answer()->set_question_id("q");
  input.mutable_answer()->set_response("yes");
  EXPECT_EQ(EncodeInput(input),
            R"({"type":"answer","key":"k","question_id":"q","response":"yes","answered_by":"ada"})"
            "\n");
  input.mutable_answer()->add_responses("a");
  input.mutable_answer()->add_responses("b");
  EXPECT_TRUE(absl::StrContains(EncodeInput(input), R"("response":["a","b"])"));
  input.set_trace_id("0af7");
  EXPECT_TRUE(absl::StrContains(EncodeInput(input), R"("answered_by":"ada","trace_id":"0af7"})"));
  input.mutable_expired()->set_key("k");
  input.mutable_expired()->set_question_id("q");
  EXPECT_EQ(EncodeInput(input), R"({"type":"expired","key":"k","question_id":"q","default":null})"
                                "\n");
  input.mutable_expired()->set_default_response("no");
  EXPECT_TRUE(absl::StrContains(EncodeInput(input), R"("default":"no")"));
  input.mutable_withdrawn()->set_key("k");
  input.mutable_withdrawn()->set_question_id("q");
  EXPECT_EQ(EncodeInput(input), R"({"type":"withdrawn","key":"k","question_id":"q"})"
                                "\n");
  input.mutable_message()->set_content("hi");
  EXPECT_EQ(EncodeInput(input),
            R"({"type":"message","content":"hi","from":"ada","trace_id":"0af7"})"
            "\n");
  EXPECT_EQ(EncodeInput(v1::ReceiveInputResponse()), "");
}

TEST(EncodeTest, OutcomeAndError) {
  v1::Question question;
  question.set_key("k");
  question.set_question_id("q");
  EXPECT_EQ(EncodeOutcome(question), "");
  question.set_state(v1::QUESTION_STATE_ANSWERED);
  question.set_response("r");
  question.mutable_answered_by()->set_id("ada");
  EXPECT_EQ(EncodeOutcome(question),
            R"({"type":"answer","key":"k","question_id":"q","response":"r","answered_by":"ada"})"
            "\n");
  EXPECT_EQ(
      EncodeError(InvalidField("content", "is required"), "k"),
      R"({"type":"error","code":"invalid_argument","message":"content: is required","key":"k"})"
      "\n");
}

}  // namespace
}  // namespace agentdesk::worker
