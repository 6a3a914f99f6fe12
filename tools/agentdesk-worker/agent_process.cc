#include "tools/agentdesk-worker/agent_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "core_service/base/log.h"
#include "tools/agentdesk-worker/agent_keeper.h"
#include "tools/agentdesk-worker/agent_protocol.h"
#include "tools/utf8.h"

namespace agentdesk::worker {
namespace {

namespace asio = boost::asio;

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kStderrTail = kMaxSummaryBytes;
constexpr size_t kMaxErrorLine = 8 * 1024;
// How long the pipes of an agent that has ended are read: a process that left its group may hold
// them open for ever.
constexpr std::chrono::seconds kRest{2};

struct Pipe {
  int read = -1;
  int write = -1;

  bool Open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
  void Close() {
    if (read >= 0) close(std::exchange(read, -1));
    if (write >= 0) close(std::exchange(write, -1));
  }
};

std::vector<char*> EnvironmentForAgent() {
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!absl::StartsWith(*variable, "AGENTDESK_")) variables.push_back(*variable);
  }
  variables.push_back(nullptr);
  return variables;
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

void SetNonBlocking(int descriptor) {
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

}  // namespace

template <typename Then>
auto AgentProcess::Guarded(Then then) {
  return [alive = std::weak_ptr<void>(alive_),
          then = std::move(then)](const boost::system::error_code& error) mutable {
    if (!error && !alive.expired()) then();
  };
}

absl::StatusOr<AgentProcess::Child> AgentProcess::Fork(const AgentProgram& program) {
  Pipe input;
  Pipe output;
  Pipe errors;
  auto close_all = absl::MakeCleanup([&] {
    input.Close();
    output.Close();
    errors.Close();
  });
  if (!input.Open() || !output.Open() || !errors.Open()) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe");
  }
  std::string shell = "sh";
  std::string option = "-c";
  std::string text = program.command;
  char* const arguments[] = {shell.data(), option.data(), text.data(), nullptr};
  const std::vector<char*> environment = EnvironmentForAgent();
  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = std::min(program.descriptors.value_or(0), descriptors.rlim_max);
  const KeeperOrders orders = {
      .worker = getpid(),
      .input = input.read,
      .output = output.write,
      .errors = errors.write,
      .arguments = arguments,
      .environment = environment.data(),
      .descriptors = program.descriptors.has_value() ? &descriptors : nullptr,
      .grace_s = static_cast<unsigned>(absl::ToInt64Seconds(kTermGrace)),
  };
  Child child;
  // What reaches the child before it has its own handlers must not run the worker's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  child.pid = fork();
  if (child.pid == 0) KeepAgent(orders);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child.pid < 0) return absl::ErrnoToStatus(error, "cannot fork");
  // Here too, so that the group exists whichever of the two processes comes first.
  setpgid(child.pid, child.pid);
  // Not through glibc 2.36, whose declaration lacks C linkage.
  child.pid_descriptor = static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0));
  if (child.pid_descriptor < 0) {
    const absl::Status status = absl::ErrnoToStatus(errno, "cannot watch the agent");
    kill(-child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
    return status;
  }
  child.input = std::exchange(input.write, -1);
  child.output = std::exchange(output.read, -1);
  child.errors = std::exchange(errors.read, -1);
  for (const int descriptor : {child.input, child.output, child.errors}) {
    SetNonBlocking(descriptor);
  }
  return child;
}

absl::StatusOr<std::unique_ptr<Agent>> AgentProcess::Start(asio::io_context& io,
                                                           const AgentProgram& program,
                                                           std::string name, Listener& listener) {
  const absl::StatusOr<Child> child = Fork(program);
  if (!child.ok()) return child.status();
  auto agent = absl::WrapUnique(new AgentProcess(io, *child, std::move(name), listener));
  agent->ended_.async_wait(asio::posix::stream_descriptor::wait_read,
                           agent->Guarded([agent = agent.get()] { agent->OnEnded(); }));
  agent->WaitForOutput();
  agent->WaitForErrors();
  return agent;
}

AgentProcess::AgentProcess(asio::io_context& io, const Child& child, std::string name,
                           Listener& listener)
    : pid_(child.pid),
      name_(std::move(name)),
      listener_(listener),
      ended_(io, child.pid_descriptor),
      input_(io, child.input),
      output_(io, child.output),
      errors_(io, child.errors),
      rest_(io),
      lines_(kMaxLineBytes),
      error_lines_(kMaxErrorLine) {}

AgentProcess::~AgentProcess() {
  if (exit_.has_value()) return;
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void AgentProcess::Send(std::string text) {
  if (text.empty() || !input_.is_open()) return;
  unsent_bytes_ += text.size();
  unsent_.push_back(std::move(text));
  if (!waits_for_room_ && !WriteSome()) WaitForRoom();
}

// False when there is more, but no room for it now.
bool AgentProcess::WriteSome() {
  while (!unsent_.empty()) {
    const std::string& text = unsent_.front();
    const ssize_t written =
        write(input_.native_handle(), text.data() + unsent_offset_, text.size() - unsent_offset_);
    if (written < 0 && WouldBlock()) return false;
    if (written < 0) {
      CloseInput();
      return true;
    }
    unsent_bytes_ -= static_cast<size_t>(written);
    unsent_offset_ += static_cast<size_t>(written);
    if (unsent_offset_ < text.size()) continue;
    unsent_.pop_front();
    unsent_offset_ = 0;
  }
  return true;
}

void AgentProcess::CloseInput() {
  unsent_.clear();
  unsent_offset_ = 0;
  unsent_bytes_ = 0;
  input_.close();
}

void AgentProcess::WaitForRoom() {
  waits_for_room_ = true;
  input_.async_wait(asio::posix::stream_descriptor::wait_write, Guarded([this] { OnRoom(); }));
}

void AgentProcess::OnRoom() {
  waits_for_room_ = false;
  if (!WriteSome()) WaitForRoom();
  listener_.OnInputDrained();
}

void AgentProcess::ReadOutput(bool read) {
  read_output_ = read;
  if (read) WaitForOutput();
}

void AgentProcess::Signal(int signal) {
  if (!exit_.has_value()) kill(-pid_, signal);
}

void AgentProcess::WaitForOutput() {
  if (waits_for_output_ || !output_.is_open()) return;
  waits_for_output_ = true;
  output_.async_wait(asio::posix::stream_descriptor::wait_read, Guarded([this] { OnOutput(); }));
}

void AgentProcess::OnOutput() {
  waits_for_output_ = false;
  if (!read_output_) return;
  static char buffer[kReadBytes];  // there is one thread
  const ssize_t got = read(output_.native_handle(), buffer, sizeof(buffer));
  const auto on_line = [this](absl::string_view line) { listener_.OnLine(line); };
  if (got > 0) {
    lines_.Feed(absl::string_view(buffer, static_cast<size_t>(got)), on_line,
                [this](absl::string_view) { listener_.OnLineTooLong(); });
  } else if (got == 0 || !WouldBlock()) {
    output_.close();
    lines_.Finish(on_line);
    return ReportExit();
  }
  if (read_output_) WaitForOutput();
}

void AgentProcess::WaitForErrors() {
  errors_.async_wait(asio::posix::stream_descriptor::wait_read, Guarded([this] { OnErrors(); }));
}

void AgentProcess::OnErrors() {
  static char buffer[kReadBytes];
  const ssize_t got = read(errors_.native_handle(), buffer, sizeof(buffer));
  const auto on_line = [this](absl::string_view line) {
    LogInfo("agent stderr", {{"agent", name_}, {"line", tools::Repair(line)}});
  };
  if (got > 0) {
    const absl::string_view text(buffer, static_cast<size_t>(got));
    error_lines_.Feed(text, on_line, on_line);
    stderr_tail_.append(text.data(), text.size());
    if (stderr_tail_.size() > kStderrTail) stderr_tail_.erase(0, stderr_tail_.size() - kStderrTail);
  } else if (got == 0 || !WouldBlock()) {
    errors_.close();
    error_lines_.Finish(on_line);
    return ReportExit();
  }
  WaitForErrors();
}

void AgentProcess::OnEnded() {
  // As long as the keeper is not reaped its process group's id belongs to nobody else.
  kill(-pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  exit_.emplace();
  if (WIFSIGNALED(status)) {
    exit_->signal = WTERMSIG(status);
  } else {
    exit_->code = WEXITSTATUS(status);
  }
  WaitForRest();
  ReportExit();
}

void AgentProcess::WaitForRest() {
  rest_.expires_after(kRest);
  rest_.async_wait(Guarded([this] {
    // What is held back is still to come.
    if (!read_output_ && output_.is_open()) return WaitForRest();
    if (output_.is_open()) output_.close();
    if (errors_.is_open()) errors_.close();
    ReportExit();
  }));
}

void AgentProcess::ReportExit() {
  if (reported_ || !exit_.has_value() || output_.is_open() || errors_.is_open()) return;
  reported_ = true;
  exit_->stderr_tail = tools::Repair(tools::Tail(stderr_tail_, kStderrTail));
  const AgentExit exit = *exit_;
  listener_.OnExit(exit);  // destroys this
}

}  // namespace agentdesk::worker
