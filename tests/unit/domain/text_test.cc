#include "core_service/domain/text.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core_service/domain/limits.h"
#include "core_service/domain/timing.h"
#include "tests/unit/domain/ticket_in_memory.h"

namespace agentdesk::domain {
namespace {

using testing::IsOk;

TEST(TextTest, CountsCodePoints) {
  EXPECT_EQ(CountCharacters(""), 0u);
  EXPECT_EQ(CountCharacters("abc"), 3u);
  EXPECT_EQ(CountCharacters("äöü"), 3u);
  EXPECT_EQ(CountCharacters("日本語"), 3u);
  EXPECT_EQ(CountCharacters("👍🏽"), 2u);
  EXPECT_EQ(CountCharacters(absl::string_view("a\0b", 3)), 3u);
  // However the characters lie to the words that plain text is passed over by.
  for (size_t before = 0; before < 20; ++before) {
    EXPECT_EQ(CountCharacters(std::string(before, 'a') + "ä" + std::string(20, 'b')), before + 21);
    EXPECT_EQ(CountCharacters(std::string(before, 'a') + "\x80" + std::string(20, 'b')),
              std::nullopt);
  }
}

TEST(TextTest, TakesTheEdgesOfEachLength) {
  for (const char* text :
       {"\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(CountCharacters(text), 1u) << text;
  }
}

TEST(TextTest, RefusesWhatIsNotUtf8) {
  for (const char* text : {
           "\x80",              // a continuation by itself
           "\xBF",              //
           "\xC0\x80",          // overlong
           "\xC1\xBF",          //
           "\xE0\x9F\xBF",      //
           "\xF0\x8F\xBF\xBF",  //
           "\xED\xA0\x80",      // surrogates
           "\xED\xBF\xBF",      //
           "\xF4\x90\x80\x80",  // past U+10FFFF
           "\xF5\x80\x80\x80",  //
           "\xFE",              // never a byte of UTF-8
           "\xFF",              //
           "\xC2",              // cut
           "\xE2\x82",          //
           "\xF0\x9F\x91",      //
           "\xE2\x28\xA1",      // a continuation is missing
           "\xF0\x9F\x28\x8D",  //
           "\xE2\x82\xC0",      //
       }) {
    EXPECT_EQ(CountCharacters(text), std::nullopt) << absl::StrCat(text);
    EXPECT_EQ(CountCharacters(absl::StrCat("ab", text)), std::nullopt);
    EXPECT_EQ(CountCharacters(absl::StrCat(text, "ab")), std::nullopt);
    EXPECT_THAT(CheckCharacters("name", text, 0, 10),
                IsInvalidField("name", "must be valid UTF-8"));
    EXPECT_THAT(CheckBytes("name", text, 0, 10), IsInvalidField("name", "must be valid UTF-8"));
  }
}

TEST(TextTest, ChecksCharacters) {
  EXPECT_THAT(CheckCharacters("name", "äö", 1, 2), IsOk());
  EXPECT_THAT(CheckCharacters("name", "", 0, 2), IsOk());
  EXPECT_THAT(CheckCharacters("name", "äöü", 1, 2),
              IsInvalidField("name", "must have 1 to 2 characters, has 3"));
  EXPECT_THAT(CheckCharacters("name", "", 1, 2),
              IsInvalidField("name", "must have 1 to 2 characters, has 0"));
  EXPECT_THAT(CheckCharacters("a[1].b", "äöü", 0, 2),
              IsInvalidField("a[1].b", "must have at most 2 characters, has 3"));
}

TEST(TextTest, ChecksBytes) {
  EXPECT_THAT(CheckBytes("content", "äö", 1, 4), IsOk());
  EXPECT_THAT(CheckBytes("content", "äöü", 1, 4),
              IsInvalidField("content", "must have 1 to 4 bytes of UTF-8, has 6"));
  EXPECT_THAT(CheckBytes("content", "", 1, 4),
              IsInvalidField("content", "must have 1 to 4 bytes of UTF-8, has 0"));
  EXPECT_THAT(CheckBytes("content", "äöü", 0, 4),
              IsInvalidField("content", "must have at most 4 bytes of UTF-8, has 6"));
}

TEST(TextTest, ChecksQueue) {
  EXPECT_THAT(CheckQueue("queue", "default"), IsOk());
  EXPECT_THAT(CheckQueue("queue", "a-z_0.9"), IsOk());
  EXPECT_THAT(CheckQueue("queue", std::string(64, 'q')), IsOk());
  EXPECT_THAT(CheckQueue("queue", std::string(65, 'q')),
              IsInvalidField("queue", "must have 1 to 64 characters, has 65"));
  EXPECT_THAT(CheckQueue("queue", ""), IsInvalidField("queue", "has 0"));
  for (const char* name : {"Default", "a b", "a/b", "ä", "a\n", "\xFF"}) {
    EXPECT_THAT(CheckQueue("queues[3]", name), IsInvalidField("queues[3]", "`a-z 0-9 . _ -`"));
  }
}

TEST(TextTest, ChecksRequestId) {
  EXPECT_THAT(CheckRequestId(""), IsOk());
  EXPECT_THAT(CheckRequestId(" ~!"), IsOk());
  EXPECT_THAT(CheckRequestId(std::string(128, 'x')), IsOk());
  EXPECT_THAT(CheckRequestId(std::string(129, 'x')),
              IsInvalidField("request_id", "must have at most 128 characters, has 129"));
  for (const char* id : {"a\n", "\x7F", "ä", "\x1F", "\xFF"}) {
    EXPECT_THAT(CheckRequestId(id), IsInvalidField("request_id", "printable ASCII"));
  }
}

TEST(TextTest, ChecksUuid) {
  EXPECT_THAT(CheckUuid("ticket_id", "2bbab082-7928-816f-88e2-f42f69157f7b"), IsOk());
  EXPECT_THAT(CheckUuid("ticket_id", "2BBAB0827928816F88E2F42F69157F7B"), IsOk());
  for (const char* id : {"", "2bbab082", "2bbab082-7928-816f-88e2-f42f69157f7g",
                         "2bbab0827928-816f-88e2-f42f69157f7b"}) {
    EXPECT_THAT(CheckUuid("ticket_id", id), IsInvalidField("ticket_id", "must be a UUID"));
  }
}

std::string Nested(int depth) {
  const size_t levels = static_cast<size_t>(depth);
  return absl::StrCat(std::string(levels, '['), std::string(levels, ']'));
}

TEST(JsonTest, TakesAnyValue) {
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("true"), std::string("0"),
        std::string("-1.5e-3"), std::string("123456789012345678901234567890"),
        std::string("\"text\""), std::string("\"\\u00e4\\ud83d\\udc4d\""), std::string("\"日本\""),
        std::string(" [1, {\"a\": [] }] \n"), std::string("{\"a\":1,\"a\":2}"), std::string("{}"),
        Nested(kMaxJsonDepth), absl::StrCat("\"", std::string(kMaxJsonBytes - 2, 'x'), "\"")}) {
    EXPECT_THAT(CheckJson("details_json", text), IsOk()) << text.substr(0, 80);
  }
}

TEST(JsonTest, RefusesWhatIsNone) {
  for (const char* text :
       {" ",       "{",      "}",        "[1,]",           "{\"a\"}", "{a:1}",
        "{'a':1}", "NaN",    "Infinity", "-Infinity",      "01",      "1.",
        ".5",      "+1",     "tru",      "nullx",          "1 2",     "{} {}",
        "// c\n1", "\"\n\"", "\"\\x\"",  "\"unterminated", "[1 2]",   "undefined"}) {
    EXPECT_THAT(CheckJson("details_json", text),
                IsInvalidField("details_json", "must be one JSON value: "))
        << text;
  }
  EXPECT_THAT(CheckJson("details_json", "\"\xED\xA0\x80\""),
              IsInvalidField("details_json", "must be valid UTF-8"));
  EXPECT_THAT(CheckJson("details_json", absl::string_view("1\0", 2)),
              IsInvalidField("details_json", "must be one JSON value"));
}

TEST(JsonTest, IsBounded) {
  EXPECT_THAT(CheckJson("result_json", std::string(kMaxJsonBytes + 1, '1')),
              IsInvalidField("result_json", "must have at most 32768 bytes of UTF-8, has 32769"));
  EXPECT_THAT(CheckJson("result_json", Nested(kMaxJsonDepth + 1)),
              IsInvalidField("result_json", "may nest at most 32 levels deep"));
  EXPECT_THAT(CheckJson("result_json", std::string(kMaxJsonBytes, '[')),
              IsInvalidField("result_json", "may nest at most 32 levels deep"));
  EXPECT_THAT(
      CheckJson("result_json", absl::StrCat("[", std::string(kMaxJsonBytes / 2 - 2, ' '), "1]")),
      IsOk());
}

google::protobuf::Duration Span(int64_t seconds, int32_t nanos) {
  google::protobuf::Duration duration;
  duration.set_seconds(seconds);
  duration.set_nanos(nanos);
  return duration;
}

google::protobuf::Timestamp Moment(int64_t seconds, int32_t nanos) {
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(nanos);
  return timestamp;
}

TEST(TimingTest, ChecksTimestamps) {
  EXPECT_THAT(CheckTimestamp("run_after", Moment(0, 0)), IsOk());
  EXPECT_THAT(CheckTimestamp("run_after", Moment(-62135596800, 0)), IsOk());
  EXPECT_THAT(CheckTimestamp("run_after", Moment(253402300799, 999999999)), IsOk());
  for (const auto& timestamp :
       {Moment(-62135596801, 0), Moment(253402300800, 0), Moment(0, -1), Moment(0, 1000000000),
        Moment(INT64_MAX, 0), Moment(INT64_MIN, INT32_MIN)}) {
    EXPECT_THAT(CheckTimestamp("run_after", timestamp),
                IsInvalidField("run_after", "must be a time in the years 1 to 9999"));
  }
}

TEST(TimingTest, ChecksDurations) {
  const auto check = [](const google::protobuf::Duration& duration) {
    return CheckDuration("wait", duration, absl::Seconds(1), absl::Seconds(60));
  };
  EXPECT_THAT(check(Span(1, 0)), IsOk());
  EXPECT_THAT(check(Span(60, 0)), IsOk());
  EXPECT_THAT(check(Span(0, 999999999)), IsInvalidField("wait", "must be 1s to 1m"));
  EXPECT_THAT(check(Span(60, 1)), IsInvalidField("wait", "must be 1s to 1m"));
  EXPECT_THAT(check(Span(-1, 0)), IsInvalidField("wait", "is -1s"));
  EXPECT_THAT(check(Span(INT64_MAX, 0)), IsInvalidField("wait", "must be 1s to 1m"));
  EXPECT_THAT(check(Span(INT64_MIN, 0)), IsInvalidField("wait", "must be 1s to 1m"));
  for (const auto& duration :
       {Span(1, -1), Span(-1, 1), Span(1, 1000000000), Span(-1, -1000000000), Span(0, INT32_MIN)}) {
    EXPECT_THAT(check(duration), IsInvalidField("wait", "nanos"));
  }
}

}  // namespace
}  // namespace agentdesk::domain
