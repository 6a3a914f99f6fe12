#include "core_service/base/timestamp.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/agentdesk/commands.h"

namespace agentdesk::cli {
namespace {

using testing::HasSubstr;

absl::StatusOr<v1::CreateTicketRequest> Read(std::vector<std::string> flags) {
  flags.insert(flags.begin(), {"ticket", "create", "Fix", "the", "page"});
  const absl::StatusOr<Invocation> invocation =
      ReadCommandLine(flags, [](const char*) -> const char* { return nullptr; });
  if (!invocation.ok()) return invocation.status();
  return ReadCreateTicket(*invocation, absl::FromUnixSeconds(1000));
}

TEST(ReadCreateTicketTest, Everything) {
  const auto request = Read({"--description=D", "--label=a=b=c", "--label=d=", "--queue=q",
                             "--priority=0", "--max_attempts=3", "--timeout_s=60", "--ticket_id=T",
                             "--request_id=R", "--run_after=1970-01-01T00:18:10Z"});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->ticket_name(), "Fix the page");
  EXPECT_EQ(request->description(), "D");
  EXPECT_EQ(request->labels().at("a"), "b=c");
  EXPECT_EQ(request->labels().at("d"), "");
  EXPECT_EQ(request->queue(), "q");
  EXPECT_TRUE(request->has_priority());
  EXPECT_EQ(request->priority(), 0);
  EXPECT_EQ(request->max_attempts(), 3);
  EXPECT_EQ(request->timeout_s(), 60);
  EXPECT_EQ(request->ticket_id(), "T");
  EXPECT_EQ(request->request_id(), "R");
  EXPECT_EQ(request->run_after().seconds(), 1090);
}

TEST(ReadCreateTicketTest, ATimeFromNowOnIsNoPartOfACallThatMayBeRepeated) {
  const auto request = Read({"--run_after=90s"});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->run_after().seconds(), 1090);
  const auto refused = Read({"--run_after=90s", "--request_id=R"});
  EXPECT_THAT(refused.status().message(),
              HasSubstr("--run_after=1970-01-01T00:18:10.000000+00:00"));
}

TEST(ReadCreateTicketTest, WhatIsNotGivenIsLeftToTheDesk) {
  const auto request = Read({});
  ASSERT_TRUE(request.ok());
  EXPECT_FALSE(request->has_priority());
  EXPECT_FALSE(request->has_max_attempts());
  EXPECT_FALSE(request->has_run_after());
}

TEST(ReadCreateTicketTest, ErrorsNameTheFlag) {
  EXPECT_THAT(Read({"--label=a"}).status().message(), HasSubstr("--label=a: must be KEY=VALUE"));
  EXPECT_THAT(Read({"--priority=10"}).status().message(), HasSubstr("from 0 to 9"));
  EXPECT_THAT(Read({"--priority=high"}).status().message(), HasSubstr("--priority=high"));
  EXPECT_THAT(Read({"--run_after=tomorrow"}).status().message(), HasSubstr("--run_after=tomorrow"));
  const auto request = Read({"--run_after=2030-01-31T08:00:00+01:00"});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(FromProto(request->run_after()), absl::FromUnixSeconds(1896073200));
}

}  // namespace
}  // namespace agentdesk::cli
