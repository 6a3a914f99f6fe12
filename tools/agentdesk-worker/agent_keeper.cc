#include "tools/agentdesk-worker/agent_keeper.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace agentdesk::worker {
namespace {

// The keeper has the memory of a process with threads, whose locks may be held for ever. So all
// that is here are system calls.

constexpr char kName[] = "agentdesk-agent";
constexpr int kCannotRun = 127;
// The kernel sends it when a thread of the worker has ended. Whether it was the worker is looked
// up.
constexpr int kWorkerEnded = SIGHUP;

// The worker's handlers would write into pipes that it still reads.
void ForgetHandlers() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action;
    if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
  signal(SIGPIPE, SIG_DFL);
  signal(SIGCHLD, SIG_DFL);
}

// Who kills all that is called agentdesk-worker would else kill the keeper, too, and leave the
// agent.
void TakeName() {
  prctl(PR_SET_NAME, kName);
  char* const shown = program_invocation_name;  // the words of `ps` begin in this memory
  strncpy(shown, kName, strlen(shown));
}

[[noreturn]] void BecomeShell(const KeeperOrders& orders, pid_t keeper) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != keeper) _exit(kCannotRun);
  if (dup2(orders.input, STDIN_FILENO) < 0 || dup2(orders.output, STDOUT_FILENO) < 0 ||
      dup2(orders.errors, STDERR_FILENO) < 0) {
    _exit(kCannotRun);
  }
  close_range(STDERR_FILENO + 1, ~0U, 0);
  if (orders.descriptors != nullptr) setrlimit(RLIMIT_NOFILE, orders.descriptors);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve("/bin/sh", orders.arguments, orders.environment);
  _exit(kCannotRun);
}

// A SIGTERM to the group that came before there was a shell is the shell's, too.
void PassOnWhatCameBefore(pid_t shell) {
  sigset_t pending;
  sigpending(&pending);
  if (sigismember(&pending, SIGTERM) == 1) kill(shell, SIGTERM);
}

[[noreturn]] void EndAs(int status) {
  if (!WIFSIGNALED(status)) _exit(WEXITSTATUS(status));
  const int number = WTERMSIG(status);
  prctl(PR_SET_DUMPABLE, 0);  // the core that there may be is the shell's
  signal(number, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  kill(getpid(), number);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  _exit(128 + number);
}

[[noreturn]] void Watch(pid_t shell, const KeeperOrders& orders) {
  sigset_t news;
  sigemptyset(&news);
  sigaddset(&news, SIGCHLD);
  sigaddset(&news, SIGALRM);
  sigaddset(&news, kWorkerEnded);
  bool shell_ended = false;
  int shell_status = 0;
  while (true) {
    const int signal = sigwaitinfo(&news, nullptr);
    const bool grace_is_over = shell_ended && signal == SIGALRM;
    if (grace_is_over || getppid() != orders.worker) kill(0, SIGKILL);
    int status = 0;
    // Whoever has lost its parent in the group is the keeper's child.
    for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended != shell) continue;
      shell_ended = true;
      shell_status = status;
      alarm(orders.grace_s);
    }
    if (!shell_ended) continue;
    const bool asked_to_end = WIFSIGNALED(shell_status) && WTERMSIG(shell_status) == SIGTERM;
    const bool alone = waitpid(0, &status, WNOHANG) < 0;
    if (alone || !asked_to_end) EndAs(shell_status);
  }
}

}  // namespace

void KeepAgent(const KeeperOrders& orders) {
  setpgid(0, 0);
  ForgetHandlers();
  TakeName();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, kWorkerEnded);
  if (getppid() != orders.worker) _exit(kCannotRun);
  const pid_t keeper = getpid();
  const pid_t shell = _Fork();
  if (shell < 0) _exit(kCannotRun);
  if (shell == 0) BecomeShell(orders, keeper);
  PassOnWhatCameBefore(shell);
  close_range(0, ~0U, 0);  // the ends of the pipes must be seen
  Watch(shell, orders);
}

}  // namespace agentdesk::worker
