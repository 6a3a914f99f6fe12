#include "core_service/base/sd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"

namespace agentdesk {
namespace {

// Half of the time in which systemd wants to hear from this process; infinite: it does not.
absl::Duration WatchdogInterval() {
  const char* const time = std::getenv("WATCHDOG_USEC");
  const char* const pid = std::getenv("WATCHDOG_PID");
  int64_t us = 0;
  int wanted = 0;
  if (time == nullptr || !absl::SimpleAtoi(time, &us) || us <= 0) return absl::InfiniteDuration();
  if (pid != nullptr && (!absl::SimpleAtoi(pid, &wanted) || wanted != getpid())) {
    return absl::InfiniteDuration();
  }
  return absl::Microseconds(us) / 2;
}

}  // namespace

void SdNotify(absl::string_view state) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const absl::string_view name = path == nullptr ? "" : path;
  if (name.empty() || name.size() >= sizeof(address.sun_path)) return;
  std::copy(name.begin(), name.end(), address.sun_path);
  // The name of an abstract socket begins with a zero byte, and has no end but its length.
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  (void)sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), size);
  close(fd);
}

int WaitForSignal(const sigset_t& signals, absl::FunctionRef<bool()> alive) {
  const absl::Duration interval = WatchdogInterval();
  int number = 0;
  if (interval == absl::InfiniteDuration()) {
    sigwait(&signals, &number);
    return number;
  }
  const timespec wait = absl::ToTimespec(interval);
  while ((number = sigtimedwait(&signals, nullptr, &wait)) < 0) {
    if (errno == EAGAIN && alive()) SdNotify("WATCHDOG=1");
  }
  return number;
}

}  // namespace agentdesk
