#include "tools/agentdesk-worker/agent_process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/agentdesk-worker/agent_protocol.h"

namespace agentdesk::worker {
namespace {

using testing::ElementsAre;

constexpr std::chrono::seconds kPatience{60};

// A process that the test waits for and cannot wait on: a child of the agent's.
class Watched {
 public:
  explicit Watched(const std::string& pid)
      : descriptor_(static_cast<int>(syscall(SYS_pidfd_open, std::atoi(pid.c_str()), 0))) {}
  ~Watched() { close(descriptor_); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  bool found() const { return descriptor_ >= 0; }
  // Whether it ends within the test's patience.
  bool Ends() const {
    pollfd end = {.fd = descriptor_, .events = POLLIN, .revents = 0};
    return poll(&end, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1;
  }

 private:
  const int descriptor_;
};

class AgentProcessTest : public testing::Test, protected Agent::Listener {
 protected:
  static void SetUpTestSuite() {
    std::signal(SIGPIPE, SIG_IGN);
    // What was ignored at its start no shell can trap, and nohup ignores this one.
    std::signal(SIGHUP, SIG_DFL);
  }

  void Start(const std::string& command, std::optional<rlim_t> descriptors = std::nullopt) {
    absl::StatusOr<std::unique_ptr<Agent>> agent =
        AgentProcess::Start(io_, {command, descriptors}, "job-1", *this);
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
  }
  // Until the agent has ended.
  AgentExit Run() {
    while (!exit_.has_value() && io_.run_one_for(kPatience) > 0) continue;
    EXPECT_TRUE(exit_.has_value()) << "it does not end";
    return exit_.value_or(AgentExit());
  }
  void RunUntilLines(size_t lines) {
    while (lines_.size() < lines && io_.run_one_for(kPatience) > 0) continue;
    ASSERT_GE(lines_.size(), lines) << "it does not say so much";
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

TEST_F(AgentProcessTest, TheWholeGroupIsKilled) {
  Start("sleep 600 & echo $!; wait");
  RunUntilLines(1);
  const Watched child(lines_[0]);
  ASSERT_TRUE(child.found());
  agent_->Signal(SIGKILL);
  EXPECT_EQ(Run().signal, SIGKILL);
  EXPECT_TRUE(child.Ends());
}

TEST_F(AgentProcessTest, TheWholeGroupIsAskedToEnd) {
  Start(
      "trap 'echo shell' TERM; "
      "(trap 'echo child; exit' TERM; sleep 600 & echo ready; wait) & "
      "wait; wait; exit 3");
  RunUntilLines(1);
  agent_->Signal(SIGTERM);
  EXPECT_EQ(Run().code, 3);
  EXPECT_THAT(lines_, testing::UnorderedElementsAre("ready", "shell", "child"));
}

// dash does not become the last of its commands, and has no reason to outlive SIGTERM.
TEST_F(AgentProcessTest, WhatTheShellRanHasItsGraceWhenSigtermEndedTheShell) {
  Start(
      "/bin/bash -c 'trap \"read line; echo last words; exit\" TERM; sleep 600 & echo ready; "
      "wait'; "
      "true");
  RunUntilLines(1);
  agent_->Signal(SIGTERM);
  agent_->Send("go on\n");
  EXPECT_EQ(Run().signal, SIGTERM);
  EXPECT_THAT(lines_, ElementsAre("ready", "last words"));
}

TEST_F(AgentProcessTest, TheGraceOfWhatTheShellRanHasAnEnd) {
  Start("/bin/bash -c 'trap \"\" TERM; echo $BASHPID; sleep 600; true'; true");
  RunUntilLines(1);
  const Watched child(lines_[0]);
  ASSERT_TRUE(child.found());
  agent_->Signal(SIGTERM);
  EXPECT_EQ(Run().signal, SIGKILL);
  EXPECT_TRUE(child.Ends());
}

TEST_F(AgentProcessTest, AnAgentIsAskedToEndThatHasHardlyBegun) {
  Start("exec sleep 600");
  agent_->Signal(SIGTERM);
  EXPECT_EQ(Run().signal, SIGTERM);
}

TEST_F(AgentProcessTest, SignalsThatAnAgentSendsToItsGroupAreItsOwn) {
  Start(
      "trap 'echo hup' HUP; trap 'echo alarm' ALRM; trap 'echo usr' USR1; "
      "kill -HUP 0; kill -ALRM 0; kill -USR1 0; exit 5");
  EXPECT_EQ(Run().code, 5);
  EXPECT_THAT(lines_, ElementsAre("hup", "alarm", "usr"));
}

TEST_F(AgentProcessTest, TheSignalThatKilledTheShellIsToldAsItIs) {
  Start("kill -ABRT $$");
  EXPECT_EQ(Run().signal, SIGABRT);
}

TEST_F(AgentProcessTest, WhatIsLeftOfTheGroupIsKilledWhenTheAgentEnds) {
  Start("sleep 600 & echo $!; read line");
  RunUntilLines(1);
  const Watched child(lines_[0]);
  ASSERT_TRUE(child.found());
  agent_->Send("go\n");
  EXPECT_EQ(Run().code, 0);
  EXPECT_TRUE(child.Ends());
}

TEST_F(AgentProcessTest, AProcessThatLeftTheGroupDoesNotHoldTheEndUp) {
  Start("setsid sh -c 'echo $$; exec sleep 600' & read line");
  RunUntilLines(1);
  const pid_t gone = std::atoi(lines_[0].c_str());
  agent_->Send("go\n");
  EXPECT_EQ(Run().code, 0);
  EXPECT_EQ(kill(gone, SIGKILL), 0) << "it has its stdout to this moment";
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

TEST_F(AgentProcessTest, ItsOwnLimitOfOpenFiles) {
  rlimit mine{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &mine), 0);
  Start("ulimit -Sn; ulimit -Hn", 100);
  Run();
  const std::string hard =
      mine.rlim_max == RLIM_INFINITY ? "unlimited" : absl::StrCat(mine.rlim_max);
  EXPECT_THAT(lines_, ElementsAre("100", hard));
}

TEST_F(AgentProcessTest, ALineThatIsTooLongIsDropped) {
  Start(absl::StrCat("head -c ", kMaxLineBytes + 1, " /dev/zero | tr '\\0' x; echo; echo ok"));
  Run();
  EXPECT_THAT(lines_, ElementsAre("too long", "ok"));
}

TEST_F(AgentProcessTest, DestroyingItKillsIt) {
  Start("sleep 600 & echo $! $$; wait");
  RunUntilLines(1);
  const std::vector<std::string> pids = absl::StrSplit(lines_[0], ' ');
  const Watched child(pids[0]);
  const Watched shell(pids[1]);
  ASSERT_TRUE(child.found() && shell.found());
  agent_.reset();
  EXPECT_TRUE(child.Ends() && shell.Ends());
  io_.poll();  // handlers of what is gone do nothing
}

// The worker is a process of the test's own, which is killed as the kernel kills for memory.
TEST_F(AgentProcessTest, TheWholeGroupDiesWithItsWorker) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t worker = fork();
  ASSERT_GE(worker, 0);
  if (worker == 0) {
    Start("sleep 600 & echo $! $$; wait");
    RunUntilLines(1);
    const std::string said = absl::StrCat(lines_.empty() ? "" : lines_[0], "\n");
    if (write(pipe_ends[1], said.data(), said.size()) < 0) _exit(1);
    Run();
    _exit(0);
  }
  close(pipe_ends[1]);
  char said[64] = {};
  ASSERT_GT(read(pipe_ends[0], said, sizeof(said) - 1), 0);
  close(pipe_ends[0]);
  const std::vector<std::string> pids = absl::StrSplit(said, ' ');
  ASSERT_EQ(pids.size(), 2u) << said;
  const Watched child(pids[0]);
  const Watched shell(pids[1]);
  ASSERT_TRUE(child.found() && shell.found());
  kill(worker, SIGKILL);
  EXPECT_EQ(waitpid(worker, nullptr, 0), worker);
  EXPECT_TRUE(shell.Ends());
  EXPECT_TRUE(child.Ends());
}

}  // namespace
}  // namespace agentdesk::worker
