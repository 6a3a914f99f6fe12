#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>

#include "core_service/base/metrics.h"

namespace agentdesk {
namespace {

double ToSeconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double CpuSeconds() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return ToSeconds(usage.ru_utime) + ToSeconds(usage.ru_stime);
}

// The first numbers of /proc/self/statm: pages of address space, and of those the resident ones.
double Pages(int field) {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  for (int i = 0; i <= field; ++i) file >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double OpenDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  double count = -3;  // `.`, `..` and the directory itself
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

double MaxDescriptors() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<double>(limit.rlim_cur) : 0;
}

double Threads() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    double threads = 0;
    if (std::sscanf(line.c_str(), "Threads: %lf", &threads) == 1) return threads;
  }
  return 0;
}

}  // namespace

void AddProcessMetrics(Metrics& metrics, const std::string& service) {
  metrics.ReadCounter("process_cpu_seconds_total", "CPU time spent, of users and of the system.",
                      {}, CpuSeconds);
  metrics.ReadGauge("process_resident_memory_bytes", "Memory in RAM.", {}, [] { return Pages(1); });
  metrics.ReadGauge("process_virtual_memory_bytes", "Address space.", {}, [] { return Pages(0); });
  metrics.ReadGauge("process_open_fds", "Open descriptors.", {}, OpenDescriptors);
  metrics.ReadGauge("process_max_fds", "How many descriptors may be open.", {}, MaxDescriptors);
  metrics.ReadGauge("process_threads", "Threads.", {}, Threads);
  metrics.AddGauge("process_start_time_seconds", "When the process started, in Unix time.")
      .Set(static_cast<double>(std::time(nullptr)));
  metrics
      .AddGauge("agentdesk_build_info", "1, with the service and its version as labels.",
                {{"service", service}, {"version", AGENTDESK_VERSION}})
      .Set(1);
}

}  // namespace agentdesk
