#include "tools/agentdesk-bench/program.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tools/agentdesk-bench/event_loop.h"
#include "tools/agentdesk-bench/failure.h"

namespace agentdesk::bench {
namespace {

constexpr double kPatience = 120;
constexpr int kFsyncs = 200;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

double Since(int64_t begin_ns) { return static_cast<double>(NowNs() - begin_ns) / 1e9; }

void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

}  // namespace

Program::Program(const std::string& name, const std::vector<std::string>& flags,
                 const std::string& log)
    : name_(name), log_(log) {
  const std::string path =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
  std::vector<std::string> arguments = {path, "--listen=127.0.0.1:0"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<char*> raw;
  raw.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) raw.push_back(argument.data());
  raw.push_back(nullptr);
  std::filesystem::remove(log_);
  const int64_t begin = NowNs();
  pid_ = fork();
  if (pid_ < 0) FailErrno("fork");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = open("/dev/null", O_RDWR);
    const int out = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execv(path.c_str(), raw.data());
    _exit(127);
  }
  while (!FindPort()) {
    if (Ended()) FailWithLog("ended at once");
    if (Since(begin) > kPatience) FailWithLog("did not get ready");
    Pause();
  }
  start_seconds_ = Since(begin);
}

Program::~Program() { Kill(); }

bool Program::FindPort() {
  for (const absl::string_view line : absl::StrSplit(ReadAll(log_), '\n')) {
    if (!absl::StrContains(line, "\"listening\"")) continue;
    // The core names its admin port after it; the floors write no more than this.
    constexpr absl::string_view kAddress = "127.0.0.1:";
    const size_t at = line.find(kAddress);
    if (at == absl::string_view::npos) continue;
    const absl::string_view rest = line.substr(at + kAddress.size());
    uint32_t port = 0;
    if (absl::SimpleAtoi(rest.substr(0, rest.find_first_not_of("0123456789")), &port)) {
      port_ = static_cast<uint16_t>(port);
      return true;
    }
  }
  return false;
}

bool Program::Ended() {
  if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
  return pid_ < 0;
}

void Program::FailWithLog(absl::string_view what) const {
  const std::string log = ReadAll(log_);
  Fail(name_, " ", what, "; the end of its log:\n",
       absl::string_view(log).substr(log.size() - std::min<size_t>(log.size(), 2000)));
}

double Program::cpu_seconds() const {
  clockid_t clock{};
  timespec used{};
  if (pid_ < 0 || clock_getcpuclockid(pid_, &clock) != 0 || clock_gettime(clock, &used) != 0) {
    FailWithLog("is gone");
  }
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

size_t Program::memory_bytes() const {
  size_t bytes = 0;
  for (const absl::string_view line :
       absl::StrSplit(ReadAll(absl::StrCat("/proc/", pid_, "/smaps_rollup")), '\n')) {
    if (!absl::StartsWith(line, "Private_")) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    size_t kilobytes = 0;
    if (words.size() > 1 && absl::SimpleAtoi(words[1], &kilobytes)) bytes += kilobytes * 1024;
  }
  if (bytes == 0) FailWithLog("is gone");
  return bytes;
}

void Program::Stop() {
  if (Ended()) FailWithLog("has ended by itself");
  kill(pid_, SIGTERM);
  const int64_t begin = NowNs();
  while (!Ended()) {
    if (Since(begin) > kPatience) FailWithLog("did not end");
    Pause();
  }
  if (!WIFEXITED(status_) || WEXITSTATUS(status_) != 0) FailWithLog("ended badly");
}

void Program::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, &status_, 0);
  pid_ = -1;
}

DataDirectory::DataDirectory(const std::string& parent) {
  struct statfs system {};
  if (statfs(parent.c_str(), &system) != 0) FailErrno(parent);
  if (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC) {
    Fail(parent, " is in memory; --dir must be on the disk that is to be measured");
  }
  path_ = absl::StrCat(parent, "/agentdesk-bench-XXXXXX");
  if (mkdtemp(path_.data()) == nullptr) FailErrno(path_);
}

DataDirectory::~DataDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

size_t DataDirectory::bytes() const {
  size_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

Samples FsyncMs(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/fsync-probe");
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file.open()) FailErrno(path);
  const std::array<char, 4096> block{};
  Samples times;
  for (int i = 0; i < kFsyncs; ++i) {
    const int64_t begin = NowNs();
    if (write(file.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size()) ||
        fdatasync(file.get()) != 0) {
      FailErrno(path);
    }
    times.Add(Since(begin) * 1e3);
  }
  std::filesystem::remove(path);
  return times;
}

}  // namespace agentdesk::bench
