#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tools/agentdesk-webhooks/config.h"
#include "tools/agentdesk-webhooks/cursor_file.h"
#include "tools/agentdesk-webhooks/http_post.h"
#include "tools/agentdesk-webhooks/signature.h"

namespace agentdesk::webhooks {
namespace {

using testing::HasCode;
using testing::HasError;
using testing::IsOk;
using testing::TempDir;
using testing::Value;

constexpr char kSecret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

// The example that comes with the specification of Standard Webhooks.
TEST(SignatureTest, IsThatOfStandardWebhooks) {
  const std::vector<std::string> keys = Value(ReadKeys(kSecret));
  EXPECT_EQ(Sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, R"({"test": 2432232314})"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(SignatureTest, EachKeySigns) {
  const std::string two = absl::StrCat(kSecret, "\n\nwhsec_", std::string(40, 'A'), "\r\n");
  const std::vector<std::string> keys = Value(ReadKeys(two));
  ASSERT_EQ(keys.size(), 2u);
  const std::string both = Sign(keys, "id", 1, "body");
  EXPECT_EQ(both,
            absl::StrCat(Sign({keys[0]}, "id", 1, "body"), " ", Sign({keys[1]}, "id", 1, "body")));
  EXPECT_NE(Sign(keys, "id", 2, "body"), both);
}

TEST(SignatureTest, BadSecretsAreNamedByTheirLine) {
  EXPECT_THAT(ReadKeys(""), HasError(absl::StatusCode::kInvalidArgument, "no key"));
  EXPECT_THAT(ReadKeys(absl::StrCat(kSecret, "\npassword")),
              HasError(absl::StatusCode::kInvalidArgument, "line 2"));
  EXPECT_THAT(ReadKeys("whsec_c2hvcnQ="), HasError(absl::StatusCode::kInvalidArgument, "24 to 64"));
  EXPECT_THAT(std::string(ReadKeys("whsec_c2hvcnQ=").status().message()),
              ::testing::Not(::testing::HasSubstr("c2hvcnQ")));
}

bool Local(const std::string& text) {
  sockaddr_storage address{};
  auto* const v4 = reinterpret_cast<sockaddr_in*>(&address);
  auto* const v6 = reinterpret_cast<sockaddr_in6*>(&address);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr), 1) << text;
    v6->sin6_family = AF_INET6;
  }
  return IsLocal(reinterpret_cast<const sockaddr&>(address));
}

TEST(HttpPostTest, KnowsLocalAddresses) {
  for (const char* address :
       {"127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1"}) {
    EXPECT_TRUE(Local(address)) << address;
  }
  for (const char* address :
       {"10.0.0.1", "192.168.1.1", "126.255.255.255", "128.0.0.1", "169.253.255.255", "203.0.113.9",
        "2001:db8::1", "fd00::1", "::ffff:203.0.113.9", "64:ff9b::cb00:7109"}) {
    EXPECT_FALSE(Local(address)) << address;
  }
  sockaddr other{};
  other.sa_family = AF_UNIX;
  EXPECT_TRUE(IsLocal(other));
}

TEST(HttpPostTest, AddressesOfTheMachineAreRefused) {
  const std::atomic<bool> stopping{false};
  HttpPost post({}, stopping);
  for (const char* url : {"http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/",
                          "http://2130706433:9/", "http://0x7f.1:9/", "http://0:9/"}) {
    EXPECT_THAT(post.Send(url, {}, "{}"),
                HasError(absl::StatusCode::kPermissionDenied, "--allow_local_endpoints"))
        << url;
  }
}

TEST(HttpPostTest, ChecksUrls) {
  EXPECT_THAT(CheckUrl("https://example.org/hook?a=b"), IsOk());
  EXPECT_THAT(CheckUrl("http://[2001:db8::1]:8080/"), IsOk());
  for (const char* url : {"", "example.org", "/hook", "ftp://example.org/", "file:///etc/passwd",
                          "https://", "https://user:secret@example.org/"}) {
    EXPECT_THAT(CheckUrl(url), HasCode(absl::StatusCode::kInvalidArgument)) << url;
  }
}

absl::StatusOr<std::string> OneSecret(const std::string& path) {
  if (path == "secret") return std::string(kSecret);
  return absl::InvalidArgumentError("cannot read it");
}

TEST(ConfigTest, ReadsEndpoints) {
  const std::vector<EndpointConfig> endpoints = Value(ParseEndpoints(
      R"({"endpoints":[{"name":"chat","url":"https://example.org/","secret_file":"secret",
          "types":["agent_question","agent_error"]},
          {"name":"all-2","url":"http://example.org/","secret_file":"secret",
          "types":["ticket_created"],"from_beginning":true}]})",
      OneSecret));
  ASSERT_EQ(endpoints.size(), 2u);
  EXPECT_EQ(endpoints[0].name, "chat");
  EXPECT_FALSE(endpoints[0].from_beginning);
  EXPECT_THAT(endpoints[0].filter.types(),
              ::testing::ElementsAre(v1::EVENT_TYPE_AGENT_QUESTION, v1::EVENT_TYPE_AGENT_ERROR));
  EXPECT_EQ(endpoints[0].keys.size(), 1u);
  EXPECT_TRUE(endpoints[1].from_beginning);
}

TEST(ConfigTest, ErrorsNameTheFieldAndTheRule) {
  const auto error = [](const std::string& text) {
    return std::string(ParseEndpoints(text, OneSecret).status().message());
  };
  const auto with = [&](const std::string& field) {
    return error(absl::StrCat(
        R"({"endpoints":[{"name":"a","url":"https://h/","secret_file":"secret","types":["tool_call"],)",
        field, "}]}"));
  };
  EXPECT_THAT(error("{"), ::testing::HasSubstr("not JSON"));
  EXPECT_THAT(error(R"({"endpoints":[],"more":1})"), ::testing::HasSubstr("no more"));
  EXPECT_THAT(error(R"({"endpoints":[]})"), ::testing::HasSubstr("1 to 50"));
  EXPECT_THAT(error(R"({"endpoints":["a"]})"), ::testing::HasSubstr("endpoints[0]: must be"));
  EXPECT_THAT(with(R"("name":"A b")"), ::testing::HasSubstr("endpoints[0].name: must be"));
  EXPECT_THAT(with(R"("url":"ftp://h/")"), ::testing::HasSubstr("endpoints[0].url: must begin"));
  EXPECT_THAT(with(R"("types":[])"), ::testing::HasSubstr("endpoints[0].types"));
  EXPECT_THAT(with(R"("types":["agent_questions"])"), ::testing::HasSubstr("\"agent_questions\""));
  EXPECT_THAT(with(R"("secret_file":"other")"), ::testing::HasSubstr("secret_file: cannot read"));
  EXPECT_THAT(with(R"("secret":"whsec_x")"), ::testing::HasSubstr("secret: is not a field"));
  const std::string one =
      R"({"name":"a","url":"https://h/","secret_file":"secret","types":["tool_call"]})";
  EXPECT_THAT(error(absl::StrCat(R"({"endpoints":[)", one, ",", one, "]}")),
              ::testing::HasSubstr("endpoints[1].name: `a` is taken"));
}

TEST(CursorFileTest, KeepsAPosition) {
  const TempDir dir;
  const CursorFile file(dir.File("chat.cursor"));
  EXPECT_FALSE(Value(file.Read()).has_value());
  const Position position{"019ab000-0000-7000-8000-000000000001", 7};
  EXPECT_THAT(file.Write(position), IsOk());
  EXPECT_EQ(Value(file.Read()), position);
  std::ofstream(dir.File("chat.cursor")) << "nonsense";
  EXPECT_THAT(file.Read(), HasError(absl::StatusCode::kDataLoss, "chat.cursor"));
}

TEST(CursorFileTest, DirectoriesThatCannotBeAreNamed) {
  const TempDir dir;
  EXPECT_THAT(CheckDirectory(dir.path()), IsOk());
  EXPECT_THAT(CheckDirectory(dir.File("a/b/")), IsOk());
  EXPECT_THAT(CheckDirectory("state"), IsOk());
  std::ofstream(dir.File("file")) << "text";
  for (const char* place : {"file", "file/state"}) {
    EXPECT_THAT(std::string(CheckDirectory(dir.File(place)).message()),
                ::testing::HasSubstr("Not a directory"));
  }
}

TEST(CursorFileTest, OneProcessHoldsTheDirectory) {
  const TempDir dir;
  const std::string place = dir.File("above/state");
  EXPECT_THAT(HoldDirectory(place), IsOk());
  EXPECT_THAT(HoldDirectory(place), HasError(absl::StatusCode::kFailedPrecondition, place));
}

}  // namespace
}  // namespace agentdesk::webhooks
