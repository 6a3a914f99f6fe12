#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_PROGRAM_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_PROGRAM_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/agentdesk-bench/report.h"

namespace agentdesk::bench {

// One of our programs, which listens on a free port and says so in its log, run for a measurement.
class Program {
 public:
  // Starts `name` from the directory of this very binary, with its log in `log`, and waits until it
  // listens. Fails with the end of the log when it does not.
  Program(const std::string& name, const std::vector<std::string>& flags, const std::string& log);
  // Ends it, by force if need be.
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  uint16_t port() const { return port_; }
  // From the start of the program to its line in the log.
  double start_seconds() const { return start_seconds_; }
  // What it has used of the processor, in user and in kernel mode: the clock that /proc/PID/stat
  // shows in steps of 10 ms, too coarse for a short run.
  double cpu_seconds() const;
  // What is resident of its private memory (of /proc/PID/smaps_rollup).
  size_t memory_bytes() const;
  // Asks it to end, and fails unless it does so in order.
  void Stop();
  void Kill();

 private:
  [[noreturn]] void FailWithLog(absl::string_view what) const;
  bool FindPort();
  bool Ended();

  const std::string name_;
  const std::string log_;
  pid_t pid_ = -1;
  int status_ = 0;
  uint16_t port_ = 0;
  double start_seconds_ = 0;
};

// A directory on a real disk, removed with all in it when this goes.
class DataDirectory {
 public:
  // Makes it in `parent`; fails where that is in memory, which is no disk to measure.
  explicit DataDirectory(const std::string& parent);
  ~DataDirectory();
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  const std::string& path() const { return path_; }
  size_t bytes() const;

 private:
  std::string path_;
};

// How long small appends with fdatasync take in this directory, in milliseconds.
Samples FsyncMs(const std::string& directory);

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_PROGRAM_H_
