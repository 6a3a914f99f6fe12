#include "tools/agentdesk/command_line.h"

#include <fstream>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Variables = std::map<std::string, std::string>;

absl::StatusOr<Invocation> ReadIn(const Variables& variables,
                                  const std::vector<std::string>& arguments) {
  return ReadCommandLine(arguments, [&](const char* name) -> const char* {
    const auto it = variables.find(name);
    return it == variables.end() ? nullptr : it->second.c_str();
  });
}

Invocation Read(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  const absl::StatusOr<Invocation> invocation = ReadIn(variables, arguments);
  EXPECT_TRUE(invocation.ok()) << invocation.status();
  return invocation.ok() ? *invocation : Invocation();
}

std::string Error(const std::vector<std::string>& arguments) {
  const absl::StatusOr<Invocation> invocation = ReadIn({}, arguments);
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

TEST(CommandLineTest, AFlagOfACommandComesFromTheEnvironmentToo) {
  const Variables variables = {{"AGENTDESK_QUEUE", "night"},
                               {"AGENTDESK_LABEL", "a=b"},
                               {"AGENTDESK_PRIORITY", "9"},
                               {"AGENTDESK_LIVE", "true"}};
  const Invocation create =
      Read({"ticket", "create", "X", "--priority=2", "--label=c=d"}, variables);
  EXPECT_EQ(create.Get("queue"), "night");
  EXPECT_EQ(create.Get("priority"), "2");
  EXPECT_THAT(create.All("label"), ElementsAre("c=d"));
  EXPECT_FALSE(create.Has("live")) << "is a flag of another command";
  EXPECT_TRUE(Read({"watch"}, variables).Has("live"));
  EXPECT_FALSE(Read({"watch", "--live=false"}, variables).Has("live"));
}

TEST(CommandLineTest, AFlagOfACommandComesFromAFileLast) {
  const ::agentdesk::testing::TempDir dir;
  const std::string path = dir.File("flags");
  std::ofstream(path) << "# for the night shift\n--core=h:1\n--queue=night\n  --label=a=b\n"
                         "--label=c=d\n--priority=9\n--live\n";
  const Variables variables = {{"AGENTDESK_FLAGFILE", path}, {"AGENTDESK_PRIORITY", "3"}};
  const Invocation create = Read({"ticket", "create", "X"}, variables);
  EXPECT_EQ(create.Get("queue"), "night");
  EXPECT_EQ(create.Get("priority"), "3") << "the environment goes before the file";
  EXPECT_THAT(create.All("label"), ElementsAre("a=b", "c=d"));
  EXPECT_TRUE(Read({"watch", "--flagfile", path}).Has("live"));
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
