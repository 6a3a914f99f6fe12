#include "tools/agentdesk/command_line.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace agentdesk::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Invocation Read(const std::vector<std::string>& arguments) {
  const absl::StatusOr<Invocation> invocation = ReadCommandLine(arguments);
  EXPECT_TRUE(invocation.ok()) << invocation.status();
  return invocation.ok() ? *invocation : Invocation();
}

std::string Error(const std::vector<std::string>& arguments) {
  const absl::StatusOr<Invocation> invocation = ReadCommandLine(arguments);
  EXPECT_FALSE(invocation.ok());
  return std::string(invocation.status().message());
}

TEST(CommandLineTest, FlagsStandAnywhere) {
  const Invocation read = Read({"--core", "h:1", "ticket", "--label=a=b", "create", "Fix",
                                "--label", "c=d=e", "it", "--json", "--ticket-id=X"});
  ASSERT_NE(read.command, nullptr);
  EXPECT_EQ(read.command->words, "ticket create");
  EXPECT_THAT(read.arguments, ElementsAre("Fix", "it"));
  EXPECT_THAT(read.All("label"), ElementsAre("a=b", "c=d=e"));
  EXPECT_EQ(read.Get("ticket_id"), "X");
  EXPECT_THAT(read.program_flags, ElementsAre("--core=h:1", "--json=true"));
}

TEST(CommandLineTest, TwoDashesEndTheFlags) {
  const Invocation read = Read({"message", "S", "--", "--json", "is", "-x"});
  EXPECT_THAT(read.arguments, ElementsAre("S", "--json", "is", "-x"));
  EXPECT_THAT(Read({"answer", "Q", "-"}).arguments, ElementsAre("Q", "-"));
}

TEST(CommandLineTest, Switches) {
  EXPECT_TRUE(Read({"watch", "--live"}).Has("live"));
  EXPECT_FALSE(Read({"watch", "--live=false"}).Has("live"));
  EXPECT_THAT(Error({"watch", "--live=7"}), HasSubstr("takes no value"));
}

TEST(CommandLineTest, ErrorsSayWhatToDo) {
  EXPECT_THAT(Error({}), HasSubstr("`agentdesk --help`"));
  EXPECT_THAT(Error({"ticket"}), HasSubstr("ticket create, ticket list"));
  EXPECT_THAT(Error({"tickte"}), HasSubstr("no command `tickte`"));
  EXPECT_THAT(Error({"ticket", "show"}), HasSubstr("needs TICKET_ID"));
  EXPECT_THAT(Error({"ticket", "show", "A", "B"}), HasSubstr("`B` is too much"));
  EXPECT_THAT(Error({"ticket", "show", "A", "--queue=x"}),
              HasSubstr("--queue is no flag of this command; see `agentdesk ticket show --help`"));
  EXPECT_THAT(Error({"watch", "--colour"}), HasSubstr("no flag --colour"));
  EXPECT_THAT(Error({"watch", "--after"}), HasSubstr("--after=N"));
}

TEST(CommandLineTest, HelpForEverythingAndForEachCommand) {
  EXPECT_TRUE(Read({"--help"}).help);
  EXPECT_EQ(Read({"--help"}).command, nullptr);
  EXPECT_EQ(Read({"help", "watch"}).command->words, "watch");
  for (const CommandSpec& command : Commands()) {
    EXPECT_THAT(Help(), HasSubstr(command.words));
    for (const FlagSpec& flag : command.flags) {
      EXPECT_THAT(Help(command), HasSubstr("--" + flag.name));
      EXPECT_FALSE(flag.help.empty());
    }
  }
}

}  // namespace
}  // namespace agentdesk::cli
