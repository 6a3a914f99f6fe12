#include "tools/agentdesk-worker/agent_process.h"

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/agentdesk-worker/agent_protocol.h"

namespace agentdesk::worker {
namespace {

using testing::ElementsAre;

class AgentProcessTest : public testing::Test, protected Agent::Listener {
 protected:
  static void SetUpTestSuite() { std::signal(SIGPIPE, SIG_IGN); }

  void Start(const std::string& command) {
    absl::StatusOr<std::unique_ptr<Agent>> agent =
        AgentProcess::Start(io_, command, "job-1", *this);
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
  }
  // Until the agent has ended.
  AgentExit Run() {
    while (!exit_.has_value()) io_.run_one();
    return *exit_;
  }
  void RunUntilLines(size_t lines) {
    while (lines_.size() < lines) io_.run_one();
  }

  void OnLine(absl::string_view line) override { lines_.emplace_back(line); }
  void OnLineTooLong() override { lines_.push_back("too long"); }
  void OnInputDrained() override { ++drained_; }
  void OnExit(const AgentExit& exit) override {
    exit_ = exit;
    agent_.reset();
  }

  boost::asio::io_context io_{1};
  std::unique_ptr<Agent> agent_;
  std::vector<std::string> lines_;
  int drained_ = 0;
  std::optional<AgentExit> exit_;
};

TEST_F(AgentProcessTest, LinesBothWaysAndAnExitCode) {
  Start("read line; echo \"got $line\"; printf last; exit 7");
  agent_->Send("hello\n");
  const AgentExit exit = Run();
  EXPECT_THAT(lines_, ElementsAre("got hello", "last"));
  EXPECT_EQ(exit.code, 7);
  EXPECT_FALSE(exit.clean());
}

TEST_F(AgentProcessTest, TheEndOfStderrIsKept) {
  Start(
      "i=0; while [ $i -lt 2000 ]; do echo \"line $i\" >&2; i=$((i+1)); done; printf 'the "
      "\\377end' >&2");
  const AgentExit exit = Run();
  EXPECT_TRUE(absl::EndsWith(exit.stderr_tail, "the \uFFFDend"));
  EXPECT_LE(exit.stderr_tail.size(), kMaxSummaryBytes + 2);
  EXPECT_FALSE(absl::StrContains(exit.stderr_tail, "line 100\n"));
}

TEST_F(AgentProcessTest, AClosedStdinIsNoError) {
  Start("exec 0<&-; echo ready; read line; echo end");
  RunUntilLines(1);
  for (int i = 0; i < 100; ++i) agent_->Send(std::string(10000, 'x') + "\n");
  const AgentExit exit = Run();
  EXPECT_EQ(lines_.back(), "end");
  EXPECT_EQ(exit.code, 0);
}

TEST_F(AgentProcessTest, InputThatIsNotReadWaits) {
  Start("echo ready; read go; wc -c");
  RunUntilLines(1);
  agent_->Send("go\n");
  const std::string line = std::string(99999, 'x') + "\n";
  for (int i = 0; i < 20; ++i) agent_->Send(line);
  EXPECT_GT(agent_->unsent_bytes(), 0u);
  while (agent_->unsent_bytes() > 0) io_.run_one();
  EXPECT_GT(drained_, 0);
  agent_->Signal(SIGKILL);
  EXPECT_EQ(Run().signal, SIGKILL);
}

TEST_F(AgentProcessTest, OutputThatIsNotReadHoldsTheAgentUp) {
  Start("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done");
  agent_->ReadOutput(false);
  io_.run_for(std::chrono::milliseconds(200));
  EXPECT_TRUE(lines_.empty());
  EXPECT_FALSE(exit_.has_value()) << "its pipe is full";
  agent_->ReadOutput(true);
  Run();
  EXPECT_EQ(lines_.size(), 20000u) << "nothing is lost";
}

TEST_F(AgentProcessTest, WhatIsHeldBackOutlivesTheAgent) {
  Start("echo held");
  agent_->ReadOutput(false);
  io_.run_for(std::chrono::milliseconds(2500));
  EXPECT_FALSE(exit_.has_value());
  agent_->ReadOutput(true);
  Run();
  EXPECT_THAT(lines_, ElementsAre("held"));
}

TEST_F(AgentProcessTest, TheWholeGroupIsSignalled) {
  Start("sleep 600 & echo $!; wait");
  RunUntilLines(1);
  const pid_t child = static_cast<pid_t>(std::atoi(lines_[0].c_str()));
  EXPECT_EQ(kill(child, 0), 0);
  agent_->Signal(SIGKILL);
  EXPECT_EQ(Run().signal, SIGKILL);
}

TEST_F(AgentProcessTest, WhatIsLeftOfTheGroupIsKilledWhenTheAgentEnds) {
  Start("sleep 600 & echo $!");
  const AgentExit exit = Run();  // and not in 600 s, though the child has the pipes
  EXPECT_EQ(exit.code, 0);
}

TEST_F(AgentProcessTest, AProcessThatLeftTheGroupDoesNotHoldTheEndUp) {
  Start("setsid sleep 30 & echo gone");
  Run();
  EXPECT_EQ(lines_[0], "gone");
}

TEST_F(AgentProcessTest, NoVariableOfOurs) {
  setenv("AGENTDESK_SECRET", "x", 1);
  setenv("OTHER", "y", 1);
  Start("echo \"${AGENTDESK_SECRET:-none} $OTHER\"");
  Run();
  EXPECT_THAT(lines_, ElementsAre("none y"));
}

TEST_F(AgentProcessTest, NoDescriptorOfOurs) {
  Start("ls /proc/self/fd | wc -l");
  Run();
  EXPECT_THAT(lines_, ElementsAre("4")) << "the three streams and the one that ls reads by";
}

TEST_F(AgentProcessTest, ALineThatIsTooLongIsDropped) {
  Start(absl::StrCat("head -c ", kMaxLineBytes + 1, " /dev/zero | tr '\\0' x; echo; echo ok"));
  Run();
  EXPECT_THAT(lines_, ElementsAre("too long", "ok"));
}

TEST_F(AgentProcessTest, DestroyingItKillsIt) {
  Start("echo $$; exec sleep 600");
  RunUntilLines(1);
  const pid_t pid = static_cast<pid_t>(std::atoi(lines_[0].c_str()));
  agent_.reset();
  EXPECT_NE(kill(pid, 0), 0);
  io_.poll();  // handlers of what is gone do nothing
}

}  // namespace
}  // namespace agentdesk::worker
